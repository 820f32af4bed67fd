"""A store that asks for TLS and a token: real Milvus Lite behind a door that checks both."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from export.cli import app
from retrieval_server.errors import StoreError, StoreUnavailableError
from retrieval_server.serving.settings import Settings
from retrieval_server.stores.address import StoreAddress
from retrieval_server.stores.milvus import STRONG, Milvus
from retrieval_server.stores.store_access import StoreAccess
from tests.support.access import FIRST, SECOND, replace
from tests.support.guarded_milvus import guarded_milvus
from tests.support.lite_store import lite_address
from tests.support.patience import PATIENCE_S


@pytest.fixture(scope="module")
def guarded(certificates, tmp_path_factory):
    with guarded_milvus(tmp_path_factory.mktemp("guarded"), certificates, FIRST) as guarded:
        yield guarded


@pytest.fixture
def files(certificates, tmp_path) -> Path:
    folder = shutil.copytree(certificates, tmp_path / "files")
    (folder / "token").write_text(f"{FIRST}\n")
    return folder


def access_of(files: Path, **other: Path | None) -> StoreAccess:
    names = {
        "tls_ca": "ca.pem",
        "tls_cert": "client.pem",
        "tls_key": "client.key",
        "token_file": "token",
    }
    return StoreAccess(**({field: files / name for field, name in names.items()} | other))


def test_a_server_serves_what_was_loaded_through_tls_with_a_token(
    guarded, files, served_by, bundle, index
):
    address, _ = guarded
    options = {
        "--store-tls-ca": "ca.pem",
        "--store-tls-cert": "client.pem",
        "--store-tls-key": "client.key",
        "--store-token-file": "token",
    }
    named = [each for option, name in options.items() for each in (option, str(files / name))]
    loaded = CliRunner().invoke(app, ["load", str(index), "--store", address.text, *named])
    assert f"{len(bundle)} products of {bundle.version}, all written now" in loaded.output
    settings = {
        option.removeprefix("--").replace("-", "_"): files / name
        for option, name in options.items()
    }
    with served_by(index=None, store=address.text, **settings) as served:
        assert len(served.search(product_id="p0301", words="violet").results) == 7


def test_a_token_that_changes_is_shown_from_then_on(guarded, files):
    address, door = guarded
    milvus = Milvus(address, PATIENCE_S, STRONG, access=access_of(files))
    assert not milvus.has_collection("nothing")
    door.token = SECOND
    try:
        with pytest.raises(StoreUnavailableError, match="auth check failure") as caught:
            milvus.has_collection("nothing")
        assert FIRST not in str(caught.value)
        replace(files / "token", SECOND.encode())
        assert not milvus.has_collection("nothing")
    finally:
        door.token = FIRST
        milvus.close()


@pytest.mark.parametrize("missing", ["tls_cert", "tls_ca", "token_file"])
def test_who_lacks_something_is_refused_in_one_line(guarded, files, missing):
    address, _ = guarded
    lacking = {missing: None} | ({"tls_key": None} if missing == "tls_cert" else {})
    with pytest.raises(StoreError, match=r"^(The store milvus://127|TLS to a store needs)"):
        Milvus(address, 0.5, access=access_of(files, **lacking)).has_collection("nothing")


ADDRESS = StoreAddress.of("milvus://localhost:1/products")
REFUSED = {
    "no authority": ({"tls_ca": None}, "TLS to a store needs --store-tls-ca"),
    "no key": ({"tls_key": None}, "--store-tls-cert and --store-tls-key come on top"),
    "no file": ({"tls_ca": Path("none.pem")}, "Cannot read none.pem (--store-tls-ca)"),
    "swapped": ({"tls_ca": "client.key"}, "(--store-tls-ca) holds no PEM certificate"),
    "no pair": ({"tls_key": "server.key"}, "are no PEM certificate with its private key"),
}


@pytest.mark.parametrize(("other", "problem"), REFUSED.values(), ids=REFUSED)
def test_files_that_cannot_be_used_are_named(files, other, problem):
    other = {
        field: files / name if isinstance(name, str) else name for field, name in other.items()
    }
    with pytest.raises(StoreError) as caught:
        access_of(files, **other).arguments(ADDRESS)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\n", "is empty"),
        (b"one two", "has spaces or several lines"),
        (b"one\ntwo\n", "has spaces or several lines"),
        (b"\xff\xfe", "is not UTF-8"),
    ],
)
def test_a_file_without_one_token_is_refused_and_not_shown(files, content, problem):
    (files / "token").write_bytes(content)
    with pytest.raises(StoreError, match=problem) as caught:
        access_of(files).arguments(ADDRESS)
    assert "one two" not in str(caught.value)


def test_a_file_of_milvus_lite_has_no_door(files, tmp_path):
    with pytest.raises(StoreError, match="has neither TLS nor a password"):
        access_of(files).arguments(lite_address(tmp_path))


def test_the_token_is_in_no_text_of_the_settings(files):
    settings = Settings(store=ADDRESS.text, store_token_file=files / "token")
    assert FIRST not in f"{settings} {settings.store_access}"
