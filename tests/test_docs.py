"""What is written for people is true: commands, options, targets, links, tables, figures."""

import re
import shlex
import subprocess
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import typer

import client
import client.cli
import export.cli
from retrieval_server.cli import create_app
from retrieval_server.models.model_repository import ModelRepository

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in (ROOT, ROOT / "model_repository", ROOT / "deploy")
    for path in folder.glob("*.md")
)


COMMANDS = {
    "beauty-export": typer.main.get_command(export.cli.app),
    "beauty-search": typer.main.get_command(client.cli.app),
    "beauty-server": typer.main.get_command(create_app()),
}


def text_of(document):
    return (ROOT / document).read_text(encoding="utf-8")


def commands_in(text):
    """Every command of ours in code, whether in a block or between backticks."""
    blocks = re.findall(r"```\n(.*?)```", text, re.DOTALL)
    lines = [line.split("#")[0] for block in blocks for line in block.splitlines()]
    lines = [line for line in lines if line.startswith(("beauty-", "make "))]
    lines += re.findall(r"`((?:beauty-|make )[^`]*)`", text)
    for line in lines:
        for command in re.split(r"&&|\|", line):
            words = shlex.split(command)
            if words and (words[0] in COMMANDS or words[0] == "make"):
                yield words


def make_targets():
    return set(re.findall(r"^([a-z-]+):.*##", text_of("Makefile"), re.MULTILINE))


def options_of(command):
    return {name for parameter in command.params for name in (*parameter.opts, "--help")}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_in_a_document_exists_with_its_options(document):
    for words in commands_in(text_of(document)):
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= make_targets(), words
            continue
        command, rest = COMMANDS[words[0]], words[1:]
        if hasattr(command, "commands") and rest and not rest[0].startswith("-"):
            assert rest[0] in command.commands, words
            command, rest = command.commands[rest[0]], rest[1:]
        given = {word.split("=")[0] for word in rest if word.startswith("--")}
        assert given <= options_of(command), words


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_to_a_file_leads_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)\)", text_of(document)):
        if not target.startswith("https://"):
            assert (ROOT / document).parent.joinpath(target).exists(), target


def test_the_readme_gives_the_two_commands_at_once():
    head = "\n".join(text_of("README.md").splitlines()[:25])

    assert "make demo" in head
    assert "make test" in head


def test_the_readme_s_rooms_are_the_tree_s():
    rooms = re.findall(r"^\| `([a-z_]+)/` \|", text_of("README.md"), re.MULTILINE)
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()

    assert set(rooms) == {path.split("/")[0] for path in listed if "/" in path} - {".ci"}


def test_the_readme_s_python_uses_what_the_client_exports():
    (code,) = re.findall(r"```python\n(.*?)```", text_of("README.md"), re.DOTALL)

    compile(code, "README.md", "exec")
    for name in re.findall(r"from client import (\w+)", code):
        assert hasattr(client, name)


def test_every_figure_of_the_readme_s_table_stands_in_the_results():
    (table,) = re.findall(
        r"<!-- results -->\n(.*?)<!-- /results -->", text_of("README.md"), re.DOTALL
    )
    figures = re.findall(r"\d\.\d{3,}", table)

    assert len(figures) >= 14
    for figure in figures:
        assert figure in text_of("RESULTS.md"), figure


def test_every_result_names_its_command_and_commit():
    sections = re.split(r"^## ", text_of("RESULTS.md"), flags=re.MULTILINE)[1:]

    assert sections
    for section in sections:
        assert re.search(r"^Command: `.+`", section, re.MULTILINE), section[:60]
        assert re.search(r"^Commit: [0-9a-f]{7,40}", section, re.MULTILINE), section[:60]


def test_make_alone_lists_every_target():
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    for target in make_targets():
        assert f"make {target} " in shown
    phony = re.search(r"^\.PHONY: (.*)$", text_of("Makefile"), re.MULTILINE)[1].split()
    assert set(phony) == make_targets()


def test_the_changelog_knows_the_version():
    project = tomllib.loads(text_of("pyproject.toml"))["project"]

    assert f"\n## {project['version']} " in text_of("CHANGELOG.md")


def test_the_pinned_versions_meet_the_lower_bounds_and_are_exact():
    pins = [line for line in text_of("constraints.txt").splitlines() if not line.startswith("#")]
    names = {re.split("==", pin)[0].lower().replace("_", "-") for pin in pins}
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]

    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[^ ]+", pin) for pin in pins)
    for requirement in wanted:
        name = re.match(r"[a-z0-9-]+", requirement.lower())[0]
        assert name in names | {"beauty-retrieval", "onnxruntime-gpu"}, requirement


def test_the_model_table_is_what_the_configurations_say():
    repository = ModelRepository(ROOT / "model_repository")
    rows = re.findall(
        r"^\| `(\w+)` \| .* \| `image` (\[.*?\]) \| (.*) \| `(.*)` \|$",
        text_of("model_repository/README.md"),
        re.MULTILINE,
    )

    folders = {path.parent.name for path in repository.root.glob("*/config.pbtxt")}
    assert {name for name, *_ in rows} == folders
    for name, image, outputs, _ in rows:
        config = repository.config(name)
        assert image == str(list(config.input[0].dims))
        written = dict(re.findall(r"`(\w+)` (\[\d+\])", outputs))
        assert written == {output.name: str(list(output.dims)) for output in config.output}
        assert f"at most {config.max_batch_size} through Triton" in text_of(
            "model_repository/README.md"
        )
