"""The connection to Milvus: one client, a limit of time for every call, and one kind of errors.

pymilvus retries what fails for want of a connection, until the call's time is over.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from retrieval_server.access.watched_files import WatchedFiles
from retrieval_server.command_line.proxies import proxy_options
from retrieval_server.errors import StoreError, StoreUnavailableError
from retrieval_server.stores.address import StoreAddress
from retrieval_server.stores.layout import KEY, TEXT, VECTOR, part_key
from retrieval_server.stores.store_access import StoreAccess

KEYS_AT_ONCE = 500  # of documents; at 60 kB each, 30 MB
ROWS_AT_ONCE = 1000  # in an expression
STRONG = "Strong"  # reads that see everything written before; on a server they take 0.2 s more
BOUNDED = "Bounded"  # reads that may miss what was written in the last seconds
EXHAUSTIVE, METRIC = "FLAT", "IP"  # an index that compares every vector; inner products
LONGEST_LIST = 16_384  # what a Milvus server returns at most
LOAD_TIMEOUT_S = 120.0  # for a call of a load: no person waits for it, and a flush takes long

Entity = Mapping[str, Any]
Item = TypeVar("Item")


class Milvus:
    """A connection; any number of threads may call.

    Args:
        address: where the store is.
        timeout_s: seconds that a call may take.
        consistency: of reads that do not say another one.
        access: what the store asks for; None for a store that asks for nothing.
        creates: whether to make the file of a Milvus Lite that does not exist.

    Raises:
        StoreError: if pymilvus is not installed, there is no such file, or what the store asks for
            cannot be used.
        StoreUnavailableError: if there is no connection.
    """

    def __init__(
        self,
        address: StoreAddress,
        timeout_s: float,
        consistency: str = BOUNDED,
        *,
        access: StoreAccess | None = None,
        creates: bool = False,
    ) -> None:
        self.address, self._timeout_s, self._consistency = address, timeout_s, consistency
        if address.is_lite:
            self._check_file(Path(address.uri), creates=creates)
        self._pymilvus = self._imported()
        self._access = access or StoreAccess()
        self._open: list[Any] = []  # the clients that are open; the last one is used
        self._client = WatchedFiles(self._access.files, self._connected)

    def _check_file(self, file: Path, *, creates: bool) -> None:
        if not file.parent.is_dir():
            raise StoreError(f"There is no folder {file.parent}. Make it first.")
        if not creates and not file.exists():
            raise StoreError(
                f"There is no store {file}. Load an index into one with: beauty-export load INDEX "
                f"--store {self.address}"
            )

    def _imported(self) -> Any:
        try:
            import pymilvus
        except ModuleNotFoundError as error:
            extra = "milvus-lite" if self.address.is_lite else "milvus"
            raise StoreError(
                f"A store needs pymilvus. Install it with: pip install '.[{extra}]'"
            ) from error
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # what fails is raised, and logged
        return pymilvus

    def _connected(self) -> Any:
        """Connect; pymilvus reads once what it shows, so this is done again when that changes.

        The client before stays open until the next change, for the calls that are in progress.
        """
        arguments = self._access.arguments(self.address)
        options = self._channel_options()
        try:
            client = self._pymilvus.MilvusClient(
                **arguments, timeout=self._timeout_s, grpc_options=options, dedicated=True
            )
        except Exception as error:  # pymilvus raises many kinds
            raise self._failure(error, self._access.hint) from error
        self._open.append(client)
        while len(self._open) > 2:
            self._open.pop(0).close()
        return client

    def _channel_options(self) -> dict[str, int]:
        options = dict(proxy_options(self.address.host))
        if self.address.is_lite:  # its server takes pymilvus' pings every 10 s for an attack
            options |= {"grpc.keepalive_permit_without_calls": 0, "grpc.keepalive_time_ms": 600_000}
        return options

    def call(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Call a method of ``MilvusClient``.

        Args:
            method: its name.
            arguments: its arguments.
            named: its named arguments; ``timeout`` is added.

        Raises:
            StoreUnavailableError: if it fails.
        """
        function: Callable[..., Any] = getattr(self._client.content(), method)
        try:
            return function(*arguments, **{"timeout": self._timeout_s} | named)
        except Exception as error:  # pymilvus raises many kinds
            raise self._failure(error) from error

    def read(self, method: str, collection: str, consistency: str = "", **named: Any) -> Any:
        """Call a method that reads entities of a collection.

        Args:
            method: its name.
            collection: the collection's name.
            consistency: of the read; empty for that of the connection.
            named: further arguments.

        Raises:
            StoreUnavailableError: if it fails.
        """
        level = consistency or self._consistency
        return self.call(method, collection, consistency_level=level, **named)

    def close(self) -> None:
        """Close the connection."""
        for client in self._open:
            client.close()

    def has_collection(self, name: str) -> bool:
        """Whether there is a collection, or an alias, of a name."""
        return bool(self.call("has_collection", name))

    def create_collection(self, name: str, fields: Sequence[Mapping[str, Any]]) -> None:
        """Create a collection, unless there is one, with an index that compares every vector.

        Args:
            name: its name.
            fields: its fields, see ``schema``.
        """
        if self.has_collection(name):
            return
        schema = self._pymilvus.MilvusClient.create_schema(enable_dynamic_field=False)
        for field in fields:
            datatype = self._pymilvus.DataType[field["datatype"]]
            schema.add_field(**{**field, "datatype": datatype})
        index = self._pymilvus.MilvusClient.prepare_index_params()
        index.add_index(VECTOR, index_type=EXHAUSTIVE, metric_type=METRIC)
        self.call(
            "create_collection",
            name,
            schema=schema,
            index_params=index,
            consistency_level=STRONG,
        )

    def load(self, name: str) -> None:
        """Let Milvus read a collection into its memory, if it has not yet."""
        self.call("load_collection", name, timeout=LOAD_TIMEOUT_S)

    def aliased(self, alias: str) -> str | None:
        """The collection that an alias stands for; None if there is no such alias.

        Raises:
            StoreError: if the name is that of a collection.
        """
        if not self.has_collection(alias):
            return None
        name: str = self.call("describe_collection", alias)["collection_name"]
        if name == alias:
            raise StoreError(
                f"{self.address}: {alias} is a collection of its own, not the alias of a version. "
                "Choose another name."
            )
        return name

    def entities(
        self,
        collection: str,
        key_name: str,
        keys: Iterable[Any],
        fields: Sequence[str],
        consistency: str = "",
    ) -> list[Entity]:
        """Entities by their primary keys; those that are missing are left out.

        Args:
            collection: its name.
            key_name: the field of the primary key.
            keys: the keys.
            fields: the fields to return beside the key.
            consistency: of the read; empty for that of the connection.
        """
        found: list[Entity] = []
        for some in in_pieces(list(keys), KEYS_AT_ONCE):
            found += self.read(
                "get", collection, consistency, ids=some, output_fields=[key_name, *fields]
            )
        return found

    def documents(
        self, collection: str, keys: Iterable[str], consistency: str = ""
    ) -> dict[str, str]:
        """Documents by their keys; those that are missing are left out.

        Args:
            collection: its name.
            keys: the keys.
            consistency: of the read; empty for that of the connection.

        Raises:
            StoreError: if a part of a document is missing.
        """
        first = {
            entity[KEY]: entity[TEXT].partition(" ")
            for entity in self.entities(collection, KEY, keys, [TEXT], consistency)
        }
        wanted = [
            part_key(key, number)
            for key, (count, _, _) in first.items()
            for number in range(1, int(count))
        ]
        further = {
            entity[KEY]: entity[TEXT]
            for entity in self.entities(collection, KEY, wanted, [TEXT], consistency)
        }
        if missing := [key for key in wanted if key not in further]:
            raise StoreError(f"{self.address} is damaged: {collection} has no {missing[0]}.")
        return {
            key: "".join(
                [text, *(further[part_key(key, number)] for number in range(1, int(count)))]
            )
            for key, (count, _, text) in first.items()
        }

    def count(self, collection: str, expression: str = "", consistency: str = "") -> int:
        """Count the entities of a collection.

        Args:
            collection: its name.
            expression: what an entity has to fulfil; empty for nothing.
            consistency: of the read; empty for that of the connection.
        """
        found = self.read(
            "query", collection, consistency, filter=expression, output_fields=["count(*)"]
        )
        return int(found[0]["count(*)"])

    def search(
        self, collection: str, query: NDArray[np.float32], limit: int, **named: Any
    ) -> list[Any]:
        """The entities with the largest inner products, as pymilvus returns them."""
        found: list[Any] = self.read("search", collection, data=[query], limit=limit, **named)[0]
        return found

    def _failure(self, error: Exception, hint: str = "") -> StoreUnavailableError:
        said = getattr(error, "message", None) or str(error) or repr(error)
        return StoreUnavailableError(f"The store {self.address} fails: {said}{hint}")


def in_pieces(items: list[Item], length: int) -> Iterator[list[Item]]:
    """Divide a list into pieces of some length; the last may be shorter."""
    for first in range(0, len(items), length):
        yield items[first : first + length]
