"""Descriptions: plain text, its language and terms, the textual index D(i), and t(x).

t(x) says how similar the words of a query are to the text of a product.

May import: storage, compilation, errors.
Door: `TOKENISERS`, `TextIndex`, `WordSearch`.
"""
