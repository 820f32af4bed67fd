"""The log of changes of a version in a store: frames, and the claims of who may write them.

A *frame* is a group of changes in the format of ``changes.segment``, with the checksum of the frame
before. Its key has the position of its first change and the *ballot* of its writer. A ballot is a
number and a random text, so no two writers have the same one.

Milvus has no locks, so writers agree by claims, as in the Paxos protocol:

1. A writer makes a *claim* with a ballot above all others, and then reads the log.
2. It writes the last frame once more under its own ballot. Its own frames go behind that one.
3. After each frame it reads the claims. If there is one above its own, it tells nobody that the
   frame is durable.

Of several frames at a position, the one with the highest ballot counts. A frame that was told to be
durable was there before any higher claim. So who made the higher claim has read it, and goes on
behind it: nothing can take its place. All reads are of the consistency level Strong, so they see
every write that has ended before.
"""

from __future__ import annotations

import base64
import socket
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import getpid

from retrieval_server.changes.segment import Frame, frame_at
from retrieval_server.stores.layout import (
    CLAIM_PLACE,
    FIRST,
    KEY,
    NO_VECTOR,
    TEXT,
    VECTOR,
    claim_key,
    frame_key,
    is_part,
    part_key,
    parts_of,
    read_claim_key,
    read_frame_key,
)
from retrieval_server.stores.milvus import STRONG, Entity, Milvus

WINDOW = 1000  # positions that are read at once; each has a few entities at most


@dataclass(frozen=True)
class StoredFrame:
    """A whole frame.

    Attributes:
        first: position of its first change.
        ballot: of its writer.
        content: its bytes.
        frame: what they say.
    """

    first: int
    ballot: str
    content: bytes
    frame: Frame

    @classmethod
    def of(cls, first: int, ballot: str, content: bytes) -> StoredFrame:
        """A frame by its content.

        Raises:
            ValueError: if it is damaged.
        """
        frame = frame_at(content, 0)
        if frame is None:
            raise ValueError("it is no whole frame")
        return cls(first, ballot, content, frame)


class StoreLog:
    """Reads and writes the entities of the log of a version; any number of threads may.

    Args:
        milvus: the connection.
        collection: the collection with the changes to the version.
    """

    def __init__(self, milvus: Milvus, collection: str) -> None:
        self._milvus, self.collection = milvus, collection

    @property
    def place(self) -> str:
        """The address and the collection, for messages."""
        return f"{self._milvus.address} ({self.collection})"

    def has_changes(self) -> bool:
        """Whether the log has any frame.

        Raises:
            StoreUnavailableError: if Milvus fails.
        """
        return bool(self._milvus.count(self.collection, f"{FIRST} > 0", STRONG))

    def claims(self) -> dict[str, str]:
        """Who has claimed to write the log, by ballot.

        Raises:
            StoreUnavailableError: if Milvus fails.
        """
        found = self._read(f"{FIRST} == {CLAIM_PLACE}", [KEY, TEXT])
        return {read_claim_key(entity[KEY]): entity[TEXT] for entity in found}

    def claim(self) -> str:
        """Claim to write the log, with a ballot above all others; former claims are removed.

        Raises:
            StoreUnavailableError: if Milvus fails.
        """
        former = self.claims()
        number = 1 + max((int(ballot.partition("-")[0]) for ballot in former), default=0)
        ballot = f"{number:012d}-{uuid.uuid4().hex[:16]}"  # ballots ascend like their texts
        holder = f"{socket.gethostname()}, process {getpid()}"
        self._write([(claim_key(ballot), holder)], CLAIM_PLACE)
        if former:
            self._milvus.call("delete", self.collection, ids=list(map(claim_key, former)))
        return ballot

    def frames(
        self, first: int, ballot: str, position: int
    ) -> tuple[dict[int, list[StoredFrame]], int]:
        """The frames behind one of them, and those that may take its place.

        Args:
            first: position of the first change of that frame.
            ballot: of its writer; frames of lower ballots at the same position are left out.
            position: of its last change.

        Returns:
            The whole frames of the next positions by their first position, the highest ballot
            first; and the highest position at which there is anything, 0 without any.

        Raises:
            StoreUnavailableError: if Milvus fails.
        """
        following = f"{FIRST} > {position} and {FIRST} <= {position + WINDOW}"
        found = self._read(f"{FIRST} == {first} or ({following})", [KEY])
        keys = [entity[KEY] for entity in found if read_frame_key(entity[KEY]) > (first, ballot)]
        texts = {
            entity[KEY]: entity[TEXT]
            for entity in self._milvus.entities(self.collection, KEY, keys, [TEXT], STRONG)
        }
        whole: dict[int, list[StoredFrame]] = {}
        for key in sorted((key for key in keys if not is_part(key)), reverse=True):
            if (frame := _frame(key, texts)) is not None:
                whole.setdefault(frame.first, []).append(frame)
        return whole, max((read_frame_key(key)[0] for key in keys), default=0)

    def write(self, first: int, ballot: str, content: bytes) -> None:
        """Write a frame, which may be there already.

        Args:
            first: position of its first change.
            ballot: of its writer.
            content: its bytes.

        Raises:
            StoreUnavailableError: if Milvus fails; the frame may be there nevertheless.
        """
        text = base64.b64encode(content).decode("ascii")
        self._write(parts_of(frame_key(first, ballot), text), first)

    def _read(self, expression: str, fields: Sequence[str]) -> Sequence[Entity]:
        found: Sequence[Entity] = self._milvus.read(
            "query", self.collection, STRONG, filter=expression, output_fields=list(fields)
        )
        return found

    def _write(self, parts: Iterable[tuple[str, str]], first: int) -> None:
        entities = [{KEY: key, FIRST: first, TEXT: text, VECTOR: NO_VECTOR} for key, text in parts]
        self._milvus.call("upsert", self.collection, entities)


def _frame(key: str, texts: Mapping[str, str]) -> StoredFrame | None:
    """The frame of a key; None if a part of it is missing, or it is damaged."""
    count, _, text = texts.get(key, "").partition(" ")
    further = [texts.get(part_key(key, number)) for number in range(1, int(count or 0))]
    if not count or None in further:
        return None
    try:
        content = base64.b64decode("".join([text, *map(str, further)]), validate=True)
        return StoredFrame.of(*read_frame_key(key), content)
    except ValueError:  # of base64, too
        return None
