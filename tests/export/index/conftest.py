"""Builds of an index in this process, and a catalogue to change."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index.build import BuiltIndex, IndexBuild
from retrieval_server.models.profile import Profile
from tests.support.export.index_builds import Build


@pytest.fixture
def build(tiny_profile: Profile, tiny_repository: Path) -> Build:
    def run(catalogue: Path, root: Path, **changes: object) -> BuiltIndex:
        job = IndexBuild(
            read_catalogue(catalogue), tiny_profile, EngineChoice(tiny_repository), root
        )
        return replace(job, **changes).run()

    return run


@pytest.fixture
def changed(catalogue_folder: Callable[..., Path]) -> Path:
    """A catalogue to change."""
    return catalogue_folder(families=2, members=3)
