"""The command ``beauty-export``: what it says, where it says it, and how it ends."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from export.cli import BAD_INPUT, app, main
from export.commands.options import engine_options
from export.descriptors.engine_choice import EngineChoice
from retrieval_server.cli import create_app
from retrieval_server.engines.engine import TritonConnection
from retrieval_server.index.publish import open_index

COMMANDS = sorted(typer.main.get_command(app).commands)
LIMITED_FILES = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({largest}, {largest}))
from export.cli import main
main()
"""


@dataclass(frozen=True)
class Outcome:
    exit_code: int
    stdout: str
    stderr: str

    @property
    def error_lines(self) -> list[str]:
        return [line for line in self.stderr.splitlines() if line.startswith("error:")]


Run = Callable[..., Outcome]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``beauty-export`` with arguments."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["beauty-export", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), output.out, output.err)

    return run


@pytest.fixture
def index_options(tiny_profile_file: Path, tiny_repository: Path) -> tuple[object, ...]:
    return ("--profile", tiny_profile_file, "--model-repository", tiny_repository)


@pytest.fixture
def catalogue(catalogue_folder: Callable[..., Path]) -> Path:
    """A catalogue to change."""
    return catalogue_folder(families=2, members=3)


def check_failed(outcome: Outcome, *expected: str) -> None:
    assert outcome.exit_code in {1, BAD_INPUT}, outcome
    assert len(outcome.error_lines) == 1, outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert outcome.stdout == ""
    assert outcome.stderr.splitlines()[-1] == outcome.error_lines[0]
    for text in expected:
        assert text in outcome.error_lines[0]


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
    assert found == dict.fromkeys(("extract", "index", "evaluate", "predict"), shared)


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
    ],
    ids=" ".join,
)
def test_misuse_exits_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    outcome = run(*arguments)
    assert outcome.exit_code == 2
    assert "Traceback" not in outcome.stderr


def test_index_is_built_verified_and_not_built_again(
    run: Run, catalogue: Path, tmp_path: Path, index_options: tuple[object, ...]
) -> None:
    root = tmp_path / "index"
    built = run("index", catalogue, "--output", root, *index_options)
    version = open_index(root).folder
    assert (built.exit_code, built.stdout) == (0, "")
    assert f"{version}: 6 products, 6 descriptions, 12 text neighbours" in built.stderr
    assert "warning" not in built.stderr
    again = run("index", catalogue, "--output", root, *index_options)
    assert (again.exit_code, again.stderr) == (0, f"nothing to do: {version} is up to date\n")
    verified = run("verify", root)
    assert (verified.exit_code, verified.stderr) == (
        0,
        f"{version}: 6 products, every file as it was written\n",
    )


def test_threshold_reaches_the_index(
    run: Run, catalogue: Path, tmp_path: Path, index_options: tuple[object, ...]
) -> None:
    run("index", catalogue, "--output", tmp_path, "--threshold", "0.99", *index_options)
    manifest = open_index(tmp_path).manifest
    assert (manifest.text["threshold"], manifest.text_pairs) == (0.99, 0)


def test_settings_of_the_text_reach_the_index_and_what_is_left_out_is_counted(
    run: Run, catalogue: Path, tmp_path: Path, index_options: tuple[object, ...]
) -> None:
    with (catalogue / "catalog.csv").open("a", encoding="utf-8") as file:
        file.write("es,images/p0002.png,Garnier champú para cabello dañado,,\n")
        file.write("zh,images/p0002.png,修护精华液,,\n")
    outcome = run("index", catalogue, "--output", tmp_path, *index_options)
    assert (
        "2 descriptions are not English (another script 1, es 1): their products are found by image"
        in outcome.stderr
    )
    assert open_index(tmp_path).manifest.documents == 6
    options = ("--language-filter", "none", "--tokeniser", "literal-1", "--max-neighbours", "1")
    outcome = run("index", catalogue, "--output", tmp_path, *options, *index_options)
    manifest = open_index(tmp_path).manifest
    assert (manifest.documents, manifest.text_pairs, manifest.text["cut_lists"]) == (8, 6, 6)
    assert manifest.text["tokeniser"] == "literal-1"
    assert "warning: --max-neighbours cut 6 lists of text neighbours by 6 in all" in outcome.stderr
    assert "not English" not in outcome.stderr


def test_unknown_rule_for_the_text_names_the_known_ones(
    run: Run, catalogue: Path, tmp_path: Path, index_options: tuple[object, ...]
) -> None:
    arguments = ("index", catalogue, "--output", tmp_path / "index", *index_options)
    check_failed(run(*arguments, "--tokeniser", "literal"), "'literal'", "literal-1")
    check_failed(run(*arguments, "--language-filter", "all"), "'all'", "english-1, none")


def test_what_an_operator_should_look_at_is_warned_about(
    run: Run, catalogue: Path, tmp_path: Path, index_options: tuple[object, ...]
) -> None:
    (catalogue / "images" / "p0001.jpg").unlink()
    Image.new("RGB", (40, 40), "white").save(catalogue / "images" / "p0000.png")
    rows = "".join(f"blank{n},images/p0002.png, ,,\n" for n in range(7))
    with (catalogue / "catalog.csv").open("a") as file:
        file.write(rows)
    outcome = run("index", catalogue, "--output", tmp_path, *index_options)
    warnings = [line for line in outcome.stderr.splitlines() if line.startswith("warning:")]
    assert outcome.exit_code == 0
    assert len(warnings) == 4
    assert (
        "7 products have an empty description (blank0, blank1, blank2, blank3, blank4 …)"
        in (warnings[0])
    )
    assert "1 images could not be read" in warnings[1]
    assert str(open_index(tmp_path).folder / "rejects.jsonl") in warnings[1]
    assert "1 images have an all-zero descriptor by tiny_a" in warnings[2]
    assert "1 images have an all-zero descriptor by tiny_b" in warnings[3]


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


@pytest.mark.parametrize("largest", [8_000, 13_000], ids=["in a block", "in the bundle"])
def test_disk_that_fills_up_is_one_line_and_the_next_run_goes_on(
    run: Run,
    catalogue_folder: Callable[..., Path],
    tmp_path: Path,
    index_options: tuple[object, ...],
    largest: int,
) -> None:
    """A limit on the size of files stands for the full disk: either way a write fails."""
    catalogue = catalogue_folder(families=30)
    arguments = ["index", catalogue, "--output", tmp_path / "index", *index_options]
    done = subprocess.run(
        [sys.executable, "-B", "-c", LIMITED_FILES.format(largest=largest), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    check_failed(
        Outcome(done.returncode, done.stdout, done.stderr), "Cannot write", str(tmp_path / "index")
    )
    assert not (tmp_path / "index" / "current").exists()
    assert run(*arguments).exit_code == 0


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
