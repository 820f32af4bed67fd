"""Filters: typed conditions on the catalogue's columns, and the rows that pass them.

May import: attributes, command_line, compilation, errors.
Door: `Filter` and what it is made of, `passing_rows`, `check_filter`,
`compile_filters`, `TypedFilter`; the limits in `expression`.
"""
