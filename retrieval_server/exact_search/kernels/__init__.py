"""The compiled loops of the exact search: encoders, one kernel for each level, inner products.

May import: layout of the room above; numba, llvmlite, numpy. Each encoder and kernel has its
reference beside it, the same sums by numpy, with which the tests compare it. Read
``vector_instructions`` first, then ``byte``, the shortest kernel.
"""
