"""Extractions of the shards of one catalogue, and their merge."""

from dataclasses import replace
from pathlib import Path

import pytest

from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.descriptors.extract_shard import ShardExtraction
from export.descriptors.finished_shards import FinishedShard
from export.descriptors.shards import Shard
from export.index.build import BuiltIndex, IndexBuild
from retrieval_server.errors import ShardError
from retrieval_server.models.profile import Profile

PRODUCTS = 140  # three blocks in one shard
UNREADABLE = ("p0003", "p0100", "p1204", "p2704")
WHITE = ("p0001", "p1300", "p2703")  # an all-zero descriptor


class Job:
    """Extractions of one catalogue by one profile, beside each other in one folder."""

    def __init__(self, catalogue: Path, profile: Profile, repository: Path, folder: Path) -> None:
        self.catalogue = catalogue
        self.profile = profile
        self.repository = repository
        self.folder = folder

    def extraction(self, number: int, count: int, **changes: object) -> ShardExtraction:
        shard = Shard(number, count)
        whole = ShardExtraction(
            catalogue=read_catalogue(self.catalogue),
            shard=shard,
            profile=self.profile,
            engine=EngineChoice(self.repository),
            folder=self.folder / shard.folder_name,
        )
        return replace(whole, **changes)

    def extract(self, number: int, count: int, **changes: object) -> tuple[FinishedShard, bool]:
        extracted = self.extraction(number, count, **changes).run()
        return extracted.shard, extracted.is_new

    def extract_all(self, count: int) -> None:
        for number in range(count):
            self.extract(number, count)

    def place(self, number: int, count: int) -> Path:
        return self.folder / Shard(number, count).folder_name

    def merge(self, root: Path, **changes: object) -> BuiltIndex:
        build = IndexBuild(
            read_catalogue(self.catalogue),
            self.profile,
            EngineChoice(self.repository),
            root,
            from_shards=self.folder,
        )
        return replace(build, **changes).run()

    def refused(self, root: Path, **changes: object) -> str:
        with pytest.raises(ShardError) as caught:
            self.merge(root, **changes)
        assert not (root / "current").exists()
        return str(caught.value)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
