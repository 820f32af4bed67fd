"""The address of a store, as the commands take it.

``milvus://HOST:PORT/COLLECTION`` is a Milvus server, ``milvus-lite:PATH.db/COLLECTION`` a file of
Milvus Lite, which runs in the process. COLLECTION is the name under which versions are published.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from retrieval_server.command_line.addresses import checked_address, refuse_secrets

SERVER, LITE = "milvus://", "milvus-lite:"
LITE_SUFFIX = ".db"  # by which pymilvus knows that an address is a file
LONGEST_COLLECTION = 200  # characters; Milvus allows 255, and versions add to the name
_HTTP = "http://"
HOW = f"Write {SERVER}HOST:PORT/COLLECTION or {LITE}PATH{LITE_SUFFIX}/COLLECTION."


@dataclass(frozen=True)
class StoreAddress:
    """Where an index is stored.

    Attributes:
        text: the address as it was given.
        uri: what pymilvus connects to.
        collection: the name under which versions are published.
    """

    text: str
    uri: str
    collection: str

    @classmethod
    def of(cls, text: str) -> StoreAddress:
        """Read an address.

        Args:
            text: the address, as a person gives it.

        Raises:
            ValueError: if it is no address; the message is one line that says what to write.
        """
        place, slash, collection = text.rpartition("/")
        is_server, is_lite = text.startswith(SERVER), text.startswith(LITE)
        refuse_secrets(
            collection if is_lite else text
        )  # the path of a file may have any characters
        if not (is_server or is_lite):
            raise ValueError(f"{text!r} is no address of a store. {HOW}")
        if not slash or len(place) < len(SERVER if is_server else LITE):
            raise ValueError(f"{text!r} names no collection. {HOW}")
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", collection):
            raise ValueError(
                f"{text!r} ends with the collection {collection!r}; Milvus takes letters, digits "
                "and underscores, and no digit at the beginning."
            )
        if len(collection) > LONGEST_COLLECTION:
            raise ValueError(
                f"{text!r} has a collection of {len(collection)} characters; at most "
                f"{LONGEST_COLLECTION} are accepted."
            )
        if is_server:
            return cls(
                text, f"{_HTTP}{_checked_host(place.removeprefix(SERVER), text)}", collection
            )
        return cls(text, _checked_file(place.removeprefix(LITE), text), collection)

    @property
    def is_lite(self) -> bool:
        """Whether it is a file of Milvus Lite."""
        return self.text.startswith(LITE)

    @property
    def host(self) -> str:
        """Where pymilvus connects to, as ``HOST:PORT``; Milvus Lite is on this machine."""
        return "localhost" if self.is_lite else self.uri.removeprefix(_HTTP)

    def __str__(self) -> str:
        return self.text


def _checked_host(host: str, text: str) -> str:
    if host.startswith(("unix", "dns")) or "/" in host:
        raise ValueError(f"{text!r} has no HOST:PORT before its collection. {HOW}")
    return checked_address(host)


def _checked_file(path: str, text: str) -> str:
    if not path.endswith(LITE_SUFFIX) or Path(path).name == LITE_SUFFIX:
        raise ValueError(f"{text!r} names no file that ends with {LITE_SUFFIX}. {HOW}")
    return path
