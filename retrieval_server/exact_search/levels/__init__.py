"""The levels: approximations of each descriptor, and what each proves about a row.

Read `rotation`, then `coarse`, `middle`, `residual` and `byte`, which hold a level each. `order`
is the list of them; the files, the encoding and the cascade loop over it.

May import: groups, kernels, parallelism, row_factors, row_file, search, shared_scan, similarity;
storage, errors.
Door: `open_levels`, `Levels`, `SearchRecord`; for the index build `create_levels`, `encode_all`;
to fit it `axes_loss`, `code_offset`, `residual_losses`, `unfitted`, `rotate_rows`,
`SearchFit`, `FitParameters`.
"""
