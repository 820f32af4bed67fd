"""What the blocking and the asyncio client have in common: their methods and arguments."""

from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from client.calls import Calls
from client.filters import Filter
from client.query import Query

Found = TypeVar("Found")  # a SearchResult, or an awaitable of one; the others likewise
Looked = TypeVar("Looked")
Removed = TypeVar("Removed")
Status = TypeVar("Status")


class AnyClient(Calls, ABC, Generic[Found, Looked, Removed, Status]):
    """Search a catalogue by photo or by product, look products up, and change them."""

    def search(
        self,
        image: bytes | Path | None = None,
        *,
        more_images: Iterable[bytes | Path] = (),
        words: str = "",
        read_words: bool | None = None,
        text_weight: float | None = None,
        where: Filter | None = None,
        exclude_ids: Iterable[str] = (),
        min_similarity: float | None = None,
        group_by: str | None = None,
        top_k: int | None = None,
        keep: int | None = None,
        refine: bool = True,
        alpha: Mapping[str, float] | None = None,
        busy_wait_s: float = 0.0,
    ) -> Found:
        """Find the products that look like an image, whose text has some words, or both.

        Args:
            image: see Query; None searches by the words alone.
            more_images: see Query.
            words: see Query.
            read_words: see Query.
            text_weight: see Query.
            where: see Query.
            exclude_ids: see Query.
            min_similarity: see Query.
            group_by: see Query.
            top_k: see Query.
            keep: see Query.
            refine: see Query.
            alpha: see Query.
            busy_wait_s: how long to try again while the server is busy, each time when it says.

        Returns:
            The results and the initial ranking, best first.
        """
        query = Query(
            image,
            more_images=more_images,
            words=words,
            read_words=read_words,
            text_weight=text_weight,
            where=where,
            exclude_ids=exclude_ids,
            min_similarity=min_similarity,
            group_by=group_by,
            top_k=top_k,
            keep=keep,
            refine=refine,
            alpha=alpha,
        )
        found: Found = self._reply(self._found(query, busy_wait_s))
        return found

    def similar(
        self,
        product_id: str,
        *,
        words: str = "",
        text_weight: float | None = None,
        where: Filter | None = None,
        exclude_ids: Iterable[str] = (),
        min_similarity: float | None = None,
        group_by: str | None = None,
        top_k: int | None = None,
        keep: int | None = None,
        refine: bool = True,
        alpha: Mapping[str, float] | None = None,
        busy_wait_s: float = 0.0,
    ) -> Found:
        """Find products like one of the catalogue, itself left out.

        Args:
            product_id: id in the server's index.
            words: see Query.
            text_weight: see Query.
            where: see Query.
            exclude_ids: see Query.
            min_similarity: see Query.
            group_by: see Query.
            top_k: see Query.
            keep: see Query.
            refine: see Query.
            alpha: see Query.
            busy_wait_s: see search.

        Returns:
            The results and the initial ranking, best first.
        """
        query = Query(
            product_id=product_id,
            words=words,
            text_weight=text_weight,
            where=where,
            exclude_ids=exclude_ids,
            min_similarity=min_similarity,
            group_by=group_by,
            top_k=top_k,
            keep=keep,
            refine=refine,
            alpha=alpha,
        )
        found: Found = self._reply(self._found(query, busy_wait_s))
        return found

    def products(self, product_ids: Iterable[str], *, busy_wait_s: float = 0.0) -> Looked:
        """Ask what the catalogue says of some products.

        Args:
            product_ids: ids in the server's index, up to ``Limits.max_product_ids``; one that is
                there several times counts once.
            busy_wait_s: see search.

        Returns:
            The products, and the ids that are not in the index.
        """
        looked: Looked = self._reply(self._looked_up(product_ids, busy_wait_s))
        return looked

    def delete(self, product_ids: Iterable[str]) -> Removed:
        """Remove products from the catalogue.

        Args:
            product_ids: their ids, up to ``Limits.max_product_ids``.

        Returns:
            How many were removed, and the ids that were not there.
        """
        removed: Removed = self._reply(self._deleted(product_ids))
        return removed

    def status(self) -> Status:
        """Ask what is being served."""
        status: Status = self._reply(self._asked_status(self.timeout_s))
        return status

    def wait_until_ready(self, wait_s: float) -> Status:
        """Wait for a server that is starting.

        Args:
            wait_s: how long at most; in place of the client's timeout_s.

        Returns:
            Its status, as soon as it answers.

        Raises:
            UnavailableError: if it has not answered by then.
        """
        status: Status = self._reply(self._ready(wait_s))
        return status

    @abstractmethod
    def _reply(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Give a caller what some work returns: the value, or an awaitable of it."""
