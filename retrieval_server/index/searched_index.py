"""The interface of an index that can be searched: what retrieval and serving read of it.

There are three: an ``IndexBundle`` in files of our own, a ``ChangedIndex``, which is one with its
changes, see changes, and a ``StoredIndex`` in another engine, see stores. The retrieval code is the
same above all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retrieval_server.attributes.columns import Columns
from retrieval_server.errors import ModelMismatchError
from retrieval_server.exact_search.groups import AllowedRows, RowGroups
from retrieval_server.exact_search.parallelism import IntraQueryParallelism
from retrieval_server.exact_search.row_factors import RowFactors
from retrieval_server.exact_search.search import Query, SearchLevel, Wanted
from retrieval_server.exact_search.shared_scan import Search
from retrieval_server.exact_search.similarity import Ranking
from retrieval_server.filters.expression import Filter
from retrieval_server.index.calibration import Calibration
from retrieval_server.index.manifest import Manifest
from retrieval_server.index.product import Product
from retrieval_server.models.profile import Profile
from retrieval_server.text.read_text import ReadText
from retrieval_server.text.word_search import TextCosines

IndexWanted: TypeAlias = Wanted[AllowedRows, RowGroups]


class IndexSearch(Protocol):
    """Ranks the rows of an index by eq. (8); see ``exact_search.search.ExactSearch``.

    ``allowed`` is what the same index has made.
    """

    def level_sizes(self) -> tuple[SearchLevel, ...]:
        """What a search reads."""

    def ranking(self, wanted: IndexWanted) -> Search[Ranking]:
        """Rank the whole index; searches at the same time may share a part of the work."""

    def rank_rows(
        self,
        query: Query,
        alphas: Sequence[float],
        rows: NDArray[np.integer],
        top_k: int,
        factors: RowFactors | None = None,
        groups: RowGroups | None = None,
    ) -> Ranking:
        """Rank some rows only."""


class NeighbourLists(Protocol):
    """D of eq. (7); see ``text.neighbours``."""

    def neighbours(self, row: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Look up D(row): rows and their text cosines."""


class ComparesWords(Protocol):
    """Compares words with texts; see ``text.word_search``."""

    def cosines(self, words: str) -> TextCosines:
        """Compare words with the texts of all products."""


class SearchedIndex(Protocol):
    """An index that can be searched; any number of threads may read."""

    @property
    def place(self) -> str:
        """Where it is, for messages."""

    @property
    def version(self) -> str:
        """The version."""

    @property
    def manifest(self) -> Manifest:
        """The manifest of the version."""

    @property
    def profile(self) -> Profile:
        """The profile that it was built with."""

    @property
    def built_at(self) -> float:
        """When it was built, in seconds since 1970."""

    @property
    def change_position(self) -> int:
        """How many changes to the version it has; see changes."""

    @property
    def calibration(self) -> Calibration | None:
        """How verdicts become probabilities; None without one."""

    @property
    def reference_descriptors(self) -> Mapping[str, NDArray[np.float32]]:
        """Those of the reference image, (C,) by model name."""

    @property
    def columns(self) -> Columns:
        """The columns of the catalogue."""

    @property
    def text_index(self) -> NeighbourLists:
        """The lists of similar descriptions."""

    @property
    def words(self) -> ComparesWords:
        """Compares words with the texts of products."""

    @property
    def descriptor_bytes(self) -> tuple[int, ...]:
        """Size of the descriptors by backbone, in bytes."""

    @property
    def first_product(self) -> Product | None:
        """The product of the first row that can be found; None if there is none."""

    def __len__(self) -> int: ...

    def product(self, row: int) -> Product:
        """The product of a row."""

    def products(self, rows: Iterable[int]) -> dict[int, Product]:
        """The products of some rows, by row."""

    def product_id(self, row: int) -> str:
        """The product id of a row."""

    def row_of(self, product_id: str) -> int | None:
        """The row of a product id; None if the id is not in the index."""

    def rows_of(self, product_ids: Collection[str]) -> dict[str, int]:
        """The rows of some product ids; an id that is not in the index is left out."""

    def lines_read(self, rows: Iterable[int]) -> dict[int, tuple[ReadText, ...]]:
        """What was read on the images of some rows, by row."""

    def descriptors_of(self, row: int) -> tuple[NDArray[np.float32], ...]:
        """The descriptors of a row, (C_n,) float32 by backbone."""

    def allowed_rows(
        self, wanted: Filter | None, exclude_ids: Collection[str]
    ) -> AllowedRows | None:
        """The rows that a search may find; None where all may.

        Args:
            wanted: what the columns of a product must have; None for anything.
            exclude_ids: ids of products to leave out; one that is not in the index is ignored.

        Raises:
            QueryError: if the filter does not suit the columns of the index.
        """

    def count_allowed(self, allowed: AllowedRows | None, exclude: int | None) -> int:
        """Count the rows that a search may find.

        Args:
            allowed: what ``allowed_rows`` of this index has returned.
            exclude: a further row to leave out.
        """

    def groups_by(self, column: str) -> RowGroups:
        """The groups of the rows by a column, for one search.

        Args:
            column: the name of a column of the index.
        """

    def check_served(self) -> None:
        """Find out whether the index can be read now.

        Raises:
            StoreError: if it is in a store that cannot be read.
        """

    def warm_up(self) -> None:
        """Compile what searches run, and read what each of them reads."""

    def open_search(self, parallelism: IntraQueryParallelism | None) -> IndexSearch:
        """Open what ranks the rows.

        Args:
            parallelism: divides a search among idle cores; None keeps each search on its own core.
        """

    def search_until(self, search: IndexSearch, answer_by_s: float) -> IndexSearch:
        """A search of this index, for a caller who waits for a limited time.

        Args:
            search: what ``open_search`` of this index has returned.
            answer_by_s: when the caller's time is over, on the clock ``time.monotonic``.
        """


def require_models(index: SearchedIndex, digests: Mapping[str, str]) -> None:
    """Refuse models other than those that computed an index's descriptors.

    Args:
        index: the index.
        digests: SHA-256 of the served ONNX files by model name.

    Raises:
        ModelMismatchError: naming the model and both digests.
    """
    for name, indexed in index.manifest.models.items():
        served = digests.get(name)
        if served != indexed.digest:
            raise ModelMismatchError(
                f"Index {index.place} was built with model {name} of digest "
                f"{indexed.digest[:12]}, but the model repository has "
                f"{served[:12] if served else 'none'}. Serve the model it was built with, or "
                "build the index again with: beauty-export index"
            )
