"""The catalogue's further columns, typed, one array each: what filters and groups read.

May import: storage, errors.
Door: `Columns`, `Column`, `ColumnKind`, `ColumnRecord`, `write_column`, `PRODUCT_COLUMN`.
"""
