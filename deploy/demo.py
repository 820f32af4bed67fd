"""What `make demo` and `make web` run: index the sample catalogue, serve it, and search it.

The sample is rendered and the models are exported before. Everything is written below one folder.
The servers that this program starts end with it.

Example: .venv/bin/python deploy/demo.py search --profile lite --engine triton
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

from retrieval_server.engines.engine import ENGINES
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.reader import READER_MODELS, has_reader

ROOT = Path(__file__).parents[1]
PROGRAMS = Path(sys.executable).parent  # beauty-export and the others are installed there
SERVE_TRITON = ROOT / "deploy" / "local_triton" / "serve.py"
POLL_S = 0.1
STOP_WITHIN_S = 30


class FailedError(Exception):
    """A program failed; it has said why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: the command line; None for the process's own.

    Returns:
        0, 1 if a program failed, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _raise_interrupt)
    try:
        with _engine(options) as engine:
            index = options.folder / "index"
            sample = options.folder / "sample"
            _run("beauty-export", "index", sample, "--output", index, *_profile(options), *engine)
            with _server(options, _served(options, index), engine) as address:
                if options.what == "web":
                    _web(options, address)
                else:
                    _search(options.folder, address)
    except FailedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _search(folder: Path, address: str) -> None:
    """Search every query photo, draw a page of them, and show one in the terminal."""
    sample, results = folder / "sample", folder / "results.jsonl"
    page, photo = folder / "contact-sheet.html", min((sample / "queries").iterdir())
    server = ("--server", address)
    with results.open("w", encoding="utf-8") as file:
        _run("beauty-search", "batch", sample / "queries", "--json", *server, stdout=file)
    _run("beauty-export", "contact-sheet", results, "--catalogue", sample, "--output", page)
    _run("beauty-search", "search", photo, "--compare", "--no-read", *server)
    _run("beauty-search", "search", photo, *server)  # with its words, if they can be read
    sys.stdout.write(f"\nPictures of every query and its products: {page.resolve()}\n")


def _web(options: argparse.Namespace, address: str) -> None:
    """Serve the page until Ctrl-C."""
    catalogue = ("--catalogue", options.folder / "sample")
    _run("beauty-search", "web", *catalogue, "--server", address, "--port", options.page_port)


@contextmanager
def _engine(options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """Start a Triton if it is the engine; gives the options that name the engine."""
    if options.engine != "triton":
        yield ("--engine", options.engine)
        return
    ports = [word for name in ("grpc", "http", "metrics") for word in (f"--{name}-port", "0")]
    command = [sys.executable, SERVE_TRITON, "--model-repository", ROOT / "model_repository"]
    command += ["--models", options.profile, *_reader_models(), *ports]
    with _background("triton", command, options.folder) as addresses:
        yield ("--engine", "triton", "--triton-url", json.loads(addresses)["grpc"])


def _served(options: argparse.Namespace, index: Path) -> tuple[str, object]:
    """The option that names the index to serve; loads it into the store, if there is one."""
    if options.store is None:
        return ("--index", index)
    _run("beauty-export", "load", index, "--store", options.store)
    return ("--store", options.store)


@contextmanager
def _server(
    options: argparse.Namespace, served: tuple[str, object], engine: tuple[str, ...]
) -> Iterator[str]:
    """Start the retrieval server; gives its address."""
    command = [PROGRAMS / "beauty-server", *served, "--port", options.port, *engine]
    with _background("server", command, options.folder) as address:
        yield address.strip()


@contextmanager
def _background(name: str, command: Sequence[object], folder: Path) -> Iterator[str]:
    """Run a server while the block runs; gives what it writes to its address file once ready."""
    address_file, log_file = folder / f"{name}.address", folder / f"{name}.log"
    address_file.unlink(missing_ok=True)
    with log_file.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(  # noqa: S603 - our own programs
            [*map(str, command), "--address-file", str(address_file)], stderr=log
        )
    try:
        while not address_file.exists():
            if process.poll() is not None:
                raise FailedError(log_file.read_text(encoding="utf-8"))
            time.sleep(POLL_S)
        yield address_file.read_text(encoding="utf-8")
    finally:
        process.terminate()
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _reader_models() -> list[str]:
    """The models of the reader, where they are exported."""
    return list(READER_MODELS) if has_reader(ModelRepository(ROOT / "model_repository")) else []


def _run(program: str, *arguments: object, stdout: IO[str] | None = None) -> None:
    command = [str(PROGRAMS / program), *map(str, arguments)]
    status = subprocess.run(command, stdout=stdout, check=False).returncode  # noqa: S603
    if status:
        raise FailedError(f"{program} ended with exit status {status}")


def _profile(options: argparse.Namespace) -> tuple[str, str]:
    return ("--profile", options.profile)


def _raise_interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Index the sample catalogue, serve it, and search it.",
        epilog="Example: .venv/bin/python deploy/demo.py search --profile lite",
    )
    add = parser.add_argument
    add("what", choices=("search", "web"), help="a photo in the terminal, or a page in a browser")
    add("--profile", default="lite", help="profile of the exported models; default: lite")
    add("--engine", default=ENGINES[0], choices=ENGINES, help=f"default: {ENGINES[0]}")
    add("--store", help="address of a store that the index is loaded into; default: none")
    add("--port", type=int, default=0, help="port of the server; default: a free one")
    add("--page-port", type=int, default=8080, help="port of the page; default: 8080")
    add("--folder", type=Path, default=Path("build/demo"), help="default: build/demo")
    return parser


if __name__ == "__main__":
    sys.exit(main())
