"""The compiled loops of the exact search: encoders, one kernel for each level, inner products.

Each encoder and kernel has its reference beside it, the same sums by numpy, with which the tests
compare it. `layout` describes the bytes that they read and write. Read `vector_instructions` first,
then `byte`, the shortest kernel.

May import: compilation, numba, llvmlite and numpy.
Door: the kernels themselves, `layout`, `dots`.
"""
