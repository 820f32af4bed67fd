"""What is served in a soak, and the right answers: brute force in float64 over each version."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from client import RetrievalClient, SearchResult
from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index.build import IndexBuild
from export.models.profiles import profile_toml
from retrieval_server.engines.create_engine import create_engine
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.models.preprocessing import read_image
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc
from tests.support.reference_search import brute_force
from tests.support.tiny_world import SIDE, TINY_PROFILE, write_catalogue, write_repository

FAMILIES = (8, 12)  # of the catalogue of each version
MEMBERS = 5
TOP_K = 7
CALL_TIMEOUT_S = 3.0
TOLERANCE = 1e-5  # of a similarity: float32 against float64


Answer = SearchResult | pb.SearchResponse  # they have the same fields


class Caller(NamedTuple):
    """Both ways to call a server."""

    client: RetrievalClient
    stub: pb_grpc.RetrievalServiceStub


@dataclass(frozen=True)
class Query:
    """A query that can be asked again and again.

    Attributes:
        name: for messages.
        ask: asks as a caller.
        similarities: eq. (8) for each product id, by version.
    """

    name: str
    ask: Callable[[Caller], Answer]
    similarities: dict[str, dict[str, float]]

    def is_right(self, answer: Answer) -> bool:
        """Whether an answer has the best products of its version, with their similarities."""
        of_version = self.similarities[answer.index_version]
        best = sorted(of_version.values(), reverse=True)[:TOP_K]
        found = [match.similarity for match in answer.results]
        named = [of_version.get(match.product_id, -1.0) for match in answer.results]
        return len(found) == len(best) and bool(
            np.allclose(found, best, rtol=0, atol=TOLERANCE)
            and np.allclose(found, named, rtol=0, atol=TOLERANCE)
        )


@dataclass(frozen=True)
class World:
    """A model repository, an index with two versions, and queries.

    Attributes:
        repository: the models.
        profile_file: the profile, for a build.
        index: the index folder.
        versions: names of its versions.
        catalogue: the catalogue of the last version.
        queries: photos, descriptors and products.
    """

    repository: Path
    profile_file: Path
    index: Path
    versions: tuple[str, ...]
    catalogue: Path
    queries: tuple[Query, ...]


def make_world(folder: Path) -> World:
    """Write models and catalogues, build both versions, and compute the right answers."""
    repository, index = folder / "models", folder / "index"
    write_repository(repository)
    profile_file = folder / "tiny.toml"
    profile_file.write_text(profile_toml(TINY_PROFILE), encoding="utf-8")
    bundles = []
    for number, families in enumerate(FAMILIES):
        catalogue = folder / f"catalogue-{number}"
        catalogue.mkdir()
        write_catalogue(catalogue, families, MEMBERS)
        rows = read_catalogue(catalogue)
        built = IndexBuild(rows, TINY_PROFILE, EngineChoice(repository), index).run()
        bundles.append(IndexBundle(built.folder))
    photos = sorted((folder / "catalogue-0" / "queries").iterdir())
    described = asyncio.run(_described(repository, photos))
    queries = [
        _by_photo(path, query, bundles) for path, query in zip(photos, described, strict=True)
    ]
    queries += [
        _by_descriptors(path.name, query, bundles)
        for path, query in zip(photos, described, strict=True)
    ]
    queries += [_by_product(f"p{family:02d}01", bundles) for family in range(min(FAMILIES))]
    versions = tuple(bundle.version for bundle in bundles)
    return World(repository, profile_file, index, versions, catalogue, tuple(queries))


Descriptors = tuple[NDArray[np.float32], ...]


async def _described(repository: Path, photos: list[Path]) -> list[Descriptors]:
    """The photos' descriptors, by the models themselves."""
    engine = create_engine(
        "embedded", repository, TINY_PROFILE.name, workers=1, threads_per_image=1
    )
    try:
        found = [
            await engine.infer(TINY_PROFILE.name, read_image(photo, SIDE)[np.newaxis])
            for photo in photos
        ]
    finally:
        await engine.close()
    return [tuple(each[model][0] for model in TINY_PROFILE.models) for each in found]


def _similarities(
    query: Descriptors, bundles: list[IndexBundle], left_out: str = ""
) -> dict[str, dict[str, float]]:
    alphas = tuple(TINY_PROFILE.alphas.values())
    return {
        bundle.version: {
            bundle.product_id(row): float(value)
            for row, value in enumerate(brute_force(bundle, query, alphas))
            if bundle.product_id(row) != left_out
        }
        for bundle in bundles
    }


def _by_photo(path: Path, query: Descriptors, bundles: list[IndexBundle]) -> Query:
    photo = path.read_bytes()
    return Query(
        path.name,
        lambda caller: caller.client.search(photo, top_k=TOP_K, refine=False),
        _similarities(query, bundles),
    )


def _by_descriptors(name: str, query: Descriptors, bundles: list[IndexBundle]) -> Query:
    given = {
        model: pb.Descriptor(values=values.tolist())
        for model, values in zip(TINY_PROFILE.models, query, strict=True)
    }
    request = pb.SearchRequest(
        descriptors=pb.Descriptors(by_model=given), top_k=TOP_K, refine=False
    )
    return Query(
        f"descriptors of {name}",
        lambda caller: caller.stub.Search(request, timeout=CALL_TIMEOUT_S),
        _similarities(query, bundles),
    )


def _by_product(product_id: str, bundles: list[IndexBundle]) -> Query:
    by_version = {}
    for bundle in bundles:
        row = bundle.row_of(product_id)
        assert row is not None
        query = bundle.descriptors_of(row)
        by_version |= _similarities(query, [bundle], left_out=product_id)
    return Query(
        product_id,
        lambda caller: caller.client.similar(product_id, top_k=TOP_K, refine=False),
        by_version,
    )
