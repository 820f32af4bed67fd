"""Exact search by eq. (8): the ranking of brute force in float64 at a few per cent of its cost.

Read `similarity`, `scan`, `cascade`; then `fused_bound`, `rotation` and the levels, which prove
what the cascade relies on; then `layout` and `kernels`.

May import: storage, cores, errors.
Door: `open_search`, which returns an ExactSearch; `Ranking`; for the index build `SearchFit`.
"""
