"""Filters: typed conditions on the catalogue's columns, and the rows that pass them.

May import: attributes, errors.
Door: `Filter` and what it is made of, `passing_rows`; the limits in `expression`.
"""
