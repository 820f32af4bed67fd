"""All dialects."""

from tests.support.export.feeds import (
    data_frames,
    descriptions,
    image_columns,
    json_files,
    parquet_files,
    shops,
    spreadsheets,
    text_files,
)

DIALECTS = (
    *shops.DIALECTS,
    *spreadsheets.DIALECTS,
    *text_files.DIALECTS,
    *data_frames.DIALECTS,
    *json_files.DIALECTS,
    *parquet_files.DIALECTS,
    *image_columns.DIALECTS,
    *descriptions.DIALECTS,
)
