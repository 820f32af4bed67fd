"""The engine ``triton`` without a Triton: within the deadline it waits, then says which is away."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from retrieval_server.errors import EngineDeadlineError, EngineUnavailableError
from retrieval_server.serving.server import start_server
from tests.support.fake_triton import fake_triton
from tests.support.patience import PATIENCE_S
from tests.support.triton_engine import (
    ENSEMBLE,
    Descriptors,
    described,
    noise,
    open_triton,
    settings,
    used,
)


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    """A port of this machine on which nobody listens."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # gRPC sets it, too
        held.bind(("127.0.0.1", 0))
        yield held


def url_of(held: socket.socket) -> str:
    return f"127.0.0.1:{held.getsockname()[1]}"


def test_absent_server_is_unavailable_within_the_deadline(
    taken: socket.socket, tiny_repository: Path
) -> None:
    started = time.monotonic()
    with pytest.raises(EngineUnavailableError, match=f"{url_of(taken)} cannot be used now"):
        described(open_triton(tiny_repository, url_of(taken), timeout_s=2), noise(1))
    assert time.monotonic() - started < PATIENCE_S / 2


def test_search_server_does_not_start_without_its_triton(
    taken: socket.socket, tiny_index: Path, tiny_repository: Path
) -> None:
    with pytest.raises(EngineUnavailableError, match=url_of(taken)):
        asyncio.run(start_server(settings(tiny_index, tiny_repository, "triton", url_of(taken), 2)))


def test_server_that_never_answers_is_given_up_at_the_deadline(
    taken: socket.socket, tiny_repository: Path
) -> None:
    taken.listen()
    started = time.monotonic()
    with pytest.raises(EngineDeadlineError, match=url_of(taken)):
        described(open_triton(tiny_repository, url_of(taken), timeout_s=0.5), noise(1))
    assert 0.4 < time.monotonic() - started < PATIENCE_S / 2


def test_server_that_comes_in_time_is_used(taken: socket.socket, tiny_repository: Path) -> None:
    async def infer() -> Descriptors:
        call = asyncio.create_task(used(open_triton(tiny_repository, url_of(taken)), noise(1)))
        await asyncio.sleep(0)
        async with fake_triton(tiny_repository, address=url_of(taken)):
            return await call

    assert asyncio.run(infer())["tiny_a"].shape == (1, 24)


def test_servers_behind_one_name_take_turns(tiny_repository: Path) -> None:
    async def infer() -> list[int]:
        async with fake_triton(tiny_repository) as one, fake_triton(tiny_repository) as other:
            engine = open_triton(tiny_repository, f"ipv4:{one.url},{other.url}")
            async with asyncio.timeout(PATIENCE_S):
                while not (one.requests and other.requests):  # the second connects in its time
                    await engine.infer(ENSEMBLE, noise(1))
                before = len(one.requests), len(other.requests)
                for _ in range(8):
                    await engine.infer(ENSEMBLE, noise(1))
            await engine.close()
            after = len(one.requests), len(other.requests)
            return [new - old for new, old in zip(after, before, strict=True)]

    assert asyncio.run(infer()) == [4, 4]
