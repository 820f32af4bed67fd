"""What keeps the server from starting is one line that names the value."""

import asyncio
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from retrieval_server.errors import IndexBundleError
from retrieval_server.index.publish import open_index
from retrieval_server.serving.server import start_server
from retrieval_server.serving.settings import Settings
from tests.support.former_format import as_format_5


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def one_error_line(stderr: str) -> str:
    """The error for the person; gRPC's own log of the same may stand before it."""
    assert "Traceback" not in stderr
    (line,) = [line for line in stderr.splitlines() if line.startswith("error: ")]
    return line


def test_port_in_use_is_one_line_that_names_it(
    failing: Callable[..., tuple[int, str]], listening: socket.socket
) -> None:
    port = listening.getsockname()[1]
    status, stderr = failing("--port", str(port))
    assert status == 1
    assert f"127.0.0.1:{port}" in one_error_line(stderr)
    assert "--port" in one_error_line(stderr)


@pytest.mark.parametrize("option", ["--metrics-port", "--health-port"])
def test_further_port_in_use_is_one_line_that_names_its_option(
    failing: Callable[..., tuple[int, str]], listening: socket.socket, option: str
) -> None:
    port = listening.getsockname()[1]
    status, stderr = failing(option, str(port))
    assert status == 1
    assert f"127.0.0.1:{port}" in one_error_line(stderr)
    assert option in one_error_line(stderr)


def test_host_of_another_machine_is_one_line_that_names_it(
    failing: Callable[..., tuple[int, str]],
) -> None:
    status, stderr = failing("--host", "192.0.2.1")  # RFC 5737: nobody's
    assert status == 1
    assert "192.0.2.1:0" in one_error_line(stderr)
    assert "--host" in one_error_line(stderr)


def test_index_of_the_former_format_is_one_line_with_the_command_that_builds_it(
    failing: Callable[..., tuple[int, str]], tiny_index_copy: Path
) -> None:
    former = as_format_5(open_index(tiny_index_copy).folder)
    status, stderr = failing("--index", str(tiny_index_copy))
    assert status == 1
    assert one_error_line(stderr) == (
        f"error: Index {former} has format 5, this program reads 8. "
        "Build the index again with: beauty-export index"
    )


def test_missing_index_is_one_line_with_the_command_that_builds_it(
    failing: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    status, stderr = failing("--index", str(tmp_path / "nowhere"))
    assert status == 1
    assert str(tmp_path / "nowhere") in one_error_line(stderr)
    assert "beauty-export index" in one_error_line(stderr)


@pytest.mark.parametrize("pattern", ["descriptors.*.npy", "ids.bytes.npy", "text_*.rows.npy"])
def test_truncated_index_is_one_line_that_names_the_file(
    failing: Callable[..., tuple[int, str]], tiny_index_copy: Path, pattern: str
) -> None:
    damaged = sorted(tiny_index_copy.glob(f"tiny-*/{pattern}"))[0]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    status, stderr = failing("--index", str(tiny_index_copy))
    assert status == 1
    assert str(damaged) in one_error_line(stderr)


def test_index_of_other_models_is_refused_naming_the_model(
    failing: Callable[..., tuple[int, str]], tiny_repository: Path, tmp_path: Path
) -> None:
    repository = shutil.copytree(tiny_repository, tmp_path / "model_repository")
    with (repository / "tiny_b" / "1" / "model.onnx").open("ab") as file:
        file.write(b"\0")
    status, stderr = failing("--model-repository", str(repository))
    assert status == 1
    assert "model tiny_b of digest" in one_error_line(stderr)


def test_missing_models_are_one_line_with_the_command_that_makes_them(
    failing: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    status, stderr = failing("--model-repository", str(tmp_path))
    assert status == 1
    assert "no model 'tiny'" in one_error_line(stderr)
    assert "beauty-export onnx" in one_error_line(stderr)


def test_unknown_engine_is_one_line_that_names_the_known_ones(
    failing: Callable[..., tuple[int, str]],
) -> None:
    status, stderr = failing("--engine", "tritn")
    assert status == 1
    assert "'tritn'" in one_error_line(stderr)
    assert "embedded" in one_error_line(stderr)


def test_address_file_that_cannot_be_written_is_one_line_that_names_it(
    failing: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "address"
    status, stderr = failing("--address-file", str(path))
    assert status == 1
    assert str(path) in one_error_line(stderr)


@pytest.mark.parametrize(
    "options",
    [
        ("--indx", "x"),
        ("--port", "http"),
        ("--port", "65536"),
        ("--port", "-1"),
        ("--workers", "0"),
        ("--default-top-k", "101"),
        ("--default-keep", "0"),
        ("--max-image-bytes", "0"),
        ("--max-concurrent-requests", "0"),
        ("--drain-s", "-1"),
        ("--drain-delay-s", "-1"),
        ("--max-connection-age-s", "-1"),
        ("--metrics-port", "-1"),
        ("--health-port", "65536"),
        ("--drain-s", "nan"),
        ("--reload-every-s", "nan"),
        ("--triton-timeout-s", "nan"),
        ("--triton-url", "host:99999"),
        ("--store", "localhost:19530"),
        ("--host", "unix:/run/socket"),
        ("--max-image-bytes", "3000000000"),
        ("surplus",),
    ],
)
def test_misuse_exits_with_2_and_names_the_option(
    failing: Callable[..., tuple[int, str]], options: tuple[str, ...]
) -> None:
    status, stderr = failing(*options)
    assert status == 2
    assert options[0] in stderr


def test_index_has_to_be_named(failing: Callable[..., tuple[int, str]]) -> None:
    status, stderr = failing(base=[])
    assert status == 2
    assert "--index" in stderr


def test_an_index_is_in_a_folder_or_in_a_store_but_not_in_both(
    failing: Callable[..., tuple[int, str]],
) -> None:
    status, stderr = failing("--store", "milvus://127.0.0.1:1/products")
    assert status == 2
    assert "either --index or --store" in stderr


def test_environment_alone_names_the_index_too(
    failing: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RETRIEVAL_INDEX", str(tmp_path / "nowhere"))
    status, stderr = failing(base=[])
    assert status == 1
    assert str(tmp_path / "nowhere") in one_error_line(stderr)


def test_index_is_checked_before_the_port_is_opened(
    listening: socket.socket, tmp_path: Path, tiny_repository: Path
) -> None:
    """Both are wrong, and the index is what the error is about."""
    settings = Settings(
        index=tmp_path, model_repository=tiny_repository, port=listening.getsockname()[1]
    )
    with pytest.raises(IndexBundleError, match="There is no index"):
        asyncio.run(start_server(settings))
