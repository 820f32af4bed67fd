"""Descriptions: plain text, the rules that split it into terms, and the textual index D(i).

May import: storage, errors.
Door: `TOKENISERS`, `TextIndex`.
"""
