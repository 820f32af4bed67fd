"""Documents of JSON and TOML whose values are of other types are refused by name."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from export.models.profiles import find_profile
from retrieval_server.errors import IndexBundleError, ProfileError
from retrieval_server.index.manifest import MANIFEST_FILE, read_manifest
from retrieval_server.storage.json_record import check_types, read_json
from tests.support.made_up_calibration import made_up_calibration

BACKBONE = '[[backbones]]\nmodel = "m"\ntimm_name = "t"\n'


@pytest.fixture
def version(tiny_index_copy: Path) -> Path:
    return next(tiny_index_copy.glob("*/manifest.json")).parent


@pytest.mark.parametrize(
    ("place", "value", "problem"),
    [
        (("products",), "40", "products must be a whole number, not '40'"),
        (("products",), True, "products must be a whole number, not True"),
        (("preprocessing",), None, "preprocessing must be a text, not None"),
        (("models", "tiny_a", "dimension"), [24], r"dimension must be a whole number, not \[24\]"),
        (("files", "ids.order.npy", "bytes"), {}, r"bytes must be a whole number, not \{\}"),
        (("words", "columns"), [1], r"columns\[0\] must be a text, not 1"),
        (("columns", 0, "stray"), 10**50, r"stray must be a text, not 1000000+…"),
        (("profile", "side"), "32", "side must be a whole number, 32..4096, got '32'"),
        (("profile", "backbones", 0, "alpha"), 10**400, "alpha must be 0..1e[+]06, got 1000"),
        (("profile", "backbones", 0, "mean"), [10**400, 1, 1], "mean needs 3 numbers"),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_a_manifest_with_a_value_of_another_type_is_refused_by_name(
    version: Path, place: tuple[Any, ...], value: object, problem: str
) -> None:
    manifest = json.loads((version / MANIFEST_FILE).read_text())
    holder = manifest
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    (version / MANIFEST_FILE).write_text(json.dumps(manifest))
    with pytest.raises(IndexBundleError, match=rf"manifest of .* is damaged: .*{problem}"):
        read_manifest(version)


@pytest.mark.parametrize("name", ["../ids.order.npy", "a\0b", "", ".."])
def test_a_manifest_names_files_of_its_own_folder_only(version: Path, name: str) -> None:
    manifest = json.loads((version / MANIFEST_FILE).read_text())
    manifest["files"][name] = manifest["files"].pop("ids.order.npy")
    (version / MANIFEST_FILE).write_text(json.dumps(manifest))
    with pytest.raises(IndexBundleError, match="is no name of a file"):
        read_manifest(version)


def test_a_document_that_is_nested_too_deeply_is_refused(version: Path, tmp_path: Path) -> None:
    (version / MANIFEST_FILE).write_text("[" * 100_000)
    with pytest.raises(IndexBundleError, match="nested too deeply"):
        read_manifest(version)
    (tmp_path / "deep.toml").write_text("x = " + "[" * 5_000)
    with pytest.raises(ProfileError, match="nested too deeply"):
        find_profile(str(tmp_path / "deep.toml"))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (f"alpha = 1{'0' * 400}", "alpha must be"),
        (f"alpha = 1\nmean = [1{'0' * 400}, 1, 1]", "mean needs 3 numbers"),
        (f"alpha = 1{'0' * 5_000}", "Cannot read the profile"),
    ],
    ids=["alpha", "mean", "longer than Python reads"],
)
def test_a_profile_with_a_number_of_hundreds_of_digits_is_refused(
    tmp_path: Path, line: str, problem: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'name = "x"\nside = 64\n{BACKBONE}{line}\n')
    with pytest.raises(ProfileError, match=problem):
        find_profile(str(path))


@dataclass(frozen=True)
class Pair:
    """A record with fields of the kinds that no manifest has."""

    ends: tuple[float, float]
    name: str | None = None


def test_types_are_checked_in_pairs_and_where_a_value_may_be_missing() -> None:
    check_types(Pair((1, 0.5)))
    check_types(Pair((1, 0.5), "x"))
    check_types(made_up_calibration())
    with pytest.raises(TypeError, match="ends must be a list of 2 values"):
        check_types(Pair((1.0,)))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"ends\[1\] must be a number, not inf"):
        check_types(Pair((1.0, float("inf"))))
    with pytest.raises(TypeError, match="name must be a text, not 3"):
        check_types(Pair((1.0, 2.0), 3))  # type: ignore[arg-type]


def test_a_document_in_another_encoding_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"\xff\xfe{\0}\0")
    with pytest.raises(ValueError, match="utf-8"):
        read_json(tmp_path / "x.json")
