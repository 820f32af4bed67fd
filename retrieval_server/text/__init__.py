"""Texts on both sides: how a description is split into tokens, and the neighbours D(i), eq. (7).

May import: storage, errors. Door: `tokenise`, `TextIndex`.
"""
