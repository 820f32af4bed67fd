"""Builds the programs of a control plane: Kubernetes from Debian's source package, and etcd.

No package has kube-apiserver, but Debian 12 has a source package with all that it needs. Nothing is
installed: compiler and sources are unpacked into a folder, which is removed at the end.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.paths import ROOT

VERSION = "1.20.2"
SUITE = "bookworm"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
REFLECT = "github.com/modern-go/reflect2"  # the copy in the source is for Go before 1.18
PACKAGES = (
    "golang-1.19-go",
    "golang-1.19-src",
    "golang-github-modern-go-reflect2-dev",
    "etcd-server",
)
COMMANDS = ("kube-apiserver", "kube-controller-manager")
PROGRAMS = (*COMMANDS, "etcd")
BUILT = ROOT / "build" / "control_plane"
NEEDED = ("apt-get", "dpkg-deb", "openssl")
# Where files ask for a schema, less those that upstream's Makefile leaves out.
WITH_SCHEMAS = ("vendor/k8s.io", "pkg", "cmd", "plugin")
WITHOUT_SCHEMAS = ("/code-generator/", "/sample-apiserver/", "/kube-openapi/", "/testdata/", "/_")
TAG = b"+k8s:openapi-gen="


def what_is_missing() -> str:
    """Why the programs cannot be had on this machine; empty if they can."""
    if all((BUILT / name).is_file() for name in PROGRAMS):
        return ""
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        return f"needs {', '.join(missing)}"
    if not KEYRING.is_file() or _mirror() is None:
        return f"needs Debian {SUITE}, whose packages have the source of Kubernetes {VERSION}"
    return ""


def programs() -> Path:
    """The folder with the programs, built at the first call: some minutes on two cores.

    Raises:
        RuntimeError: if a package cannot be fetched or the build fails, with the last lines.
    """
    if not all((BUILT / name).is_file() for name in PROGRAMS):
        BUILT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=BUILT) as scratch:
            _build(Path(scratch))
    return BUILT


def _build(scratch: Path) -> None:
    _fetch(scratch)
    root, source = scratch / "root", scratch / "go/src/k8s.io/kubernetes"
    for package in scratch.glob("*.deb"):
        _run(["dpkg-deb", "--extract", package, root])
    source.mkdir(parents=True)
    (archive,) = scratch.glob("kubernetes_*.orig.tar.gz")
    _run(["tar", "-xf", archive, "-C", source, "--strip-components=1"])
    shutil.rmtree(source / "vendor" / REFLECT)
    shutil.copytree(root / "usr/share/gocode/src" / REFLECT, source / "vendor" / REFLECT)

    go = root / "usr/lib/go-1.19"
    environment = {
        "GOROOT": go,
        "GOPATH": scratch / "go",
        "GOCACHE": scratch / "cache",
        "GO111MODULE": "off",
        "CGO_ENABLED": "0",
        "PATH": f"{go / 'bin'}:{os.environ['PATH']}",
        "HOME": scratch,
    }
    generator = scratch / "openapi-gen"
    compiler = [go / "bin" / "go", "build", "-o"]
    _run(
        [*compiler, generator, "./vendor/k8s.io/kube-openapi/cmd/openapi-gen"], source, environment
    )
    _run([generator, *_schemas(source)], source, environment)
    commands = [f"./cmd/{name}" for name in COMMANDS]
    built = scratch / "bin"
    _run([*compiler, f"{built}/", "-ldflags", _flags(), *commands], source, environment)
    for path in (*(built / name for name in COMMANDS), root / "usr/bin/etcd"):
        path.replace(BUILT / path.name)


def _fetch(scratch: Path) -> None:
    """Fetch the packages with apt, which gets lists and settings of its own."""
    sources = [
        f"{kind} [signed-by={KEYRING}] {_mirror()} {SUITE} main\n" for kind in ("deb", "deb-src")
    ]
    (scratch / "sources.list").write_text("".join(sources))
    folders = {"Dir::State::lists": scratch / "lists", "Dir::Cache": scratch / "archives"}
    for folder in folders.values():
        folder.mkdir()
    settings = {
        "Dir::Etc::sourcelist": scratch / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "APT::Sandbox::User": "root",
        **folders,
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
    _run([*apt, "update"], scratch)
    _run([*apt, "download", *PACKAGES], scratch)
    _run([*apt, "source", "--download-only", "kubernetes"], scratch)


def _mirror() -> str | None:
    """Where this machine has the packages of the suite from."""
    form = "--format=$(SITE) $(RELEASE) $(COMPONENT)"
    for line in _run(["apt-get", "indextargets", form]).splitlines():
        site, *which = line.split()
        if which == [SUITE, "main"]:
            return site
    return None


def _schemas(source: Path) -> Iterator[str]:
    """The options with which openapi-gen writes the schemas of all kinds."""
    folders = set()
    for part in WITH_SCHEMAS:
        for folder, _, files in os.walk(source / part, followlinks=True):
            path = f"k8s.io/kubernetes/{Path(folder).relative_to(source)}"
            sources = [name for name in files if name.endswith(".go") and "_test." not in name]
            if not any(each in f"{path}/" for each in WITHOUT_SCHEMAS) and any(
                TAG in Path(folder, name).read_bytes() for name in sources
            ):
                folders.add(path)
    yield from ("--input-dirs", ",".join(sorted(folders)))
    yield from ("--output-package", "k8s.io/kubernetes/pkg/generated/openapi")
    yield from ("--output-file-base", "zz_generated.openapi")
    yield from ("--go-header-file", "vendor/k8s.io/code-generator/hack/boilerplate.go.txt")
    yield from ("--report-filename", os.devnull)


def _flags() -> str:
    """The linker's options, which tell the programs their version."""
    major, minor, _ = VERSION.split(".")
    told = {"gitVersion": f"v{VERSION}", "gitMajor": major, "gitMinor": minor}
    packages = [f"k8s.io/kubernetes/vendor/k8s.io/{each}/version" for each in
                ("client-go/pkg", "component-base")]  # fmt: skip
    pairs = [f"-X {package}.{name}={value}" for package in packages for name, value in told.items()]
    return " ".join(["-s", "-w", *pairs])


def _run(
    words: Sequence[object], folder: Path = ROOT, environment: Mapping[str, object] = {}
) -> str:
    """Run a command; what it prints."""
    done = subprocess.run(
        list(map(str, words)),
        cwd=folder,
        env=os.environ | {name: str(value) for name, value in environment.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{words[0]} failed: {done.stdout[-2000:]}")
    return done.stdout
