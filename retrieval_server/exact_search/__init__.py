"""Exact search by eq. (8): the ranking of brute force in float64 at a few per cent of its cost.

May import: storage, cores, errors; numpy, numba, llvmlite. Door: `open_search` -> `ExactSearch`.
Read `similarity`, `scan`, `cascade`; then `fused_bound`, `rotation` and the levels, which prove
what the cascade relies on; then `layout` and `kernels`.
"""
