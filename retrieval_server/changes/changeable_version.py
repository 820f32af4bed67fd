"""The interface of a version of the index that takes changes, in files or in a store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from retrieval_server.exact_search.levels.encoding import Levels
from retrieval_server.index.descriptors import DescriptorShape
from retrieval_server.index.searched_index import SearchedIndex
from retrieval_server.text.term_files import TermFiles
from retrieval_server.text.word_search import WordSearch


class ChangeableVersion(SearchedIndex, Protocol):
    """A version without its changes; any number of threads may read."""

    change_position: int

    @property
    def words(self) -> WordSearch:
        """Compares words with the texts of products."""

    @property
    def levels(self) -> Levels | None:
        """In what the descriptors of changed products are encoded; None scans them."""

    @property
    def descriptor_shapes(self) -> tuple[DescriptorShape, ...]:
        """Type and number of the components of a descriptor, by backbone."""

    def read_entries(self, rows: Iterable[int]) -> dict[int, str]:
        """What was read on the images of some rows as the index keeps it, by row."""

    def open_terms(self) -> TermFiles:
        """Open the TF-IDF vectors of the descriptions.

        Raises:
            IndexBundleError: if a file is missing or damaged.
            StoreError: if it is in a store that cannot be read.
        """
