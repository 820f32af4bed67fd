"""What is written for people is true: commands, options, targets, links, tables, figures."""

import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import features

import client
import client.cli
import export.cli
from retrieval_server.cli import create_app
from retrieval_server.models.image_file import FORMATS
from retrieval_server.models.model_repository import ModelRepository
from tests.support.paths import ROOT

DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in (".", "model_repository", "deploy", "deploy/local_triton", "docs", "results")
    for path in (ROOT / folder).glob("*.md")
)
RESULTS = [document for document in DOCUMENTS if document.startswith("results/")]
WRITTEN = [document for document in DOCUMENTS if document not in RESULTS]
PAGES = [document for document in WRITTEN if "/" in document]
LONGEST_PARAGRAPH = 80  # words
PACKAGES = ("export", "retrieval_server", "client", "deploy/policies", "tests")
LONG_MODULE = 80  # lines
GENERATED = ("_pb2.py", "_pb2_grpc.py")
EXPLAINED_BY = {  # rooms whose modules need no link each, and the document that explains them
    Path("export/sample"): "ARCHITECTURE.md",
    Path("retrieval_server/exact_search"): "docs/search.md",
}
KINDS = ("Guide", "Concept", "Reference")
CHANGES = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^()\s#]*)(?:#([^()\s]*))?\)")
FORMULAS = {"Algorithm 1", *(f"eq. ({number})" for number in range(1, 9))}
FIGURE = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")


COMMANDS: dict[str, Any] = {
    "beauty-export": typer.main.get_command(export.cli.app),
    "beauty-search": typer.main.get_command(client.cli.app),
    "beauty-server": typer.main.get_command(create_app()),
}


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def sections_of(document: str) -> list[str]:
    return re.split(r"^## ", text_of(document), flags=re.MULTILINE)[1:]


def commands_in(text: str) -> Iterator[list[str]]:
    """Every command of ours in code, whether in a block or between backticks."""
    blocks = [block for language, block in FENCED.findall(text) if not language]
    lines = [line.split("#")[0] for block in blocks for line in block.splitlines()]
    lines = [line for line in lines if line.startswith(("beauty-", "make "))]
    lines += re.findall(r"`((?:beauty-|make )[^`]*)`", FENCED.sub("", text))
    for line in lines:
        for command in re.split(r"&&|\|", line):
            words = shlex.split(command)
            if words and (words[0] in COMMANDS or words[0] == "make"):
                yield words


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*##", text_of("Makefile"), re.MULTILINE))


def options_of(command: Any) -> set[str]:
    return {
        name
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts, "--help")
    }


def anchors_of(path: Path) -> set[str]:
    """What GitHub lets a link to a heading of a document end in."""
    text = FENCED.sub("", path.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def paragraphs_of(text: str) -> list[str]:
    """Running text: each item of a list by itself, without code, tables and headings."""
    blocks = re.split(r"\n\s*\n|\n(?=- |\d+\. )", FENCED.sub("\n", text))
    return [block for block in blocks if not block.lstrip().startswith(("#", "|", "<!--"))]


def figures_of(text: str) -> set[str]:
    """Numbers of three digits and more, and those with a decimal point."""
    return {figure for figure in FIGURE.findall(text) if len(figure) > 2}


def formulas_in(text: str) -> set[str]:
    """The equations and algorithms of the paper that a text names, such as "eq. (1)-(2)"."""
    found = set(re.findall(r"Algorithm \d", text))
    for first, last in re.findall(r"eq\. \((\d)\)(?:-\((\d)\))?", text):
        found.update(f"eq. ({number})" for number in range(int(first), int(last or first) + 1))
    return found


def links_of(document: str) -> set[Path]:
    """The files and folders of this repository to which a document links."""
    folder = (ROOT / document).parent
    return {
        (folder / target).resolve().relative_to(ROOT)
        for target, _ in LINK.findall(FENCED.sub("", text_of(document)))
        if target and not target.startswith("https://")
    }


def rooms() -> list[Path]:
    """The packages that the architecture describes, and the packages directly inside them."""
    inits = [path for package in PACKAGES for path in (ROOT / package).glob("*/__init__.py")]
    return [*map(Path, PACKAGES), *(path.parent.relative_to(ROOT) for path in inits)]


def long_modules() -> list[Path]:
    """The modules of the three rooms that are long enough for a place in a document."""
    return [
        path.relative_to(ROOT)
        for package in ("client", "export", "retrieval_server")
        for path in (ROOT / package).rglob("*.py")
        if len(path.read_text(encoding="utf-8").splitlines()) > LONG_MODULE
        and not path.name.endswith(GENERATED)
    ]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_in_a_document_exists_with_its_options(document: str) -> None:
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
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(document: str) -> None:
    for target, anchor in LINK.findall(FENCED.sub("", text_of(document))):
        if not target.startswith("https://"):
            path = (ROOT / document).parent / target if target else ROOT / document
            assert path.exists(), target
            assert not anchor or anchor in anchors_of(path), f"{target}#{anchor}"


def test_the_readme_gives_the_two_commands_and_what_they_print_at_once() -> None:
    lines = text_of("README.md").splitlines()
    head = "\n".join(lines[:25])

    assert "make demo" in head
    assert "make test" in head
    assert lines.index("<!-- demo -->") < lines.index("<!-- /demo -->") < 40


@pytest.mark.parametrize("document", WRITTEN)
def test_no_paragraph_of_a_document_is_long(document: str) -> None:
    paragraphs = paragraphs_of(text_of(document))

    assert len(paragraphs) > 4
    assert [text for text in paragraphs if len(text.split()) > LONGEST_PARAGRAPH] == []


@pytest.mark.parametrize("document", PAGES)
def test_every_page_says_first_what_kind_it_is_and_for_whom(document: str) -> None:
    heading, _, first, *_ = text_of(document).splitlines()
    kind = heading.removeprefix("# ").split(":")[0]

    assert kind in KINDS, heading
    assert re.match(rf"This {kind.lower()}( page)? is for .+\.$", first), first


def test_the_architecture_leads_to_the_code_of_every_equation() -> None:
    rows = re.findall(r"^\| (.*?) \| .* \| (\[.*) \|$", text_of("ARCHITECTURE.md"), re.MULTILINE)

    assert formulas_in(" ".join(label for label, _ in rows)) == FORMULAS
    for label, files in rows:
        for path, _ in LINK.findall(files):
            assert formulas_in(label) <= formulas_in(text_of(path)), (label, path)


def test_every_room_and_every_long_module_has_a_link_in_the_documents() -> None:
    pages = ["ARCHITECTURE.md", *(page for page in PAGES if page.startswith("docs/"))]
    linked = set().union(*map(links_of, pages))
    explained = {
        path for path in long_modules() if not EXPLAINED_BY.keys().isdisjoint(path.parents)
    }

    assert set(rooms()) - linked == set()
    assert set(long_modules()) - linked - explained == set()
    for room, document in EXPLAINED_BY.items():
        assert any(room in (path, *path.parents) for path in links_of(document)), room


def test_the_readme_s_rooms_are_the_tree_s() -> None:
    rooms = re.findall(r"^\| `([a-z_]+)/` \|", text_of("README.md"), re.MULTILINE)
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()

    assert set(rooms) == {path.split("/")[0] for path in listed if "/" in path} - {".ci"}


def test_the_documents_python_uses_what_the_client_exports() -> None:
    programs = [
        (document, code)
        for document in DOCUMENTS
        for language, code in FENCED.findall(text_of(document))
        if language == "python"
    ]

    assert programs
    for document, code in programs:
        compile(code, document, "exec")
        for names in re.findall(r"^from client import (.*)$", code, re.MULTILINE):
            assert set(names.split(", ")) <= set(client.__all__), names


def test_every_figure_of_the_readme_s_table_is_in_the_results() -> None:
    (table,) = re.findall(
        r"<!-- results -->\n(.*?)<!-- /results -->", text_of("README.md"), re.DOTALL
    )
    figures = re.findall(r"\d\.\d{3,}", table)

    assert len(figures) >= 14
    for figure in figures:
        assert figure in text_of("RESULTS.md"), figure


@pytest.mark.parametrize("document", RESULTS)
def test_every_output_names_its_command_and_commit(document: str) -> None:
    runs = re.findall(r"^Command: `.+`.*\nCommit: [0-9a-f]{7,40}$", text_of(document), re.MULTILINE)

    assert runs
    for label in ("Command: ", "Commit: "):
        assert text_of(document).count(f"\n{label}") == len(runs)


def test_every_result_is_copied_from_the_output_that_it_links_to() -> None:
    linked = set()
    for section in sections_of("RESULTS.md"):
        title = section.splitlines()[0]
        run = re.search(r"^Command: `.+`.*\nCommit: [0-9a-f]{7,40}$", section, re.MULTILINE)
        (output,) = {path for path, _ in LINK.findall(section)}
        linked.add(output)

        assert run, title
        assert run[0] in text_of(output), title
        figures = figures_of(
            re.sub("^(?:Command|Commit|Output): .*$", "", section, flags=re.MULTILINE)
        )
        assert len(figures) >= 3, title
        assert sorted(figures - set(FIGURE.findall(text_of(output)))) == [], title
    assert linked == set(RESULTS)


def test_make_alone_lists_every_target() -> None:
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    for target in make_targets():
        assert f"make {target} " in shown


def test_the_changelog_knows_the_version() -> None:
    version = tomllib.loads(text_of("pyproject.toml"))["project"]["version"]
    newest = sections_of("CHANGELOG.md")[0]

    assert newest.startswith(
        f"[Unreleased]\n\nThe next version is {version}.\n"
    ) or f"\n## [{version}] - " in text_of("CHANGELOG.md")


def test_the_changelog_keeps_to_its_format() -> None:
    text = text_of("CHANGELOG.md")

    assert [line for line in text.splitlines() if len(line) > 120] == []
    for heading in re.findall(r"^## (.*)$", text, re.MULTILINE):
        assert re.fullmatch(r"\[Unreleased\]|\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading)
    for section in sections_of("CHANGELOG.md"):
        kinds = re.findall(r"^#{3,} ?(.*)$", section, re.MULTILINE)
        assert kinds
        assert set(kinds) <= set(CHANGES)
        assert len(set(kinds)) == len(kinds)


def test_the_pinned_versions_meet_the_lower_bounds_and_are_exact() -> None:
    pins = [line for line in text_of("constraints.txt").splitlines() if not line.startswith("#")]
    names = {re.split("==", pin)[0].lower().replace("_", "-") for pin in pins}
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]

    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[^ ]+", pin) for pin in pins)
    for requirement in wanted:
        (name,) = re.findall(r"^[a-z0-9-]+", requirement.lower())
        assert name in names | {"beauty-retrieval", "onnxruntime-gpu"}, requirement


def test_the_model_table_is_what_the_configurations_say() -> None:
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
        written = dict(re.findall(r"`(\w+)` (\[[-\d, ]+\])", outputs))
        assert written == {output.name: str(list(output.dims)) for output in config.output}
        assert f"at most {config.max_batch_size} through Triton" in text_of(
            "model_repository/README.md"
        )


def test_the_security_page_names_the_formats_that_are_decoded() -> None:
    sentence = re.search(r"in these formats and no other: (.*?)\.", text_of("SECURITY.md"))
    assert sentence is not None
    named = set(re.findall(r"\b[A-Z]{3,}|WebP", sentence[1]))
    assert {name.upper() for name in named} == set(FORMATS) | {"MPO"}


def test_the_security_page_names_the_library_that_decodes_each_format() -> None:
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", text_of("SECURITY.md"), re.MULTILINE))
    named = {name.upper(): rows[row] for row in rows for name in row.split(", ")}
    for kind in (*FORMATS, "MPO"):
        assert kind in named
    built_in = {"WEBP": "webp", "AVIF": "avif", "PNG": "zlib", "TIFF": "libtiff", "JPEG": "jpg"}
    assert all(features.check(name) for name in built_in.values())
    assert features.check("libjpeg_turbo")
    assert "libjpeg-turbo" in named["JPEG"]
    for kind in ("WEBP", "AVIF", "TIFF"):
        assert built_in[kind].removeprefix("lib") in named[kind]
