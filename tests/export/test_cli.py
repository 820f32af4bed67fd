"""The command ``beauty-export``: what it says, where it says it, and how it ends."""

import json
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from export.cli import app
from export.commands.options import engine_options
from export.descriptors.engine_choice import EngineChoice
from retrieval_server.cli import create_app
from retrieval_server.command_line.outcome import BAD_INPUT
from retrieval_server.engines.engine import TritonConnection
from retrieval_server.index.publish import open_index
from tests.support.export.beauty_export import Run, check_failed

COMMANDS = sorted(typer.main.get_command(app).commands)


def test_commands_are_those_of_the_offline_room() -> None:
    assert COMMANDS == [
        "attention",
        "augmentation",
        "calibrate",
        "compact",
        "contact-sheet",
        "evaluate",
        "extract",
        "fit-texts",
        "index",
        "join-texts",
        "load",
        "onnx",
        "predict",
        "publish",
        "sample",
        "tune",
        "verify",
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_ends_with_an_example_of_its_command(run: Run, command: str) -> None:
    outcome = run(command, "--help")
    assert outcome.exit_code == 0
    last = " ".join(outcome.stdout.strip().rsplit("\n\n", 1)[-1].split())
    assert last.startswith(f"Example: beauty-export {command} ")


def engine_options_of(command: typer.core.TyperCommand) -> list[tuple[object, ...]]:
    return [
        (option.name, option.opts, option.envvar, option.default, option.help)
        for option in command.params
        if option.name in {"model_repository", "engine"} or option.name.startswith("triton_")
    ]


def test_every_command_that_describes_images_has_the_servers_options_of_the_engine() -> None:
    server = engine_options_of(typer.main.get_command(create_app()))
    shared = [option for option in server if option[0] != "triton_timeout_s"]
    found = {
        name: engine_options_of(command)
        for name, command in typer.main.get_command(app).commands.items()
        if any(option.name == "engine" for option in command.params)
    }
    assert len(shared) == 7
    assert found == dict.fromkeys(("extract", "index", "evaluate", "calibrate", "predict"), shared)


def test_the_options_of_the_engine_reach_it() -> None:
    chosen = []

    @engine_options
    def command(*, engine: EngineChoice) -> None:
        chosen.append(engine)

    triton = typer.Typer()
    triton.command()(command)
    options = "--engine triton --triton-url host:1 --model-repository models"
    files = "--triton-tls-ca ca --triton-tls-cert cert --triton-tls-key key"
    environment = {"RETRIEVAL_TRITON_ACCESS_KEY": "name=value"}

    assert CliRunner().invoke(triton, f"{options} {files}", env=environment).exit_code == 0

    connection = TritonConnection(
        url="host:1",
        timeout_s=120.0,
        tls_ca=Path("ca"),
        tls_cert=Path("cert"),
        tls_key=Path("key"),
        access_key="name=value",
    )
    assert chosen == [EngineChoice(Path("models"), "triton", connection)]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("indx",),
        ("index",),
        ("index", "catalogue"),
        ("index", "catalogue", "--output", "x", "--colour"),
        ("index", "catalogue", "--output", "x", "--threshold", "high"),
        ("index", "catalogue", "--output", "x", "--threshold", "0"),
        ("index", "catalogue", "--output", "x", "--threshold", "1"),
        ("index", "catalogue", "--output", "x", "--threshold", "-0.1"),
        ("index", "catalogue", "--output", "x", "--threshold", "1.5"),
        ("index", "catalogue", "--output", "x", "--threshold", "nan"),
        ("index", "catalogue", "--output", "x", "--max-neighbours", "0"),
        ("index", "catalogue", "--output", "x", "--shards", "2"),
        ("extract", "catalogue"),
        ("extract", "catalogue", "--output", "x", "--shards", "0"),
        ("extract", "catalogue", "--output", "x", "--shard", "-1"),
        ("extract", "catalogue", "--output", "x", "--shard", "1"),
        ("extract", "catalogue", "--output", "x", "--shard", "3", "--shards", "3"),
        ("evaluate", "dataset", "--keep", "7"),
        ("predict", "photos", "x", "--index", "x", "--keep", "8"),
        ("tune", "dataset", "--keep", "8"),
        ("tune", "dataset", "--threshold", "0.5", "--threshold", "1"),
        ("augmentation", "dataset", "--keep", "7"),
        ("augmentation", "dataset", "--threshold", "nan"),
        ("verify",),
        ("contact-sheet", "results.jsonl"),
        ("sample", "x", "--seed", "zero"),
        ("sample", "-"),
        ("index", "catalogue", "--output", "-"),
        ("extract", "catalogue", "--output", "-"),
        ("index", "catalogue", "--output", "x", "--triton-url", "http://host:1"),
        ("attention", "photo", "--output", "x", "--png", "-"),
        ("evaluate", "dataset", "--html", "-", "--json"),
        ("evaluate", "dataset", "--html", "-", "--markdown", "/dev/stdout"),
        ("evaluate", "dataset", "--html", "x", "--markdown", "./x"),
        ("tune", "dataset", "--html", "-", "--save", "-"),
        ("tune", "dataset", "--alpha", "inf"),
        ("load", "index"),
        ("load", "index", "--store", "localhost:19530"),
        ("load", "index", "--store", "milvus-lite:x.db/x", "--max-loss", "2"),
        ("load", "index", "--store", "milvus-lite:x.db/x", "--max-rows-per-second", "0"),
    ],
    ids=" ".join,
)
def test_misuse_exits_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    outcome = run(*arguments)
    assert outcome.exit_code == 2
    assert "Traceback" not in outcome.stderr


def test_unknown_rule_for_the_text_names_the_known_ones(
    run: Run, catalogue: Path, tmp_path: Path, index_options: tuple[object, ...]
) -> None:
    arguments = ("index", catalogue, "--output", tmp_path / "index", *index_options)
    check_failed(run(*arguments, "--tokeniser", "literal"), "'literal'", "literal-2")
    check_failed(run(*arguments, "--language-filter", "all"), "'all'", "english-1, none")


def test_damaged_index_fails_verification_and_is_mended_by_the_advice_given(
    run: Run,
    tiny_index_copy: Path,
    tiny_catalogue: Path,
    index_options: tuple[object, ...],
) -> None:
    damaged = open_index(tiny_index_copy).folder / "descriptors.tiny_a.npy"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\1")
    check_failed(run("verify", tiny_index_copy), str(damaged), "checksum", "beauty-export index")
    assert run("index", tiny_catalogue, "--output", tiny_index_copy, *index_options).exit_code == 0
    assert run("verify", tiny_index_copy).exit_code == 0


def test_errors_are_one_line_that_names_the_value(
    run: Run, catalogue: Path, tmp_path: Path, index_options: tuple[object, ...]
) -> None:
    output = ("--output", tmp_path / "index")
    check_failed(run("index", tmp_path / "no", *output, *index_options), str(tmp_path / "no"))
    check_failed(
        run("index", catalogue, *output, "--profile", "liet"), "'liet'", "paper, lite", ".toml"
    )
    check_failed(run("index", catalogue, *output, *index_options, "--engine", "tritn"), "'tritn'")
    check_failed(
        run("index", catalogue, *output, *index_options[:2], "--model-repository", tmp_path / "m"),
        str(tmp_path / "m"),
        "beauty-export onnx",
    )
    check_failed(run("verify", tmp_path / "none"), str(tmp_path / "none"), "Build one")
    check_failed(run("sample", catalogue), str(catalogue))
    check_failed(run("evaluate", catalogue, "--index", tmp_path / "none"), str(tmp_path / "none"))


def test_bad_model_configuration_is_still_one_line(
    run: Run, catalogue: Path, tmp_path: Path, tiny_profile_file: Path, tiny_repository: Path
) -> None:
    copy = shutil.copytree(tiny_repository, tmp_path / "repository")
    (copy / "tiny" / "config.pbtxt").write_text("name: 'tiny'\n!\n")
    options = ("--profile", tiny_profile_file, "--model-repository", copy)
    outcome = run("index", catalogue, "--output", tmp_path / "index", *options)
    check_failed(outcome, str(copy / "tiny" / "config.pbtxt"))


def test_output_that_cannot_be_written_is_one_line(
    run: Run, catalogue: Path, tmp_path: Path, index_options: tuple[object, ...]
) -> None:
    (tmp_path / "file").write_text("in the way")
    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        check_failed(run("index", catalogue, "--output", output, *index_options), str(output))
    results = tmp_path / "results.jsonl"
    results.write_text("")
    for output in (tmp_path, tmp_path / "file" / "sheet.html"):
        check_failed(run("contact-sheet", results, "--catalogue", catalogue, "--output", output))


def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    run: Run, tmp_path: Path
) -> None:
    nowhere = tmp_path / "no dataset"
    for words in (
        ("evaluate", nowhere, "--html", tmp_path),
        ("evaluate", nowhere, "--markdown", tmp_path),
        ("tune", nowhere, "--save", tmp_path),
        ("predict", nowhere, tmp_path, "--index", nowhere),
        ("contact-sheet", nowhere, "--catalogue", nowhere, "--output", tmp_path),
        ("attention", nowhere, "--output", tmp_path),
    ):
        check_failed(run(*words), str(tmp_path), "it is a folder")
    (tmp_path / "file").touch()
    words = ("attention", nowhere, "--output", tmp_path / "page", "--png", tmp_path / "file")
    check_failed(run(*words), str(tmp_path / "file"), "is not a folder")


@pytest.mark.parametrize("option", ["--html", "--markdown"])
def test_a_dash_prints_a_report_of_an_evaluation_instead_of_the_table(
    run: Run,
    tiny_catalogue: Path,
    tiny_index: Path,
    tiny_repository: Path,
    tmp_path: Path,
    option: str,
) -> None:
    words = ("evaluate", tiny_catalogue, "--index", tiny_index)
    models = ("--model-repository", tiny_repository)
    assert run(*words, option, tmp_path / "report", *models).exit_code == 0
    outcome = run(*words, option, "-", *models)
    assert outcome.exit_code == 0
    assert outcome.stdout == (tmp_path / "report").read_text(encoding="utf-8")


def test_a_dash_prints_the_answers_of_a_prediction(
    run: Run, tiny_catalogue: Path, tiny_index: Path, tiny_repository: Path, tmp_path: Path
) -> None:
    options = ("--index", tiny_index, "--model-repository", tiny_repository)
    photos = tiny_catalogue / "queries"
    assert run("predict", photos, tmp_path / "answers", *options).exit_code == 0
    outcome = run("predict", photos, "-", *options)
    assert outcome.exit_code == 0
    assert outcome.stdout == (tmp_path / "answers").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("ground_truth", "reason"),
    [
        ("query_image,ids\nnone.jpg,p0000\n", "None of the 1 query images"),
        ("query_image,ids\nqueries/q00.jpg,p0000\nqueries/q01.jpg,p0000\n", "one item only"),
        ("query_image,ids\nqueries/q00.jpg,none\n", "no product 'none'"),
    ],
)
def test_a_dataset_that_cannot_be_measured_is_refused_before_its_images_are_described(
    run: Run, tiny_catalogue: Path, tmp_path: Path, ground_truth: str, reason: str
) -> None:
    dataset = shutil.copytree(tiny_catalogue, tmp_path / "dataset")
    (dataset / "ground_truth.csv").write_text(ground_truth, encoding="utf-8")
    outcome = run("tune", dataset, "--cache", tmp_path / "cache")
    check_failed(outcome, reason)
    assert outcome.exit_code == BAD_INPUT
    assert not (tmp_path / "cache").exists()


def test_a_true_match_that_cannot_be_read_is_refused_before_the_index_is_built(
    run: Run, tiny_catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dataset = shutil.copytree(tiny_catalogue, tmp_path / "dataset")
    for image in (dataset / "images").iterdir():
        image.write_bytes(b"no picture")
    check_failed(run("evaluate", dataset), "should find, can be read")
    assert not (tmp_path / "build").exists()


def test_contact_sheet_says_how_many_queries_it_shows(
    run: Run, tiny_catalogue: Path, tmp_path: Path
) -> None:
    results, output = tmp_path / "results.jsonl", tmp_path / "sheet.html"
    record = {"query": "q00.jpg", "initial_results": [], "results": []}
    results.write_text(json.dumps(record) + "\n" + json.dumps({"query": "x", "error": "bad"}))
    arguments = ("contact-sheet", results, "--catalogue", tiny_catalogue, "--output", output)
    outcome = run(*arguments)
    assert (outcome.exit_code, outcome.stderr) == (0, f"contact sheet of 1 queries: {output}\n")
    results.write_text('{"query": "x", "error": "bad"}')
    check_failed(run(*arguments), str(results), "no query that was answered")
    results.write_text("no json")
    check_failed(run(*arguments), str(results))
    results.write_text('{"query": 3}')
    check_failed(run(*arguments), "beauty-search --json")


def test_evaluation_of_a_tiny_catalogue_is_one_json_object(
    run: Run, tiny_catalogue: Path, tiny_index: Path, tiny_repository: Path
) -> None:
    options = ("--index", tiny_index, "--model-repository", tiny_repository)
    outcome = run("evaluate", tiny_catalogue, "--json", *options)
    assert outcome.exit_code == 0
    (line,) = outcome.stdout.splitlines()
    evaluation = json.loads(line)
    assert (evaluation["queries"], evaluation["products"]) == (8, 40)
    assert [row["method"] for row in evaluation["rows"]][:2] == ["baseline", "k = 6"]
