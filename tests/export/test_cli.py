"""The command ``beauty-export``: what it says, where it says it, and how it ends."""

import json
import shutil
from pathlib import Path

import pytest
import typer

from export.cli import app
from retrieval_server.index.publish import open_index
from tests.support.beauty_export import Run, check_failed

COMMANDS = sorted(typer.main.get_command(app).commands)


def test_commands_are_those_of_the_offline_room() -> None:
    assert COMMANDS == [
        "attention",
        "augmentation",
        "contact-sheet",
        "evaluate",
        "extract",
        "index",
        "onnx",
        "predict",
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


def test_the_options_of_the_engine_are_the_same_for_every_command_that_describes_images() -> None:
    commands = typer.main.get_command(app).commands
    found = {
        name: [
            (option.name, option.opts, option.envvar, option.default, option.help)
            for option in command.params
            if option.name in {"model_repository", "engine"} or option.name.startswith("triton_")
        ]
        for name, command in commands.items()
        if any(option.name == "engine" for option in command.params)
    }
    assert set(found) == {"extract", "index", "evaluate", "predict"}
    assert found["extract"] == found["index"]
    assert found["evaluate"] == found["predict"] == found["index"][:3]
    assert len(found["index"]) == 7


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
        ("verify",),
        ("contact-sheet", "results.jsonl"),
        ("sample", "x", "--seed", "zero"),
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
    check_failed(run(*arguments, "--tokeniser", "literal"), "'literal'", "literal-1")
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


def test_contact_sheet_says_how_many_queries_it_shows(
    run: Run, tiny_catalogue: Path, tmp_path: Path
) -> None:
    results, output = tmp_path / "results.jsonl", tmp_path / "sheet.html"
    record = {"query": "q00.jpg", "initial_results": [], "results": []}
    results.write_text(json.dumps(record) + "\n" + json.dumps({"query": "x", "error": "bad"}))
    arguments = ("contact-sheet", results, "--catalogue", tiny_catalogue, "--output", output)
    outcome = run(*arguments)
    assert (outcome.exit_code, outcome.stderr) == (0, f"contact sheet of 1 queries: {output}\n")
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
