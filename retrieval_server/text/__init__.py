"""Descriptions: the rules that split them into terms, and the textual index D(i) of eq. (7).

May import: storage, errors.
Door: `TOKENISERS`, `TextIndex`.
"""
