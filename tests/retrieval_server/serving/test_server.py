"""The process ``beauty-server``: address file, signals, drain."""

import dataclasses
import os
import queue
import re
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import client as client_room
from client import RetrievalClient
from retrieval_server.cli import main
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc
from tests.support.patience import PATIENCE_S
from tests.support.programs.command import command
from tests.support.programs.held_server import serve_held
from tests.support.served import ServedBy


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
    """Two pipes to a process that runs ``serve_held``."""

    def __init__(self) -> None:
        self._arrived, self.arrived = os.pipe()
        self.released, self._release = os.pipe()

    def wait_for_arrival(self) -> None:
        poll = select.poll()
        poll.register(self._arrived, select.POLLIN)
        assert poll.poll(PATIENCE_S * 1000)
        os.read(self._arrived, 1)

    def release(self) -> None:
        os.write(self._release, b"x")

    def close(self) -> None:
        for pipe in (self._arrived, self.arrived, self.released, self._release):
            os.close(pipe)


Serve = Callable[..., "contextmanager[Process]"]


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
        program = serve_held if held else main
        popen = subprocess.Popen(
            command(program, *arguments, "--address-file", address_file, *further),
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
