"""The component ``changes`` runs: a writer, a server that follows, and the job that compacts.

No Triton: the descriptors come from the process.
"""

import copy
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from client import Access, CatalogueProduct, RetrievalClient, RetrievalError, Upserted
from client.__main__ import main as search_main
from deploy.policies.registry import findings
from deploy.policies.rendering import DEPLOY, Manifests, manifests, overlays
from export.__main__ import main as export_main
from retrieval_server.__main__ import main as server_main
from retrieval_server.index.publish import current_version
from tests.support.deploy.kubelet import Place, RunningPod, run_job, running
from tests.support.deploy.place import TOKEN, free_port, write_secrets
from tests.support.patience import PATIENCE_S, eventually
from tests.support.programs.command import command

CHANGE_TOKEN = "-".join(("another", "token", "of", "the", "tests"))
SERVERS = ("writer", "retrieval")


@pytest.fixture
def rendered() -> Manifests:
    """The servers look for a new version each second, and not each ten."""
    changed = copy.deepcopy(manifests("cpu-dev", ("tls", "client-tls", "changes")))
    changed.get("ConfigMap/retrieval")["data"]["RETRIEVAL_RELOAD_EVERY_S"] = "1"
    return changed


@pytest.fixture
def secrets(certificates: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    write_secrets(certificates, folder)
    (folder / "tokens" / "tokens").write_text(f"{TOKEN}\n{CHANGE_TOKEN} change\n")
    (folder / "tokens" / "change").write_text(CHANGE_TOKEN)
    return folder


@pytest.fixture
def place(
    tiny_profile_file: Path,
    tiny_repository: Path,
    tiny_index_copy: Path,
    tiny_catalogue: Path,
    secrets: Path,
    tmp_path: Path,
) -> Place:
    with ExitStack() as held:
        ports = {name: {port: free_port(held) for port in (50051, 50052, 9464)} for name in SERVERS}
    return Place(
        programs={
            "beauty-server": command(server_main),
            "beauty-search": command(search_main),
            "beauty-export": command(export_main),
        },
        paths={
            "/models": tiny_repository,
            "/index": tiny_index_copy,
            "/catalogue/sample": tiny_catalogue,
            "/tls": secrets / "tls",
            "/tokens": secrets / "tokens",
            "/tmp": tmp_path,
        },
        ports=ports | {"triton": {8001: ports["writer"][50051]}},
        left_out=frozenset({"NUMBA_CACHE_DIR"}),
        words={"0.0.0.0": "127.0.0.1", "triton": "embedded"},
        of_the_images={"BEAUTY_EXPORT_PROFILE": str(tiny_profile_file)},
    )


@pytest.fixture
def pods(rendered: Manifests, place: Place, tmp_path: Path) -> Iterator[dict[str, RunningPod]]:
    """The writer and one server that follows, both ready."""
    with ExitStack() as stack:
        found = {
            name: stack.enter_context(running(rendered, name, place, tmp_path)) for name in SERVERS
        }
        for pod in found.values():
            pod.start_up()
        yield found


def client_of(pod: RunningPod, secrets: Path, token: str) -> RetrievalClient:
    """A client with one of the tokens, which waits as long as an overloaded machine needs."""
    access = Access(tls_ca=secrets / "tls" / "ca.crt", token_file=secrets / "tokens" / token)
    return RetrievalClient(pod.address("grpc"), timeout_s=PATIENCE_S, access=access)


def version_and_changes(client: RetrievalClient, product_id: str) -> tuple[str, int] | None:
    """What a search for what resembles a product saw; None while there is no such product."""
    try:
        found = client.similar(product_id)
    except RetrievalError:
        return None
    return found.index_version, found.change_position


def test_a_change_is_followed_and_compacted(
    rendered: Manifests,
    place: Place,
    pods: dict[str, RunningPod],
    secrets: Path,
    tiny_catalogue: Path,
) -> None:
    index = place.paths["/index"]
    before = current_version(index)
    new = CatalogueProduct(product_id="new", image=tiny_catalogue / "queries" / "q00.jpg")
    with (
        client_of(pods["writer"], secrets, "change") as changing,
        client_of(pods["writer"], secrets, "smoke-test") as searching,
        client_of(pods["retrieval"], secrets, "change") as elsewhere,
        client_of(pods["retrieval"], secrets, "smoke-test") as following,
    ):
        with pytest.raises(RetrievalError, match="has not the right 'change'"):
            searching.delete(["p0000"])
        with pytest.raises(RetrievalError, match="RETRIEVAL_WRITABLE"):
            elsewhere.delete(["p0000"])
        (done,) = changing.upsert([new])
        assert isinstance(done, Upserted)
        assert done.is_durable, done.message
        eventually(lambda: version_and_changes(following, "new") == (before, 1))

        compacted = run_job(rendered, "compact-index", place)
        assert compacted.returncode == 0, compacted.stderr
        after = current_version(index)
        assert after != before
        eventually(lambda: version_and_changes(following, "new") == (after, 1))
        assert changing.delete(["new"]).deleted_count == 1
        eventually(lambda: version_and_changes(following, "new") is None)
    assert pods["writer"].end() > 0


@pytest.mark.parametrize(
    "others", [("local-index",), ("image-volume",), ("many-nodes", "scale-out")]
)
def test_servers_of_another_index_have_no_writer(others: tuple[str, ...]) -> None:
    with pytest.raises(RuntimeError, match="cannot be rendered"):
        manifests("gpu-prod", ("tls", "client-tls", *others, "changes"))


def test_a_catalogue_that_everybody_may_change_is_not_rendered() -> None:
    with pytest.raises(RuntimeError, match=r"Certificate.*retrieval"):
        manifests("gpu-prod", ("tls", "changes"))


@pytest.mark.parametrize("overlay", overlays())
def test_the_writer_is_as_large_as_the_servers_where_an_overlay_lists_the_component(
    overlay: str, tmp_path: Path
) -> None:
    """The overlay's own patches then come after the component."""
    tree = tmp_path / "deploy"
    shutil.copytree(DEPLOY, tree, ignore=shutil.ignore_patterns("policies", "__pycache__"))
    path = tree / "overlays" / overlay / "kustomization.yaml"
    kustomization = yaml.safe_load(path.read_text(encoding="utf-8"))
    listed = [f"../../components/{name}" for name in ("tls", "client-tls", "changes")]
    kustomization["components"] = [*(kustomization["components"] or ()), *listed]
    path.write_text(yaml.safe_dump(kustomization), encoding="utf-8")

    rendered = manifests(overlay, (), tree)

    assert findings(rendered) == []
    writer, server = (rendered.pods(name)[0].main for name in SERVERS)
    assert writer["resources"] == server["resources"]
