"""The process ``beauty-server``: how it starts, refuses to start, and stops."""

import asyncio
import dataclasses
import os
import queue
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import get_args, get_type_hints

import grpc
import pytest
import typer
from grpc_health.v1 import health_pb2, health_pb2_grpc

import client as client_room
from client import RetrievalClient
from retrieval_server import cli
from retrieval_server.errors import IndexBundleError
from retrieval_server.serving.server import start_server
from retrieval_server.serving.settings import Settings
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc
from tests.support.served import ServedBy

PATIENCE_S = 30  # no test waits so long unless it fails
RUN = "from retrieval_server.cli import main; main()"
# The same server, but from its first request on the engine says so on a pipe and waits for another.
RUN_HELD = textwrap.dedent("""
    import asyncio, os
    from retrieval_server.engines.embedded import EmbeddedEngine
    from retrieval_server.cli import main

    infer, calls = EmbeddedEngine.infer, []

    async def held(self, ensemble, images, timeout_s=None):
        calls.append(ensemble)
        if len(calls) > 1:  # the first one warms up
            os.write(int(os.environ["ARRIVED"]), b"x")
            await asyncio.to_thread(os.read, int(os.environ["RELEASED"]), 1)
        return await infer(self, ensemble, images)

    EmbeddedEngine.infer = held
    main()
""")


@dataclasses.dataclass
class Process:
    """A server process that answers."""

    popen: subprocess.Popen[str]
    address: str
    address_file: Path

    def stopped(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Its exit status after a signal, and what it logged."""
        self.popen.send_signal(number)
        _, stderr = self.popen.communicate(timeout=PATIENCE_S)
        return self.popen.returncode, stderr


class HeldCalls:
    """Two pipes to a process that runs ``RUN_HELD``."""

    def __init__(self) -> None:
        self._arrived, self.arrived = os.pipe()
        self.released, self._release = os.pipe()

    def wait_for_arrival(self) -> None:
        ready, _, _ = select.select([self._arrived], [], [], PATIENCE_S)
        assert ready
        os.read(self._arrived, 1)

    def release(self) -> None:
        os.write(self._release, b"x")

    def close(self) -> None:
        for pipe in (self._arrived, self.arrived, self.released, self._release):
            os.close(pipe)


Serve = Callable[..., "contextmanager[Process]"]


@pytest.fixture
def arguments(tiny_index: Path, tiny_repository: Path) -> list[str]:
    return ["--index", str(tiny_index), "--model-repository", str(tiny_repository), "--port", "0"]


@pytest.fixture
def held() -> Iterator[HeldCalls]:
    calls = HeldCalls()
    yield calls
    calls.close()


@pytest.fixture
def photo(tiny_catalogue: Path) -> bytes:
    return (tiny_catalogue / "queries" / "q00.jpg").read_bytes()


@pytest.fixture
def serve(arguments: list[str], tmp_path: Path) -> Serve:
    """Start a process and wait for its address file; it is killed at the end if need be."""

    @contextmanager
    def served(
        *further: str, held: HeldCalls | None = None, **environment: str
    ) -> Iterator[Process]:
        address_file = tmp_path / "address"
        pipes = (held.arrived, held.released) if held else ()
        names = dict(zip(("ARRIVED", "RELEASED"), map(str, pipes), strict=False))
        program = RUN_HELD if held else RUN
        popen = subprocess.Popen(
            [sys.executable, "-c", program, *arguments, "--address-file", address_file, *further],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment | names,
            pass_fds=pipes,
        )
        try:
            appeared = threading.Event()
            while not address_file.exists():
                assert popen.poll() is None, popen.stderr and popen.stderr.read()
                appeared.wait(0.02)  # nobody sets it: this is the pace of the polling
            yield Process(popen, address_file.read_text(), address_file)
        finally:
            if popen.poll() is None:
                popen.kill()
                popen.communicate()
            elif popen.stderr is not None:
                popen.stderr.close()

    return served


@pytest.fixture
def failing(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Run the command in this process; the exit status and what stands on stderr."""

    def run(*further: str, base: list[str] = arguments) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["beauty-server", *base, *further])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        status = caught.value.code
        assert isinstance(status, int)
        return status, capsys.readouterr().err

    return run


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def one_error_line(stderr: str) -> str:
    """The error for the person; gRPC's own log of the same may stand before it."""
    assert "Traceback" not in stderr
    (line,) = [line for line in stderr.splitlines() if line.startswith("error: ")]
    return line


def test_server_answers_at_the_address_in_its_file_and_stops_at_sigterm(serve: Serve) -> None:
    with serve() as process:
        assert re.fullmatch(r"127\.0\.0\.1:\d+\n", process.address)
        with RetrievalClient(process.address.strip()) as client:
            assert client.status().product_count == 40
            assert len(client.similar("p0000").results) == 7
        status, log = process.stopped()
    assert status == 0
    assert "serving tiny-" in log
    assert "(40 products)" in log
    assert "stopping" in log
    assert "Traceback" not in log
    assert [path.name for path in process.address_file.parent.iterdir()] == ["address"]


def test_interrupt_stops_the_server_like_sigterm(serve: Serve) -> None:
    with serve() as process:
        status, log = process.stopped(signal.SIGINT)
    assert status == 0
    assert "Traceback" not in log


def test_settings_come_from_the_environment_too(serve: Serve) -> None:
    with (
        serve(RETRIEVAL_DEFAULT_TOP_K="5", RETRIEVAL_HOST="::1") as process,
        RetrievalClient(process.address.strip()) as client,
    ):
        assert process.address.startswith("[::1]:")
        assert client.status().default_top_k == 5


def test_call_in_progress_is_finished_before_the_server_goes(
    serve: Serve, held: HeldCalls, photo: bytes
) -> None:
    with (
        serve(held=held) as process,
        RetrievalClient(process.address.strip(), timeout_s=PATIENCE_S) as client,
        grpc.insecure_channel(process.address.strip()) as channel,
        ThreadPoolExecutor(1) as executor,
    ):
        call = executor.submit(client.search, photo)
        held.wait_for_arrival()
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        process.popen.send_signal(signal.SIGTERM)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        held.release()
        assert len(call.result(PATIENCE_S).results) == 7
        _, log = process.popen.communicate(timeout=PATIENCE_S)
        assert process.popen.returncode == 0
        assert "Traceback" not in log


def test_server_goes_on_serving_until_everybody_has_heard_that_it_stops(serve: Serve) -> None:
    with (
        serve("--drain-delay-s", "2") as process,
        RetrievalClient(process.address.strip(), timeout_s=PATIENCE_S) as client,
        grpc.insecure_channel(process.address.strip()) as channel,
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        process.popen.send_signal(signal.SIGTERM)
        started = time.monotonic()
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        with RetrievalClient(process.address.strip(), timeout_s=PATIENCE_S) as newcomer:
            assert len(newcomer.similar("p0000").results) == 7
        assert len(client.similar("p0001").results) == 7
        watch.cancel()
        _, log = process.popen.communicate(timeout=PATIENCE_S)
    assert time.monotonic() - started >= 2
    assert process.popen.returncode == 0
    assert "Traceback" not in log


def test_call_that_outlasts_the_drain_is_cut_off(
    serve: Serve, held: HeldCalls, photo: bytes
) -> None:
    with (
        serve("--drain-s", "0", held=held) as process,
        RetrievalClient(process.address.strip(), timeout_s=PATIENCE_S) as client,
        ThreadPoolExecutor(1) as executor,
    ):
        call = executor.submit(client.search, photo)
        held.wait_for_arrival()
        process.popen.send_signal(signal.SIGTERM)
        with pytest.raises(client_room.UnavailableError):
            call.result(PATIENCE_S)
        held.release()  # the thread that waits for it would keep the process
        process.popen.communicate(timeout=PATIENCE_S)
        assert process.popen.returncode == 0


def test_connection_that_has_reached_its_age_is_closed_and_the_next_call_opens_another(
    served_by: ServedBy,
) -> None:
    with (
        served_by(max_connection_age_s=0.5) as served,
        grpc.insecure_channel(served.address) as channel,
    ):
        states: queue.SimpleQueue[grpc.ChannelConnectivity] = queue.SimpleQueue()
        channel.subscribe(states.put)
        stub = pb_grpc.RetrievalServiceStub(channel)
        request = pb.SearchRequest(product_id="p0000")
        stub.Search(request, timeout=PATIENCE_S)
        seen = []
        while grpc.ChannelConnectivity.IDLE not in seen[1:]:  # the first state is idle too
            seen.append(states.get(timeout=PATIENCE_S))
        assert grpc.ChannelConnectivity.READY in seen
        assert len(stub.Search(request, timeout=PATIENCE_S).results) == 7


# What keeps it from starting


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
    path = tmp_path / "no" / "such" / "folder" / "address"
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


# Options


def test_every_setting_is_an_option_with_its_environment_variable_and_default() -> None:
    command = typer.main.get_command(cli.create_app())
    options = {parameter.name: parameter for parameter in command.params}
    options.pop("help", None)
    fields = {field.name: field for field in dataclasses.fields(Settings)}
    assert options.keys() == fields.keys()
    for name, option in options.items():
        assert option.envvar == f"RETRIEVAL_{name.upper()}"
        assert option.opts == ["--" + name.replace("_", "-")]
        if fields[name].default is not dataclasses.MISSING:
            assert option.default == fields[name].default
    assert options["index"].required


def test_every_setting_is_described_once_and_in_the_help() -> None:
    hints = get_type_hints(Settings, include_extras=True)
    options = {each.name: each for each in typer.main.get_command(cli.create_app()).params}
    for field in dataclasses.fields(Settings):
        (setting,) = get_args(hints[field.name])[1:]
        assert re.fullmatch(r"[A-Z].{10,}\.", setting.help)
        assert options[field.name].help == setting.help
        assert f"{field.name}:" not in (Settings.__doc__ or "")


def test_a_command_takes_no_setting(failing: Callable[..., tuple[int, str]]) -> None:
    status, stderr = failing(base=["health", "--port", "0", "127.0.0.1:1"])
    assert status == 2
    assert "--port" in stderr


def test_a_command_after_the_settings_is_refused_rather_than_run(
    failing: Callable[..., tuple[int, str]],
) -> None:
    status, stderr = failing("health", "127.0.0.1:1")
    assert status == 2
    assert "health is a command of its own" in stderr


def test_help_shows_every_environment_variable_and_ends_with_an_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["beauty-server", "--help"])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for field in dataclasses.fields(Settings):
        assert f"RETRIEVAL_{field.name.upper()}" in text
    for command in ("health", "models"):
        assert re.search(rf"^  {command}  +\S", text, re.MULTILINE)
    assert text.rstrip().splitlines()[-1].strip().startswith("Example: beauty-server --index")


@pytest.mark.parametrize("command", ["health", "models"])
def test_help_of_each_command_ends_with_an_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["beauty-server", command, "--help"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 0
    last_line = capsys.readouterr().out.rstrip().splitlines()[-1]
    assert last_line.startswith(f"  Example: beauty-server {command} ")


def test_a_health_check_imports_neither_numpy_nor_the_engines() -> None:
    program = (
        "import sys; from retrieval_server.cli import main\n"
        "sys.argv = ['beauty-server', 'health', '127.0.0.1:1']\n"
        "try: main()\n"
        "finally: print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("127.0.0.1:1: UNAVAILABLE")
    loaded = set(done.stdout.split())
    assert "grpc_health.v1.health_pb2" in loaded
    assert loaded.isdisjoint({"numpy", "numba", "onnxruntime", "tritonclient", "PIL"})
