"""Exact search by eq. (8): the ranking of brute force in float64 at a few per cent of its cost.

Read `similarity`, `scan`, `cascade`, then `fused_bound`. The room levels/ proves what the cascade
relies on; the room kernels/ computes it.

May import: storage, compilation, cores, errors.
Door: `open_search`, which returns an ExactSearch; `Ranking`; `finish_together`, which lets searches
share a scan; the door of levels/.
"""
