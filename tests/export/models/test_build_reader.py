"""The export of a reader: from the wheel to the model repository."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from typer.testing import CliRunner

from export.cli import app
from export.models.build_reader import export_reader, text_model_config
from export.models.model_configs import write_model_configs
from export.models.probe_images import probe_images
from export.models.reader_wheel import WHEEL_NAME, ReaderWheel
from export.models.text_graphs import PP_OCR, graft
from retrieval_server.errors import ModelRepositoryError
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.reader import READER_MODELS, copy_reader, has_reader, read_alphabet
from tests.support.paths import ROOT

RECOGNISER = "text_recogniser"


@pytest.fixture
def repository_copy(reader_repository: Path, tmp_path: Path) -> Path:
    return shutil.copytree(reader_repository, tmp_path / "models")


def session_of(repository: Path, model: str) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(
        repository / model / "1" / "model.onnx", providers=["CPUExecutionProvider"]
    )


def test_export_writes_the_configurations_that_are_checked_in(reader_repository: Path) -> None:
    for model in READER_MODELS:
        checked_in = ROOT / "model_repository" / model
        written = {path.relative_to(reader_repository / model): path.read_text()
                   for path in (reader_repository / model).rglob("*.pbtxt")}  # fmt: skip
        assert len(written) == 3
        assert written == {
            path.relative_to(checked_in): path.read_text() for path in checked_in.rglob("*.pbtxt")
        }


def test_second_export_keeps_the_models_and_needs_no_wheel(reader_repository: Path) -> None:
    exported = export_reader(reader_repository, ReaderWheel(Path("nowhere.whl")))
    assert [model.model for model in exported] == [text_graph.model for text_graph in PP_OCR]
    assert not any(model.is_new for model in exported)


@pytest.mark.parametrize("lost", ["config.pbtxt", "1/model.onnx", "1/alphabet.txt"])
def test_incomplete_model_is_exported_again(
    repository_copy: Path, reader_wheel: Path, lost: str
) -> None:
    before = (repository_copy / RECOGNISER / lost).read_bytes()
    (repository_copy / RECOGNISER / lost).unlink()
    exported = export_reader(repository_copy, ReaderWheel(reader_wheel))
    assert [model.model for model in exported if model.is_new] == [RECOGNISER]
    assert (repository_copy / RECOGNISER / lost).read_bytes() == before


def test_metadata_names_package_version_and_file(reader_repository: Path) -> None:
    model = onnx.load(reader_repository / RECOGNISER / "1" / "model.onnx")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata["weights"] == (
        "package rapidocr-onnxruntime 1.4.4 (ch_PP-OCRv4_rec_infer.onnx)"
    )


@pytest.mark.parametrize("model", READER_MODELS)
def test_fingerprint_is_the_same_for_each_image_and_size(
    reader_repository: Path, model: str
) -> None:
    session = session_of(reader_repository, model)
    sizes = [(48, 192)] if model == "text_orientation" else [(64, 96), (32, 320)]
    if model == RECOGNISER:
        sizes = [(48, 320), (48, 352)]
    rows = [
        row.tobytes()
        for height, width in sizes
        for row in session.run(
            ["fingerprint"], {"image": probe_images(352, 2)[:, :height, :width]}
        )[0]
    ]
    assert len(rows) == 2 * len(sizes)
    assert len(set(rows)) == 1


def test_text_map_is_as_large_as_the_image(reader_repository: Path) -> None:
    images = probe_images(96, 2)[:, :64]
    (text_map,) = session_of(reader_repository, "text_detector").run(
        ["text_map"], {"image": images}
    )
    assert (text_map.shape, text_map.dtype) == ((2, 64, 96), np.uint8)


def test_alphabet_has_the_blank_the_symbols_and_the_space(reader_repository: Path) -> None:
    alphabet = read_alphabet(ModelRepository(reader_repository))
    assert len(alphabet) == 6625  # the classes of the recogniser
    assert (alphabet[0], alphabet[1], alphabet[-1]) == ("", "'", " ")
    assert {*"aZ09é&%+-."} - set(alphabet) == set()
    assert all(len(symbol) >= 1 for symbol in alphabet[1:])


def test_damaged_alphabet_is_refused_with_the_command_that_makes_it(repository_copy: Path) -> None:
    path = repository_copy / RECOGNISER / "1" / "alphabet.txt"
    path.write_bytes(path.read_bytes().replace(b"\na\n", b"\nb\n"))
    with pytest.raises(ModelRepositoryError, match="beauty-export onnx --reader ppocr") as caught:
        read_alphabet(ModelRepository(repository_copy))
    assert str(path) in str(caught.value)
    path.unlink()
    with pytest.raises(ModelRepositoryError, match="No such file"):
        read_alphabet(ModelRepository(repository_copy))


def test_reader_is_there_if_all_its_files_are(repository_copy: Path, tmp_path: Path) -> None:
    assert has_reader(ModelRepository(repository_copy))
    assert not has_reader(ModelRepository(ROOT / "tests"))
    copied = copy_reader(ModelRepository(repository_copy), tmp_path / "copy")
    assert [model.name for model in copied] == list(READER_MODELS)
    assert len(read_alphabet(ModelRepository(tmp_path / "copy"))) == 6625
    (repository_copy / "text_detector" / "1" / "model.onnx").unlink()
    assert not has_reader(ModelRepository(repository_copy))
    assert copy_reader(ModelRepository(repository_copy), tmp_path / "other") == ()


def test_graph_that_differs_from_the_wheel_s_is_not_written(
    reader_wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(source: onnx.ModelProto, text_graph: object) -> onnx.ModelProto:
        model = graft(source, text_graph)
        (scale,) = (tensor for tensor in model.graph.initializer if tensor.name == "reader/scale")
        scale.raw_data = np.float32(1 / 255).tobytes()
        return model

    monkeypatch.setattr("export.models.build_reader.graft", damaged)
    with pytest.raises(ModelRepositoryError, match=r"text_detector: the exported graph differs"):
        export_reader(tmp_path, ReaderWheel(reader_wheel))
    assert list(tmp_path.rglob("*.onnx")) == []


# The wheel.


def test_wheel_is_downloaded_by_pip(reader_wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(reader_wheel.parent))
    assert ReaderWheel().model(PP_OCR[0].source)[:1] == b"\x08"  # ModelProto.ir_version


def test_failed_download_says_what_to_do_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ModelRepositoryError, match=r"Cannot download .*--reader-wheel: pip down"):
        ReaderWheel().model(PP_OCR[0].source)


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "truncated"])
def test_file_that_is_not_the_wheel_is_refused_with_the_command_that_gets_it(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    path = tmp_path / WHEEL_NAME
    if kind == "folder":
        path.mkdir()
    elif kind == "truncated":
        wheel = request.getfixturevalue("reader_wheel")
        path.write_bytes(wheel.read_bytes()[:-1])
    elif kind != "missing":
        path.write_bytes(b"" if kind == "empty" else b"no wheel")
    with pytest.raises(ModelRepositoryError, match=r"pip download --no-deps rapidocr") as caught:
        ReaderWheel(path).model(PP_OCR[0].source)
    assert str(path) in str(caught.value)


# The command.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--reader", "tesseract"], "'tesseract' is no reader. Choose one of: ppocr."),
        (["--reader-wheel", "x.whl"], "--reader-wheel needs --reader."),
    ],
)
def test_misused_options_are_named(options: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["onnx", *options])
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


@pytest.mark.parametrize("text_graph", PP_OCR, ids=lambda text_graph: text_graph.model)
def test_configuration_for_a_gpu_keeps_the_alphabet_and_has_no_threads(
    tmp_path: Path, text_graph
) -> None:
    config = text_model_config(text_graph, b"a\n")
    write_model_configs(tmp_path / text_graph.model, config)
    for variant in ("cuda", "tensorrt"):
        text = (tmp_path / text_graph.model / "configs" / f"{variant}.pbtxt").read_text()
        assert hashlib.sha256(b"a\n").hexdigest() in text
        assert "intra_op_thread_count" not in text
        is_fixed = text_graph.model == "text_orientation"
        assert f'name: "{variant if is_fixed else "cuda"}"' in text
    assert not (tmp_path / text_graph.model / "configs" / "openvino.pbtxt").exists()
