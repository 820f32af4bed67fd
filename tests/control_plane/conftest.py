"""One control plane for all tests of this folder; each test has a namespace of its own."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.policies.rendering import Object, components, manifests, overlays
from deploy.policies.rendering.combinations import SOURCES
from tests.support.control_plane.build import programs, what_is_missing
from tests.support.control_plane.guide import Operator
from tests.support.control_plane.overlays import Older, definitions
from tests.support.control_plane.pods import pods_run
from tests.support.control_plane.running import ControlPlane, control_plane
from tests.support.paths import ROOT
from tests.support.patience import eventually
from tests.support.programs.command import command
from tests.support.programs.unpacked_kubectl import render_without_kubectl

NewOverlay = Callable[..., Path]


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane that knows the kinds of the operators, and in which pods run."""
    if reason := what_is_missing():
        pytest.skip(reason)
    with control_plane(programs(), tmp_path_factory.mktemp("plane")) as running, pods_run(running):
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        defined = list(definitions(kinds()))
        for each in defined:
            running.request(path, "POST", each)
        eventually(lambda: all(is_served(running, each["spec"]) for each in defined))
        yield running


def kinds() -> set[tuple[str, str]]:
    """The versions and kinds of all objects of all overlays and components."""
    with_all = [tuple(each for each in components() if each == source or each not in SOURCES)
                for source in SOURCES]  # fmt: skip
    return {
        (each["apiVersion"], each["kind"])
        for overlay in overlays()
        for parts in ((), *with_all)
        for each in manifests(overlay, parts).objects
    }


def is_served(plane: ControlPlane, definition: Object) -> bool:
    """Whether the API server answers for a kind of an operator."""
    (version,) = (each["name"] for each in definition["versions"])
    code, body = plane.answer(f"/apis/{definition['group']}/{version}", "GET")
    names = [each["name"] for each in body.get("resources", ())]
    return code == 200 and definition["names"]["plural"] in names


@pytest.fixture(scope="session")
def older(plane: ControlPlane) -> Older:
    """Changes objects to what this server knows, once it has the schemas of all kinds."""
    return Older(plane.request("/openapi/v2"))


@pytest.fixture(scope="session")
def packaged_kubectl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the kubectl that `make manifests` fetches where there is none."""
    folder = tmp_path_factory.mktemp("kubectl")
    overlay = ROOT / "deploy" / "overlays" / "cpu-dev"
    words = command(render_without_kubectl, folder, overlay)
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(params=["packaged", "installed"])
def kubectl(request: pytest.FixtureRequest, packaged_kubectl: Path) -> Path:
    """The folder of a kubectl."""
    if request.param == "packaged":
        return packaged_kubectl
    if (found := shutil.which("kubectl")) is None:
        pytest.skip("needs a kubectl in the PATH")
    return Path(found).parent


@pytest.fixture
def operator(
    plane: ControlPlane, tmp_path: Path, kubectl: Path, request: pytest.FixtureRequest
) -> Operator:
    name, _, which = request.node.name.removeprefix("test_").rstrip("]").partition("[")
    namespace = f"{which}-{name}".replace("_", "-")[:40].rstrip("-")
    return Operator(plane, tmp_path, kubectl, namespace)


@pytest.fixture
def new_overlay(operator: Operator, older: Older) -> NewOverlay:
    """Makes the folder of an overlay in the test's namespace; see ``Older.overlay``."""
    made: list[Path] = []

    def new(*arguments: object, **options: object) -> Path:
        options = {"namespace": operator.namespace} | options
        made.append(older.overlay(operator.folder / f"{len(made)}", *arguments, **options))
        return made[-1]

    return new
