"""A version with its changes at one position of the log, as one index to search.

Rows 0 to N - 1 are those of the version, and rows N, N + 1, … are the changes in their order. A
product that was replaced or deleted keeps its row, which no search may find. So of equally similar
products the one that was changed last comes last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from retrieval_server.attributes.columns import Columns
from retrieval_server.changes.change import Upsert
from retrieval_server.changes.changeable_version import ChangeableVersion
from retrieval_server.changes.changed_columns import ChangedColumns
from retrieval_server.changes.changed_groups import ChangedGroups
from retrieval_server.changes.changed_search import ChangedSearch
from retrieval_server.changes.changed_texts import ChangedNeighbours
from retrieval_server.changes.changed_words import ChangedWords
from retrieval_server.exact_search.groups import AllowedRows, Groups, RowGroups
from retrieval_server.exact_search.parallelism import IntraQueryParallelism
from retrieval_server.filters.expression import Filter
from retrieval_server.index.calibration import Calibration
from retrieval_server.index.column_groups import groups_by
from retrieval_server.index.images import IMAGE_DIGEST_BYTES
from retrieval_server.index.manifest import Manifest
from retrieval_server.index.product import Product
from retrieval_server.index.row_mask import RowMask, count_rows, row_mask
from retrieval_server.index.searched_index import IndexSearch
from retrieval_server.models.profile import Profile
from retrieval_server.text.read_text import ReadText, decode_read


@dataclass(frozen=True)
class ChangedRows:
    """The changed rows at one position of the log.

    Attributes:
        upserts: (M,) what each row holds; more may follow behind these.
        descriptors: (M, C_n) by backbone.
        slots: the numbers of the upserts of each product, ascending; newer ones may follow.
        is_there: (N + M,) whether a row of the version or of the changes is part of the catalogue.
    """

    upserts: Sequence[Upsert]
    descriptors: tuple[NDArray[Any], ...]
    slots: Mapping[str, Sequence[int]]
    is_there: NDArray[np.bool_]


class ChangedIndex:
    """A version with its changes up to a position; see ``SearchedIndex``.

    Args:
        base: the version.
        search: ranks the rows.
        position: of the log.
        rows: the changed rows.
        text_index: the lists of similar descriptions.
        words: compares words with the texts.

    Attributes:
        change_position: as given.
        text_index: as given.
        words: as given.
        columns: those of the version and the changes.
    """

    def __init__(
        self,
        base: ChangeableVersion,
        search: ChangedSearch,
        position: int,
        rows: ChangedRows,
        text_index: ChangedNeighbours,
        words: ChangedWords,
    ) -> None:
        self.change_position = position
        self.text_index, self.words = text_index, words
        self._base, self._search, self._rows = base, search, rows
        self._groups: dict[str, RowGroups] = {}
        self._count = int(np.count_nonzero(rows.is_there))
        self._is_whole = self._count == len(rows.is_there)
        changes = len(rows.is_there) - len(base)
        self.columns: Columns = ChangedColumns(
            base.columns, [upsert.product.attributes for upsert in rows.upserts[:changes]]
        )

    def __len__(self) -> int:
        return self._count

    @property
    def place(self) -> str:
        """Where the version is, for messages."""
        return self._base.place

    @property
    def version(self) -> str:
        """The version."""
        return self._base.version

    @property
    def manifest(self) -> Manifest:
        """The manifest of the version, without the changes."""
        return self._base.manifest

    @property
    def profile(self) -> Profile:
        """The profile of the version."""
        return self._base.profile

    @property
    def built_at(self) -> float:
        """When the version was built, in seconds since 1970."""
        return self._base.built_at

    @property
    def calibration(self) -> Calibration | None:
        """That of the version, which does not depend on single products."""
        return self._base.calibration

    @property
    def reference_descriptors(self) -> Mapping[str, NDArray[np.float32]]:
        """Those of the reference image, (C,) by model name."""
        return self._base.reference_descriptors

    @property
    def descriptor_bytes(self) -> tuple[int, ...]:
        """Size of the descriptors of the version and of the changes by backbone, in bytes."""
        changed = (matrix.nbytes for matrix in self._rows.descriptors)
        return tuple(map(sum, zip(self._base.descriptor_bytes, changed, strict=True)))

    @property
    def first_product(self) -> Product | None:
        """The product of the first row; None if every product was deleted."""
        return self.product(int(self._rows.is_there.argmax())) if self._count else None

    def product(self, row: int) -> Product:
        """The product of a row."""
        slot = row - len(self._base)
        return self._base.product(row) if slot < 0 else self._rows.upserts[slot].product

    def products(self, rows: Iterable[int]) -> dict[int, Product]:
        """The products of some rows, by row."""
        rows = list(rows)
        found = self._base.products(row for row in rows if row < len(self._base))
        return {row: found[row] if row in found else self.product(row) for row in rows}

    def product_id(self, row: int) -> str:
        """The product id of a row."""
        slot = row - len(self._base)
        if slot < 0:
            return self._base.product_id(row)
        return self._rows.upserts[slot].product.product_id

    def row_of(self, product_id: str) -> int | None:
        """The row of a product id; None if the id is not in the catalogue."""
        return self.rows_of([product_id]).get(product_id)

    def rows_of(self, product_ids: Collection[str]) -> dict[str, int]:
        """The rows of some product ids; an id that is not in the catalogue is left out."""
        changed = {product_id: self._changed_row(product_id) for product_id in product_ids}
        rows = self._base.rows_of([each for each, row in changed.items() if row is None])
        rows |= {product_id: row for product_id, row in changed.items() if row is not None}
        return {each: rows[each] for each in changed if each in rows and self._is_there(rows[each])}

    def lines_read(self, rows: Iterable[int]) -> dict[int, tuple[ReadText, ...]]:
        """What was read on the images of some rows, by row."""
        rows = list(rows)
        entries = self._base.read_entries(row for row in rows if row < len(self._base))
        return {
            row: decode_read(entries[row] if row in entries else self.read_entry(row))
            for row in rows
        }

    @property
    def live_rows(self) -> NDArray[np.int64]:
        """The rows that are part of the catalogue, ascending."""
        return np.flatnonzero(self._rows.is_there)

    @property
    def changed_descriptors(self) -> tuple[NDArray[Any], ...]:
        """The descriptors of the changed rows as they are stored, (M, C_n) by backbone."""
        return self._rows.descriptors

    def image_digest(self, slot: int) -> bytes:
        """SHA-256 of the image of a changed row, numbered from 0; zeros without an image."""
        return bytes.fromhex(self._rows.upserts[slot].image_digest) or bytes(IMAGE_DIGEST_BYTES)

    @property
    def upserted_ids(self) -> Collection[str]:
        """The products that changes have brought, those included that were deleted later."""
        return self._rows.slots.keys()

    def read_entry(self, row: int) -> str:
        """What was read on the image of a row, as the index keeps it."""
        slot = row - len(self._base)
        if slot < 0:
            return self._base.read_entries([row])[row]
        return self._rows.upserts[slot].read_entry

    def descriptors_of(self, row: int) -> tuple[NDArray[np.float32], ...]:
        """The descriptors of a row, (C_n,) float32 by backbone."""
        slot = row - len(self._base)
        if slot < 0:
            return self._base.descriptors_of(row)
        return tuple(matrix[slot].astype(np.float32) for matrix in self._rows.descriptors)

    def allowed_rows(
        self, wanted: Filter | None, exclude_ids: Collection[str]
    ) -> AllowedRows | None:
        """The rows that a search may find, as a mask (N + M,); see ``SearchedIndex``."""
        is_there = self._rows.is_there
        excluded = self.rows_of(exclude_ids).values()
        passes = row_mask(len(is_there), wanted, self.columns, excluded)
        if self._is_whole:
            return passes
        return is_there if passes is None else passes & is_there

    def count_allowed(self, allowed: AllowedRows | None, exclude: int | None) -> int:
        """Count the rows that a search may find; see ``SearchedIndex``."""
        return count_rows(len(self._rows.is_there), cast("RowMask | None", allowed), exclude)

    def groups_by(self, column: str) -> RowGroups:
        """The groups by a column, made for the first search; see ``SearchedIndex``."""
        if column not in self._groups:
            groups = groups_by(self.columns[column])
            of_version = cast("Groups", self._base.groups_by(column))
            self._groups[column] = ChangedGroups(groups, of_version)
        return self._groups[column]

    def check_served(self) -> None:
        """Files that are open can be read; see ``SearchedIndex``."""

    def warm_up(self) -> None:
        """The version is warm already; see ``SearchedIndex``."""

    def open_search(self, parallelism: IntraQueryParallelism | None) -> IndexSearch:
        """What ranks the rows; it is open already.

        Args:
            parallelism: that of the search of the version is used instead.
        """
        return self._search

    def search_until(self, search: IndexSearch, answer_by_s: float) -> IndexSearch:
        """A search whose part in the version heeds the time; see ``SearchedIndex``."""
        changed = cast("ChangedSearch", search)
        return changed.over(self._base.search_until(changed.version, answer_by_s))

    def _changed_row(self, product_id: str) -> int | None:
        """The last row that the changes have of a product id; None without one."""
        last = None
        for slot in self._rows.slots.get(product_id, ()):
            if slot >= len(self._rows.is_there) - len(self._base):
                break  # of a later position
            last = len(self._base) + slot
        return last

    def _is_there(self, row: int) -> bool:
        return bool(self._rows.is_there[row])
