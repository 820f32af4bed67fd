"""Admission: who may begin, who waits for a turn, and who is refused at once.

May import: access, errors, exact_search.
Door: `Admission`, `Turns`, `Workers`, `Deadline`.
"""
