"""The levels: approximations of each descriptor, and what each proves about a row.

Read `rotation`, then `coarse`, `middle`, `residual` and `byte`, which hold a level each.

May import: kernels, parallelism, row_file, search, similarity; storage, errors.
Door: `open_levels`, `encode_all` and `create_levels` for the index; `SearchFit`, `SearchRecord`.
"""
