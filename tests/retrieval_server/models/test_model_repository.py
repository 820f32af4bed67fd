"""Reading the model repository: config.pbtxt is the contract."""

import hashlib
import re
import shutil
from pathlib import Path

import pytest

from retrieval_server.errors import ModelRepositoryError
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.profile import Profile


@pytest.fixture
def root(tiny_repository: Path, tmp_path: Path) -> Path:
    """A repository to damage."""
    return shutil.copytree(tiny_repository, tmp_path / "model_repository")


def replace(path: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, path.read_text())
    assert count
    path.write_text(text)


def test_ensemble_lists_the_backbones_in_the_order_of_the_profile(
    tiny_repository: Path, tiny_profile: Profile
) -> None:
    members = ModelRepository(tiny_repository).ensemble("tiny")
    assert tuple(member.name for member in members) == tiny_profile.models
    assert [member.side for member in members] == [32, 32]
    assert [member.dimension for member in members] == [24, 16]


def test_tensor_names_come_from_the_configuration(root: Path) -> None:
    replace(root / "tiny_a" / "config.pbtxt", 'name: "image"', 'name: "picture"')
    replace(root / "tiny_a" / "config.pbtxt", 'name: "descriptor"', 'name: "vector"')
    model = ModelRepository(root).model("tiny_a")
    assert (model.input_name, model.output_name) == ("picture", "vector")


def test_digest_is_the_sha256_of_the_onnx_file(tiny_repository: Path) -> None:
    model = ModelRepository(tiny_repository).model("tiny_a")
    content = (tiny_repository / "tiny_a" / "1" / "model.onnx").read_bytes()
    assert model.digest == hashlib.sha256(content).hexdigest()


def test_newest_version_is_the_one_of_the_largest_number(root: Path) -> None:
    for version in ("2", "10", "notes", ".hidden"):
        (root / "tiny_a" / version).mkdir()
    (root / "tiny_a" / "11").write_text("a file, not a version")
    assert ModelRepository(root).model("tiny_a").onnx_path.parent.name == "10"


def test_missing_repository_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ModelRepositoryError, match=r"nowhere.*beauty-export onnx"):
        ModelRepository(tmp_path / "nowhere")


def test_missing_model_is_refused_naming_those_that_are_there(tiny_repository: Path) -> None:
    with pytest.raises(ModelRepositoryError, match="no model 'paper'") as caught:
        ModelRepository(tiny_repository).ensemble("paper")
    assert "['tiny', 'tiny_a', 'tiny_b']" in str(caught.value)
    assert "beauty-export onnx" in str(caught.value)


def test_missing_onnx_file_is_named_when_its_digest_is_asked_for(root: Path) -> None:
    path = root / "tiny_a" / "1" / "model.onnx"
    path.unlink()
    with pytest.raises(ModelRepositoryError, match="beauty-export onnx") as caught:
        _ = ModelRepository(root).model("tiny_a").digest
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"name: ", b"\xff\xfe", b'surname: "x"', b"input {\n  dims: x\n}", b""],
    ids=["half a line", "not UTF-8", "unknown field", "letters for a number", "empty"],
)
def test_damaged_configuration_is_refused_naming_the_file_on_one_line(
    root: Path, content: bytes
) -> None:
    path = root / "tiny_a" / "config.pbtxt"
    path.write_bytes(content)
    with pytest.raises(ModelRepositoryError) as caught:
        ModelRepository(root).model("tiny_a")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_configuration_that_names_another_model_is_refused(root: Path) -> None:
    replace(root / "tiny_a" / "config.pbtxt", 'name: "tiny_a"', 'name: "tiny_c"')
    with pytest.raises(ModelRepositoryError, match="'tiny_c', not 'tiny_a'"):
        ModelRepository(root).model("tiny_a")


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r"dims: 24", ""),
        (r"dims: 24", "dims: 24 dims: 24"),
        (r"dims: 24", "dims: -1"),
        (r"dims: 32", "dims: -1"),
        (r"dims: 3\b", "dims: 4"),
        (r"dims: 3\b", ""),
        (r"dims: 32\s+dims: 32", "dims: 32 dims: 48"),
        (r"\noutput ", "\ninput "),
        (r"dims: 8", "dims: 4"),
        (r"TYPE_UINT8", "TYPE_FP32"),
        (r"TYPE_FP32", "TYPE_FP16"),
        (r"TYPE_INT32", "TYPE_INT64"),
    ],
    ids=[
        *("no length", "2-D", "any length", "any side", "RGBA", "grey", "not square", "no output"),
        *("short fingerprint", "image of floats", "half precision", "long fingerprint"),
    ],
)
def test_model_that_maps_no_square_image_to_a_descriptor_is_refused(
    root: Path, pattern: str, replacement: str
) -> None:
    replace(root / "tiny_a" / "config.pbtxt", pattern, replacement)
    with pytest.raises(ModelRepositoryError, match=r"\[S, S, 3\]"):
        ModelRepository(root).model("tiny_a")


def test_model_that_is_no_ensemble_is_refused_as_one(tiny_repository: Path) -> None:
    with pytest.raises(ModelRepositoryError, match="must be an ensemble"):
        ModelRepository(tiny_repository).ensemble("tiny_a")


def test_ensemble_of_models_of_two_sizes_is_refused_naming_both(root: Path) -> None:
    replace(root / "tiny_b" / "config.pbtxt", "dims: 32", "dims: 48")
    with pytest.raises(ModelRepositoryError, match="'tiny_a': 32, 'tiny_b': 48"):
        ModelRepository(root).ensemble("tiny")


def test_ensemble_with_a_missing_member_names_it(root: Path) -> None:
    shutil.rmtree(root / "tiny_b")
    with pytest.raises(ModelRepositoryError, match="no model 'tiny_b'"):
        ModelRepository(root).ensemble("tiny")
