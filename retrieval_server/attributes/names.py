"""The names of further columns that have a meaning of their own."""

PRODUCT_COLUMN = "product"  # names the product that a row shows: its rows have the same value
