"""The component ``scale-out``: its jobs and its server as ``cpu-dev`` defines them, with a Milvus.

Milvus Lite answers as the Milvus of the cluster, over the network.
"""

import copy
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from client.__main__ import main as search_main
from deploy.policies.rendering import Manifests, manifests
from export.__main__ import main as export_main
from retrieval_server.__main__ import main as server_main
from retrieval_server.models.profile import Profile
from tests.support.deploy.kubelet import Place, run_job, running
from tests.support.deploy.place import free_port
from tests.support.export.shard_job import Job
from tests.support.programs.command import command

milvus_lite = pytest.importorskip(
    "milvus_lite.adapter.grpc.server", reason="needs the extra milvus-lite"
)


@pytest.fixture
def milvus_port(tmp_path: Path) -> Iterator[int]:
    server, database, port = milvus_lite.start_server_in_thread(str(tmp_path / "milvus.db"))
    yield port
    server.stop(grace=0).wait()
    database.close()


@pytest.fixture
def rendered() -> Manifests:
    """The texts in one shard: each pair of shards is a process here."""
    changed = copy.deepcopy(manifests("cpu-dev", ("scale-out",)))
    changed.get("ConfigMap/index-build")["data"].update(TEXT_SHARDS="1", TEXT_PAIRS="1")
    return changed


@pytest.fixture
def place(
    tiny_profile_file: Path,
    tiny_repository: Path,
    tiny_catalogue: Path,
    milvus_port: int,
    tmp_path: Path,
) -> Place:
    """Descriptors come from the process, so that this needs no Triton."""
    with ExitStack() as held:
        own = {port: free_port(held) for port in (50051, 50052, 9464)}
    (tmp_path / "index").mkdir()
    return Place(
        programs={
            "beauty-server": command(server_main),
            "beauty-search": command(search_main),
            "beauty-export": command(export_main),
        },
        paths={
            "/models": tiny_repository,
            "/index": tmp_path / "index",
            "/catalogue/sample": tiny_catalogue,
            "/tmp": tmp_path,
        },
        ports={
            "retrieval": own,
            "triton": {8001: own[50051]},
            "milvus.milvus": {19530: milvus_port},
        },
        left_out=frozenset({"NUMBA_CACHE_DIR"}),
        words={"0.0.0.0": "127.0.0.1", "triton": "embedded"},
        of_the_images={"BEAUTY_EXPORT_PROFILE": str(tiny_profile_file)},
    )


def test_jobs_join_the_texts_and_load_the_index_that_the_server_serves_without_a_volume(
    rendered: Manifests,
    place: Place,
    tiny_profile: Profile,
    tiny_repository: Path,
    tiny_catalogue: Path,
    tiny_index: Path,
    tmp_path: Path,
) -> None:
    index = place.paths["/index"]
    Job(tiny_catalogue, tiny_profile, tiny_repository, index / ".shards").extract_all(2)
    for name, more in (
        ("fit-texts", {}),
        ("join-texts", {"JOB_COMPLETION_INDEX": "0"}),
        ("merge-index", {}),
        ("load-index", {}),
    ):
        done = run_job(rendered, name, place, **more)
        assert done.returncode == 0, done.stderr
    assert (index / "current").read_text() == (tiny_index / "current").read_text()
    assert not (index / ".texts").exists()

    (served,) = rendered.pods("retrieval")
    assert "/index" not in str(served.spec)
    with running(rendered, "retrieval", place, tmp_path) as pod:
        pod.start_up()
        found = run_job(rendered, "smoke-test", place)
        assert found.returncode == 0, found.stderr
        assert pod.end() > 0
