"""A real tritonserver without Docker, for tests and a developer's machine.

It serves the same model repository as NVIDIA's container, from ``nvidia-pytriton``'s wheel, and
keeps it answering: see ``supervisor.py``. It needs only the standard library; the first start makes
an environment of its own with pip. SIGTERM and SIGINT end it, and nothing is left behind, even if
this program or tritonserver is killed.

Example: python deploy/local_triton/serve.py --model-repository model_repository
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import NoReturn

from environment import is_plain, set_up
from errors import EnvironmentUnavailableError, LocalTritonError, say
from servable_models import servable_models
from supervisor import Supervisor
from traces import Guard
from triton_server import Endpoints, TritonServer

DEFAULT_ENVIRONMENT = Path(__file__).parents[2] / "build" / "local_triton"
PORTS = ("grpc", "http", "metrics")
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(BaseException):
    """A signal asked for the end."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: the command line; None for the process's own.

    Returns:
        0 when stopped, 1 when it failed, 3 when this machine cannot have the environment.
    """
    options = _parser().parse_args(arguments)
    try:
        for number in STOP_SIGNALS:
            signal.signal(number, _raise_stopped)
        _serve(options)
    except Stopped:
        return 0
    except LocalTritonError as error:
        sys.stderr.write(f"error: {error}\n")
        return 3 if isinstance(error, EnvironmentUnavailableError) else 1
    return 0


def _serve(options: argparse.Namespace) -> None:
    if options.address_file:
        options.address_file.unlink(missing_ok=True)  # of one that was killed
    environment = set_up(options.environment)
    if options.setup_only:
        say(f"{environment.root} is ready")
        return
    repository = options.model_repository.resolve()
    if not is_plain(repository):
        raise LocalTritonError(
            f"Triton cannot start a stub for '{repository}'. Use a path without spaces and signs"
        )
    models = servable_models(repository, options.models)
    for name, lack in models.missing.items():
        say(f"skipped {name}: {lack}")
    with ExitStack() as cleaning:
        endpoints = _reserve(options, cleaning)
        server = TritonServer(
            environment,
            repository,
            models.names,
            endpoints,
            config_name=options.model_config_name,
            log_file=options.log_file,
        )
        cleaning.callback(Guard(server.mark).close)
        cleaning.callback(server.stop)
        server.start(options.startup_timeout_s)
        supervisor = Supervisor(server, options.startup_timeout_s)
        if options.address_file:
            cleaning.callback(options.address_file.unlink, missing_ok=True)
            _write_addresses(options.address_file, endpoints)
        say(f"serving {', '.join(models.names)} on {endpoints.host}:{endpoints.grpc_port} (gRPC)")
        supervisor.run()


def _reserve(options: argparse.Namespace, cleaning: ExitStack) -> Endpoints:
    """Bind the three ports, without listening, until the end.

    Triton can listen there all the same, as both sides set SO_REUSEADDR, and no other program is
    given the port between two lives of the server.
    """
    ports = {}
    for name in PORTS:
        asked = getattr(options, f"{name}_port")
        holder = cleaning.enter_context(socket.socket())
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind((options.host, asked))
        except OSError as error:
            raise LocalTritonError(
                f"Cannot listen on {options.host}:{asked} (--{name}-port): {error.strerror}"
            ) from error
        ports[f"{name}_port"] = holder.getsockname()[1]
    return Endpoints(host=options.host, **ports)


def _write_addresses(path: Path, endpoints: Endpoints) -> None:
    """One JSON object in one step; ``pid`` is that of this program."""
    addresses = {name: f"{endpoints.host}:{getattr(endpoints, f'{name}_port')}" for name in PORTS}
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    aside.write_text(json.dumps({**addresses, "pid": os.getpid()}) + "\n", encoding="utf-8")
    aside.replace(path)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not in 0..65535")
    return port


def _raise_stopped(number: int, frame: FrameType | None) -> NoReturn:
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)  # cleaning up is not interrupted
    raise Stopped


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Serve a model repository with a real tritonserver, without Docker.",
        epilog="Example: python deploy/local_triton/serve.py --model-repository model_repository",
    )
    add = parser.add_argument
    add("--model-repository", type=Path, default=Path("model_repository"), metavar="DIR")
    add("--models", nargs="+", default=(), metavar="MODEL", help="default: all that are complete")
    add("--model-config-name", metavar="NAME", help="take configs/NAME.pbtxt where there is one")
    add("--host", default="127.0.0.1", help="default: loopback only")
    for name, port in zip(PORTS, (8001, 8000, 8002), strict=True):
        add(f"--{name}-port", type=_port, default=port, help=f"default: {port}; 0: a free one")
    add("--address-file", type=Path, metavar="FILE", help="written once ready: a JSON object")
    add("--log-file", type=Path, metavar="FILE", help="tritonserver's log; default: not kept")
    add("--environment", type=Path, default=DEFAULT_ENVIRONMENT, metavar="DIR")
    add("--startup-timeout-s", type=float, default=120, help="default: 120")
    add("--setup-only", action="store_true", help="make the environment and stop")
    return parser


if __name__ == "__main__":
    sys.exit(main())
