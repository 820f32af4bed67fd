"""The stage of a build that makes the words of the products searchable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from export.dataset.catalogue import Catalogue, CatalogueRow
from export.dataset.table import COLUMNS_SHOWN, shown
from export.index.stage_log import StageLog, file_names
from export.progress import progress
from export.text_index.word_index import build_word_index
from retrieval_server.errors import CatalogueError
from retrieval_server.storage.string_table import write_string_table
from retrieval_server.text.grams import GRAMS
from retrieval_server.text.read_text import READ_TABLE, decode_read
from retrieval_server.text.word_search import DESCRIPTION, IMAGE, WordsRecord

BRAND = "brand"  # the column that counts as text where nobody names others
WORDS_STAGE = "words"


def word_columns(catalogue: Catalogue, chosen: Iterable[str] | None) -> tuple[str, ...]:
    """The columns whose values belong to the text of a product.

    Args:
        catalogue: the products.
        chosen: names of columns; None takes the brand, in upper or lower case, if there is one.

    Raises:
        CatalogueError: if no product has a value in one of them.
    """
    present = list(dict.fromkeys(name for row in catalogue.rows for name in row.attributes))
    if chosen is None:
        return tuple(name for name in present if name.casefold() == BRAND)
    columns = tuple(dict.fromkeys(chosen))
    if missing := [name for name in columns if name not in present]:
        named = ", ".join(map(shown, present[:COLUMNS_SHOWN])) or "none"
        raise CatalogueError(
            f"No product of {catalogue.path} has a value in the column {shown(missing[0])}. "
            f"Further columns with values: {named}. The description always counts."
        )
    return columns


def write_words(
    folder: Path,
    products: Sequence[CatalogueRow],
    columns: tuple[str, ...],
    log: StageLog,
    *,
    reader: str = "",
    read: Callable[[], Sequence[str]] = tuple,
    unread: int = 0,
) -> WordsRecord:
    """Write the inverted files of the products' texts, unless a log says that they are there.

    Args:
        folder: folder of the bundle.
        products: one for each row.
        columns: the columns whose values belong to the text, beside the description.
        log: the finished stages.
        reader: digest of the models that read the images; empty reads none.
        read: gives what was read on the image of each product, as an entry of ``text.read_text``.
        unread: on how many images the reader failed; the log may be of a run with more.

    Returns:
        What the manifest records.
    """
    if (finished := log.find(WORDS_STAGE)) and finished[-1]["unread"] == unread:
        return WordsRecord.from_json(finished[-1]["record"])
    settings = WordsRecord(GRAMS, columns, {}, reader)
    fields = {
        DESCRIPTION: [settings.text_of(each.description, each.attributes) for each in products]
    }
    if reader:
        entries = read()
        write_string_table(folder, READ_TABLE, entries)
        fields[IMAGE] = ["\n".join(line.text for line in decode_read(entry)) for entry in entries]
    with progress("words", sum(map(len, fields.values()))) as advance:
        record = replace(settings, fields=build_word_index(folder, fields, advance))
    log.add(WORDS_STAGE, record=record.to_json(), unread=unread, files=file_names(folder))
    return record
