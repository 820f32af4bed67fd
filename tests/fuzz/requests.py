"""Requests as they come off the wire, to a real server; and filters, read and applied."""

import asyncio
import threading
from pathlib import Path

import grpc
import numpy as np
from google.protobuf.message import DecodeError

from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index.build import IndexBuild
from retrieval_server.errors import QueryError
from retrieval_server.filters.typed import TypedFilter
from retrieval_server.serving.calls.filter_messages import filter_of
from retrieval_server.serving.server import RunningServer, start_server
from retrieval_server.serving.settings import Settings
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.fuzz.target import Prepared, Reader, Target
from tests.support.made_up_index import made_up_index
from tests.support.search_calls import photo
from tests.support.tiny_world import DIMENSIONS, TINY_PROFILE, write_catalogue, write_repository

REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
METHODS = ("Search", "GetProducts", "GetStatus")
BRAND = pb.Filter(equals=pb.Equals(column="brand", value=pb.Value(text="Nuxe")))
FILTERS = (
    BRAND,
    pb.Filter(range=pb.Range(column="price", below=7.99, at_least=1)),
    pb.Filter(one_of=pb.OneOf(column="price", values=[pb.Value(number=5), pb.Value(truth=True)])),
    pb.Filter(is_missing=pb.IsMissing(column="sold")),
    pb.Filter(all_of=pb.Filters(filters=[BRAND, pb.Filter(none_of=pb.Filters(filters=[BRAND]))])),
)
CONDITIONS = (
    "brand = Nuxe",
    "price <= 12.50",
    "brand != 'L''Oréal'",
    "product in (P0001, P0002)",
    "brand not in (Nuxe)\0sold = true",
    "sold is not missing",
)
SEARCHES = (
    pb.SearchRequest(image=photo(1), top_k=7, keep=3),
    pb.SearchRequest(image=photo(2), more_images=[photo(3)], alpha={"tiny_a": 2}),
    pb.SearchRequest(product_id="p0000", filter=BRAND, exclude_ids=["p0001"]),
    pb.SearchRequest(words="ruby lipstick", text_weight=1, group_by="brand", min_similarity=0.5),
    pb.SearchRequest(
        descriptors=pb.Descriptors(
            by_model={name: pb.Descriptor(values=[0.5] * size) for name, size in DIMENSIONS.items()}
        )
    ),
)


def _prepare_requests(folder: Path) -> Prepared:
    seeds = [b"\0" + search.SerializeToString() for search in SEARCHES]
    seeds.append(b"\1" + pb.GetProductsRequest(product_ids=["p0000", "x"]).SerializeToString())
    seeds.append(b"\2")
    running = _serve(folder)
    return Prepared(_caller(running), tuple(seeds))


def _serve(folder: Path) -> RunningServer:
    """Start a server with small models; it ends with the process."""
    (folder / "catalogue").mkdir()
    write_catalogue(folder / "catalogue", families=3, members=3)
    repository, index = folder / "models", folder / "index"
    write_repository(repository)
    catalogue = read_catalogue(folder / "catalogue")
    IndexBuild(catalogue, TINY_PROFILE, EngineChoice(repository), index).run()
    settings = Settings(
        index=index, model_repository=repository, port=0, workers=1, max_image_bytes=100_000
    )
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return asyncio.run_coroutine_threadsafe(start_server(settings), loop).result()


class RefusedError(Exception):
    """The server has refused a request with a status that it documents."""


def _caller(running: RunningServer) -> Reader:
    channel = grpc.insecure_channel(running.address)
    calls = [channel.unary_unary(f"/retrieval_server.v1.RetrievalService/{m}") for m in METHODS]

    def call(data: bytes, _alive: RunningServer = running) -> None:
        method = data[0] % len(calls) if data else 0
        try:
            calls[method](data[1:], timeout=5)
        except grpc.RpcError as error:
            if error.code() not in REFUSALS:
                raise
            raise RefusedError(error.details()) from error

    return call


def _prepare_filters(folder: Path) -> Prepared:
    index = made_up_index(folder / "index", TINY_PROFILE, np.random.default_rng(5), 60)

    def read(data: bytes) -> None:
        request = pb.SearchRequest(filter=pb.Filter.FromString(data))
        index.allowed_rows(filter_of(request), ())

    return Prepared(read, tuple(each.SerializeToString() for each in FILTERS))


def _prepare_conditions(folder: Path) -> Prepared:
    index = made_up_index(folder / "index", TINY_PROFILE, np.random.default_rng(5), 60)

    def read(data: bytes) -> None:
        typed = TypedFilter.of_texts(data.decode("utf-8", "surrogateescape").split("\0"))
        typed.check(index.columns)
        index.allowed_rows(typed.filter, ())

    return Prepared(read, tuple(condition.encode() for condition in CONDITIONS))


REQUESTS = Target("requests", _prepare_requests, (RefusedError,), cost=10)
FILTERS_SENT = Target("filters", _prepare_filters, (DecodeError, QueryError))
FILTERS_TYPED = Target("conditions", _prepare_conditions, (ValueError, QueryError), longest=256)
