"""The engine ``triton`` with an access key and with TLS."""

import asyncio
import contextlib
import re
import shutil
from pathlib import Path

import grpc
import pytest

from retrieval_server.engines import triton_channel
from retrieval_server.errors import EngineError, EngineUnavailableError
from retrieval_server.serving.settings import Settings
from tests.support.access import replace
from tests.support.deploy.certificates import signed
from tests.support.fake_triton import FakeTriton, fake_triton
from tests.support.patience import PATIENCE_S
from tests.support.triton_engine import ENSEMBLE, Descriptors, noise, open_triton, used, with_fake


def test_access_key_opens_a_restricted_protocol(tiny_repository: Path) -> None:
    async def use(fake: FakeTriton) -> None:
        await used(open_triton(tiny_repository, fake.url, access_key="x-key=s3=cret"), noise(1))

    with_fake(tiny_repository, use, access_key=("x-key", "s3=cret"))


@pytest.mark.parametrize("access_key", [None, "x-key=wr0ng", "key=s3cret"])
def test_wrong_access_key_is_reported_at_once_and_not_shown(
    tiny_repository: Path, access_key: str | None
) -> None:
    async def use(fake: FakeTriton) -> None:
        with pytest.raises(EngineError, match="RETRIEVAL_TRITON_ACCESS_KEY") as caught:
            await used(open_triton(tiny_repository, fake.url, access_key=access_key), noise(1))
        assert caught.type is EngineError
        assert "wr0ng" not in str(caught.value)

    assert len(with_fake(tiny_repository, use, access_key=("x-key", "s3cret")).requests) == 1


@pytest.mark.parametrize("access_key", ["s3cret", "=s3cret", "X-Key=s3cret", "key=", "key=s3 cret"])
def test_access_key_of_another_form_is_refused_and_not_shown(
    tiny_repository: Path, access_key: str
) -> None:
    with pytest.raises(EngineError, match="NAME=VALUE") as caught:
        open_triton(tiny_repository, "localhost:1", access_key=access_key)
    assert "cret" not in str(caught.value)


def test_access_key_is_not_in_the_text_of_the_settings(tmp_path: Path) -> None:
    settings = Settings(index=tmp_path, triton_access_key="x-key=s3cret")
    assert settings.triton.access_key == "x-key=s3cret"
    assert "s3cret" not in f"{settings} {settings.triton}"


def mutual_tls(certificates: Path) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [((certificates / "server.key").read_bytes(), (certificates / "server.pem").read_bytes())],
        (certificates / "ca.pem").read_bytes(),
        require_client_auth=True,
    )


def with_tls(
    certificates: Path, repository: Path, timeout_s: float = PATIENCE_S, **files: Path
) -> Descriptors:
    async def run() -> Descriptors:
        async with fake_triton(repository, mutual_tls(certificates)) as fake:
            engine = open_triton(repository, fake.url, timeout_s=timeout_s, **files)
            return await used(engine, noise(1))

    return asyncio.run(run())


def test_both_sides_show_certificates(certificates: Path, tiny_repository: Path) -> None:
    answer = with_tls(
        certificates,
        tiny_repository,
        tls_ca=certificates / "ca.pem",
        tls_cert=certificates / "client.pem",
        tls_key=certificates / "client.key",
    )
    assert answer["tiny_a"].shape == (1, 24)


def test_renewed_certificates_are_shown_and_no_call_is_lost(
    certificates: Path, tiny_repository: Path, tmp_path: Path
) -> None:
    """Calls are in progress all the time; the new certificate is the server's, which has a CN."""
    own = shutil.copytree(certificates, tmp_path / "tls")
    files = {
        "tls_ca": own / "ca.pem",
        "tls_cert": own / "client.pem",
        "tls_key": own / "client.key",
    }

    async def run() -> None:
        async with fake_triton(tiny_repository, mutual_tls(certificates)) as fake:
            engine = open_triton(tiny_repository, fake.url, **files)

            async def call_until(caller: str) -> None:
                while caller not in fake.callers:
                    await engine.infer(ENSEMBLE, noise(1))

            async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as callers:
                await call_until("client")
                for _ in range(8):
                    callers.create_task(call_until("server"))
                replace(own / "client.pem", (certificates / "server.pem").read_bytes())
                for _ in range(3):  # half of a rotation: the old pair is still shown
                    await engine.infer(ENSEMBLE, noise(1))
                assert set(fake.callers) == {"client"}
                replace(own / "client.key", (certificates / "server.key").read_bytes())
            await engine.infer(ENSEMBLE, noise(1))
            assert fake.callers[-1] == "server"
            await engine.close()

    asyncio.run(run())


def test_tritons_that_restart_one_after_the_other_with_new_certificates_fail_no_call(
    certificates: Path, tiny_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a renewal in a cluster: two pods behind one name, each with its own moment."""
    of_both = ("grpc.ssl_target_name_override", "127.0.0.1")  # a name here has one address
    monkeypatch.setattr(
        triton_channel, "CHANNEL_OPTIONS", (*triton_channel.CHANNEL_OPTIONS, of_both)
    )
    new, _ = signed(certificates, tmp_path, "renewed", ["127.0.0.1"])
    (tmp_path / "tls").mkdir()
    for name, file in (("server.pem", new), ("server.key", new.with_suffix(".key"))):
        shutil.copy(file, tmp_path / "tls" / name)
    shutil.copy(certificates / "ca.pem", tmp_path / "tls")
    pair = {"tls_cert": certificates / "client.pem", "tls_key": certificates / "client.key"}

    async def run() -> None:
        async with contextlib.AsyncExitStack() as pods, asyncio.timeout(PATIENCE_S):
            old = mutual_tls(certificates)
            running = [contextlib.AsyncExitStack() for _ in range(2)]
            fakes = [await each.enter_async_context(fake_triton(tiny_repository, old))
                     for each in running]  # fmt: skip
            url = f"ipv4:{','.join(each.url for each in fakes)}"
            engine = open_triton(tiny_repository, url, tls_ca=certificates / "ca.pem", **pair)
            over = asyncio.Event()

            async def call() -> None:
                while not over.is_set():
                    await engine.infer(ENSEMBLE, noise(1))

            async with asyncio.TaskGroup() as callers:
                await engine.infer(ENSEMBLE, noise(1))
                for _ in range(4):
                    callers.create_task(call())
                for before, fake in zip(running, fakes, strict=True):
                    await before.aclose()
                    renewed = fake_triton(tiny_repository, mutual_tls(tmp_path / "tls"), fake.url)
                    after = await pods.enter_async_context(renewed)
                    while not after.requests:  # it has its share again
                        await engine.infer(ENSEMBLE, noise(1))
                over.set()
            await engine.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"tls_ca": "ca.key"}, "ca.key .--triton-tls-ca. holds no PEM certificate"),
        ({"tls_cert": "client.pem", "tls_key": "server.key"}, "no PEM certificate with its"),
    ],
)
def test_certificates_that_make_no_sense_keep_the_engine_from_starting(
    certificates: Path, tiny_repository: Path, files: dict[str, str], named: str
) -> None:
    paths = {name: certificates / file for name, file in files.items()}
    with pytest.raises(EngineError, match=named):
        open_triton(tiny_repository, "localhost:1", **paths)


def test_server_of_a_strange_authority_is_unavailable(
    certificates: Path, tiny_repository: Path
) -> None:
    with pytest.raises(EngineUnavailableError, match="cannot be used now"):
        with_tls(certificates, tiny_repository, 3.0, tls_ca=certificates / "stranger.pem")


@pytest.mark.parametrize("files", [{"tls_cert": Path("a")}, {"tls_key": Path("a")}])
def test_certificate_without_its_key_is_refused(
    tiny_repository: Path, files: dict[str, Path]
) -> None:
    with pytest.raises(EngineError, match="--triton-tls-cert and --triton-tls-key"):
        open_triton(tiny_repository, "localhost:1", **files)


def test_tls_file_that_cannot_be_read_is_named(tiny_repository: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=re.escape(str(tmp_path / "ca.pem"))):
        open_triton(tiny_repository, "localhost:1", tls_ca=tmp_path / "ca.pem")
