"""The calls that change the catalogue: ``Upsert`` and ``Delete``."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import cache
from hashlib import sha256

from retrieval_server.changes.change import Delete, Upsert, encoded
from retrieval_server.changes.checks import checked_product, covers
from retrieval_server.errors import EngineUnavailableError, QueryError, RetrievalError
from retrieval_server.observability.request_metrics import RequestMetrics
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import QueryDescriptors
from retrieval_server.serving.admission.deadline import Deadline
from retrieval_server.serving.calls.answering import Answering, Call
from retrieval_server.serving.calls.descriptor_values import values_by_model
from retrieval_server.serving.calls.group_commit import GroupCommit
from retrieval_server.serving.calls.photos import PhotoStages
from retrieval_server.serving.calls.products import checked_ids
from retrieval_server.serving.calls.streamed_call import StreamedCall
from retrieval_server.serving.calls.streams import Stream, Streams
from retrieval_server.serving.calls.upsert_stream import (
    MOST_IN_PROGRESS,
    Prepared,
    StreamedUpsert,
    UpsertQueue,
    UpsertStream,
)
from retrieval_server.serving.served.change_feed import ChangeFeed, Committed
from retrieval_server.serving.served.served_index import ServedIndex
from retrieval_server.text.read_text import NOT_READ, ReadText, encode_read
from retrieval_server.v1 import retrieval_pb2 as pb

log = logging.getLogger(__name__)


class ChangeCalls:
    """Answers the calls that change the catalogue.

    Args:
        served: holds the index.
        feed: writes its log.
        photos: describe the images of products.
        max_image_bytes: size of the largest image that is accepted.
        answering: translates errors, and logs.
        measuring: measures each upsert.
        streams: all open ones of the server.
    """

    def __init__(
        self,
        served: ServedIndex,
        feed: ChangeFeed,
        photos: PhotoStages,
        max_image_bytes: int,
        answering: Answering,
        measuring: RequestMetrics,
        streams: Streams,
    ) -> None:
        self.feed = feed
        self._served, self._photos, self._max_image_bytes = served, photos, max_image_bytes
        self._answering, self._streams = answering, streams
        self._commits = GroupCommit(feed.commit)
        self._queue = UpsertQueue(self._prepared, self._commits)
        self._answer = measuring.measured("Upsert", self._answered)
        self._covers = cache(covers)  # once for each language filter
        self._has_reader = cache(self._is_reader)  # once for each reader of an index

    async def upserts(
        self, requests: AsyncIterator[pb.UpsertRequest], context: Call
    ) -> AsyncGenerator[pb.UpsertResponse, None]:
        """Answer a stream of upserts, each in its turn.

        Args:
            requests: the upserts.
            context: of the stream.

        Yields:
            One response for each request.
        """
        counts = Counter(durable=0, refused=0)
        async with self._answering.answering_changes(counts, context) as request_id:
            self.feed.require_writable()
            upserts = UpsertStream(requests, self._answer, context, request_id)
            stream = Stream(upserts.requests(), upserts.answer, MOST_IN_PROGRESS, in_order=True)
            async with aclosing(self._streams.responses(stream, context)) as responses:
                async for response in responses:
                    counts["refused" if response.code else "durable"] += 1
                    yield response

    async def _answered(self, upsert: StreamedUpsert, call: StreamedCall) -> pb.UpsertResponse:
        work = self._queue.commit(upsert)
        committed = await self._answering.answer_streamed_change(work, upsert.stream_id, call)
        return pb.UpsertResponse(
            product_id=upsert.request.product_id,
            change_position=committed.position,
            index_version=committed.version,
        )

    async def delete(self, request: pb.DeleteRequest, request_id: str) -> pb.DeleteResponse:
        """Remove products.

        Args:
            request: names them.
            request_id: id of the request.

        Raises:
            QueryError: if there is no id, or too many.
            ChangeLogError: if this server takes no changes, or they cannot be written.
        """
        self.feed.require_writable()
        wanted = checked_ids(request.product_ids)
        bundle = self._served.retriever.bundle
        there = await asyncio.to_thread(bundle.rows_of, wanted)
        found = [product_id for product_id in wanted if product_id in there]
        committed = Committed(bundle.version, bundle.change_position)
        if found:
            contents = [encoded(Delete(each)) for each in found]
            committed = await self._commits.add(bundle.version, contents)
        return pb.DeleteResponse(
            deleted_count=len(found),
            missing_ids=[product_id for product_id in wanted if product_id not in there],
            change_position=committed.position,
            index_version=committed.version,
            request_id=request_id,
        )

    def warm_up(self) -> None:
        """Load what tells the language of a description, if this server takes changes.

        Logs a warning if the words on images cannot be read.

        Raises:
            RetrievalError: if its packages are not installed.
        """
        if not self.feed.is_writable:
            return
        self._has_reader(self.feed.version.manifest.words.reader)
        try:
            self._covers(self.feed.version.manifest.text["language_filter"])
        except ModuleNotFoundError as error:
            raise RetrievalError(
                f"--writable needs {error.name}, which tells the language of descriptions. Install "
                "it with: pip install '.[languages]'"
            ) from error

    async def close(self) -> None:
        """Finish the changes in progress, and let another server write the log."""
        await self._commits.finish()
        self.feed.close()

    async def _prepared(self, request: pb.UpsertRequest, deadline: Deadline) -> Prepared:
        """An upsert as the log has it.

        Raises:
            QueryError: if the index cannot have it.
            RetrievalError: if its image cannot be described now.
        """
        version, retriever = self.feed.version, self._served.retriever
        product = checked_product(
            request.product_id,
            request.description,
            request.image_path,
            request.attributes,
            version.columns,
        )
        digest, read_entry = "", NOT_READ
        match request.WhichOneof("look"):
            case "image":
                descriptors, read_entry = await self._described(request.image, retriever, deadline)
                digest = sha256(request.image).hexdigest()
            case "descriptors":
                descriptors = retriever.check_descriptors(values_by_model(request.descriptors))
            case _:
                raise QueryError("look", "is missing. Set image or descriptors.")
        is_covered = self._covers(version.manifest.text["language_filter"])
        upsert = Upsert(
            product=product,
            descriptors=tuple(
                descriptor.astype(dtype)
                for descriptor, (dtype, _) in zip(
                    descriptors, version.descriptor_shapes, strict=True
                )
            ),
            image_digest=digest,
            has_text_neighbours=is_covered(product.description),
            read_entry=read_entry,
        )
        return Prepared(version.version, encoded(upsert))

    async def _described(
        self, image: bytes, retriever: Retriever, deadline: Deadline
    ) -> tuple[QueryDescriptors, str]:
        """The descriptors of an image, and what was read on it if the index has such words.

        Raises:
            QueryError: if the image cannot be used.
            EngineError: if it cannot be described or read now.
        """
        if len(image) > self._max_image_bytes:
            raise QueryError(
                "image",
                f"has {len(image):,} bytes; at most {self._max_image_bytes:,} are accepted.",
            )
        reads = self._has_reader(retriever.bundle.manifest.words.reader)
        seen = await self._photos.see([image], retriever, deadline, pb.Timings(), reads=reads)
        if not reads:
            return seen.query, NOT_READ
        if seen.words.warning:  # the log would lack the words for good
            raise EngineUnavailableError(f"{seen.words.warning} Send the product again.")
        lines = [ReadText(read.line.text, read.line.confidence) for read in seen.words.lines]
        return seen.query, encode_read(lines)

    def _is_reader(self, wanted: str) -> bool:
        """Whether this server has the reader of an index, by its digest; else say so."""
        if not wanted:
            return False  # no image of the index was read
        has = "" if self._photos.reader is None else self._photos.reader.digest
        if has != wanted:
            log.warning(
                "The words on the images of upserts are not read: those of the index were read by "
                "the reader %s, this server has %s. Serve the models of that reader.",
                wanted[:12],
                f"the reader {has[:12]}" if has else "none",
            )
        return has == wanted
