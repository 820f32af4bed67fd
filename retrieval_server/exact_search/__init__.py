"""Exact search by eq. (8): the ranking of brute force in float64 at a few per cent of its cost.

A small database is read whole (``scan``). A large one has levels of ever more bits, each of which
bounds every row's similarity from above; see ``cascade`` for how they are searched, ``level_files``
for how they lie on disk, and each level's module for its layout and the proof of its bound.
"""
