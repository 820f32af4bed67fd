"""What is served and asked in a soak: an index of two catalogues, which change."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from client import RetrievalClient, SearchResult
from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index.build import IndexBuild
from export.models.profiles import profile_toml
from retrieval_server.engines.create_engine import create_engine
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import finished_versions, readable_current
from retrieval_server.models.preprocessing import read_image
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc
from tests.soak.history import TOP_K, Descriptors, History
from tests.support.tiny_world import SIDE, TINY_PROFILE, write_catalogue, write_repository

FAMILIES = (8, 12)  # of the catalogue of each version
ONLY_IN_THE_SECOND = f"p{FAMILIES[0]:02d}00"
MEMBERS = 5
CALL_TIMEOUT_S = 3.0


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
        looks: the descriptors that it searches for, in the index of each catalogue.
        left_out: id of the product that it leaves out; empty for none.
    """

    name: str
    ask: Callable[[Caller], Answer]
    looks: tuple[Descriptors, ...]
    left_out: str = ""


@dataclass(frozen=True)
class World:
    """A model repository, an index of two catalogues that change, and queries.

    Compactions make a line of versions of each catalogue; one of the two is current.

    Attributes:
        repository: the models.
        profile_file: the profile, for a build.
        index: the index folder.
        catalogue: the last catalogue.
        queries: photos, descriptors and products.
        photos: and their descriptors.
        changeable: ids of products of both catalogues that no query is about.
        histories: what each catalogue was at each position of its log.
    """

    repository: Path
    profile_file: Path
    index: Path
    catalogue: Path
    queries: tuple[Query, ...]
    photos: tuple[tuple[Path, Descriptors], ...]
    changeable: tuple[str, ...]
    histories: tuple[History, ...]
    _heads: dict[int, str]
    _lineages: dict[str, int] = field(default_factory=dict)

    @property
    def current(self) -> str:
        """The version that is current."""
        current = readable_current(self.index)
        assert current is not None, "it is written in one step"
        return current

    @property
    def versions(self) -> int:
        """How many versions there are."""
        return len(finished_versions(self.index))

    def lineage_of(self, version: str) -> int:
        """The number of the catalogue that a version is of."""
        if version not in self._lineages:
            bundle = IndexBundle(self.index / version)
            self._lineages[version] = int(bundle.row_of(ONLY_IN_THE_SECOND) is not None)
        return self._lineages[version]

    def other(self) -> str:
        """The newest version of the catalogue that is not current."""
        current = self.current
        self._heads[self.lineage_of(current)] = current
        return self._heads[1 - self.lineage_of(current)]

    def is_right(self, query: Query, answer: Answer) -> bool | None:
        """Whether an answer is right; None if a change that it saw is not answered yet."""
        lineage = self.lineage_of(answer.index_version)
        return self.histories[lineage].agrees(
            query.looks[lineage], query.left_out, answer.change_position, list(answer.results)
        )


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
    looks = tuple(zip(photos, described, strict=True))
    queries = [_by_photo(path, query) for path, query in looks]
    queries += [_by_descriptors(path.name, query) for path, query in looks]
    queries += [_by_product(f"p{family:02d}01", bundles) for family in range(min(FAMILIES))]
    members = [f"p{family:02d}{member:02d}" for family in range(4) for member in range(2, MEMBERS)]
    return World(
        repository=repository,
        profile_file=profile_file,
        index=index,
        catalogue=catalogue,
        queries=tuple(queries),
        photos=looks,
        changeable=tuple(members),
        histories=tuple(map(History, bundles)),
        _heads={number: bundle.version for number, bundle in enumerate(bundles)},
    )


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


def _by_photo(path: Path, query: Descriptors) -> Query:
    photo = path.read_bytes()
    return Query(
        path.name,
        lambda caller: caller.client.search(photo, top_k=TOP_K, refine=False),
        (query,) * len(FAMILIES),
    )


def _by_descriptors(name: str, query: Descriptors) -> Query:
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
        (query,) * len(FAMILIES),
    )


def _by_product(product_id: str, bundles: list[IndexBundle]) -> Query:
    looks = []
    for bundle in bundles:
        row = bundle.row_of(product_id)
        assert row is not None
        looks.append(bundle.descriptors_of(row))
    return Query(
        product_id,
        lambda caller: caller.client.similar(product_id, top_k=TOP_K, refine=False),
        tuple(looks),
        left_out=product_id,
    )
