"""Serves a model repository with a real tritonserver, without Docker, for tests and development.

The tritonserver of the ``nvidia-pytriton`` wheel serves the same model repository as NVIDIA's
container. ``supervisor.py`` restarts what dies. This program needs only the standard library; its
first start makes a virtual environment with pip. SIGTERM and SIGINT stop it. Even if this program
or tritonserver is killed, no process and no shared memory stays behind.

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
from errors import EnvironmentUnavailableError, LocalTritonError, log_line
from servable_models import servable_models
from supervisor import Supervisor
from traces import Guard
from triton_server import Endpoints, TritonServer

DEFAULT_ENVIRONMENT = Path(__file__).parents[2] / "build" / "local_triton"
PORTS = ("grpc", "http", "metrics")
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(BaseException):
    """A stop signal arrived."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: the command line; None for the process's own.

    Returns:
        0 if a signal stopped it, 1 if it failed, 3 if the environment cannot be set up here.
    """
    options = _parser().parse_args(arguments)
    try:
        for stop_signal in STOP_SIGNALS:
            signal.signal(stop_signal, _raise_stopped)
        _serve(options)
    except Stopped:
        return 0
    except LocalTritonError as error:
        sys.stderr.write(f"error: {error}\n")
        return 3 if isinstance(error, EnvironmentUnavailableError) else 1
    return 0


def _serve(options: argparse.Namespace) -> None:
    if options.address_file:
        options.address_file.unlink(missing_ok=True)  # left by a killed process
    environment = set_up(options.environment)
    if options.setup_only:
        log_line(f"{environment.root} is ready")
        return
    repository = options.model_repository.resolve()
    if not is_plain(repository):
        raise LocalTritonError(
            f"Triton cannot start a stub for '{repository}'. Use a path without spaces and special "
            "characters"
        )
    models = servable_models(repository, options.models)
    for name, reason in models.skipped.items():
        log_line(f"skipped {name}: {reason}")
    with ExitStack() as cleanup:
        endpoints = _reserve_ports(options, cleanup)
        server = TritonServer(
            environment,
            repository,
            models.names,
            endpoints,
            config_name=options.model_config_name,
            log_file=options.log_file,
        )
        cleanup.callback(Guard(server.mark).close)
        cleanup.callback(server.stop)
        server.start(options.startup_timeout_s)
        supervisor = Supervisor(server, options.startup_timeout_s)
        if options.address_file:
            cleanup.callback(options.address_file.unlink, missing_ok=True)
            _write_addresses(options.address_file, endpoints)
        address = f"{endpoints.host}:{endpoints.grpc_port}"
        log_line(f"serving {', '.join(models.names)} on {address} (gRPC)")
        supervisor.run()


def _reserve_ports(options: argparse.Namespace, cleanup: ExitStack) -> Endpoints:
    """Bind the three ports without listening, until the program ends.

    While tritonserver restarts, the system then gives the ports to no other program. Tritonserver
    itself can listen on them, because both sides set SO_REUSEADDR.
    """
    ports = {}
    for name in PORTS:
        port = getattr(options, f"{name}_port")
        reservation = cleanup.enter_context(socket.socket())
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            reservation.bind((options.host, port))
        except OSError as error:
            raise LocalTritonError(
                f"Cannot listen on {options.host}:{port} (--{name}-port): {error.strerror}"
            ) from error
        ports[f"{name}_port"] = reservation.getsockname()[1]
    return Endpoints(host=options.host, **ports)


def _write_addresses(path: Path, endpoints: Endpoints) -> None:
    """Write the addresses and this program's ``pid`` as one JSON object, atomically."""
    addresses = {name: f"{endpoints.host}:{getattr(endpoints, f'{name}_port')}" for name in PORTS}
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps({**addresses, "pid": os.getpid()}) + "\n", encoding="utf-8")
    temporary.replace(path)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not in 0..65535")
    return port


def _raise_stopped(number: int, frame: FrameType | None) -> NoReturn:
    for stop_signal in STOP_SIGNALS:
        signal.signal(stop_signal, signal.SIG_IGN)  # a second signal must not interrupt the cleanup
    raise Stopped


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Serve a model repository with a real tritonserver, without Docker.",
        epilog="Example: python deploy/local_triton/serve.py --model-repository model_repository",
    )
    add = parser.add_argument
    add("--model-repository", type=Path, default=Path("model_repository"), metavar="DIR")
    add("--models", nargs="+", default=(), metavar="MODEL", help="default: all complete models")
    add("--model-config-name", metavar="NAME", help="use configs/NAME.pbtxt of models that have it")
    add("--host", default="127.0.0.1", help="default: loopback only")
    for name, port in zip(PORTS, (8001, 8000, 8002), strict=True):
        add(f"--{name}-port", type=_port, default=port, help=f"default: {port}; 0: a free port")
    add("--address-file", type=Path, metavar="FILE", help="JSON file to write when ready")
    add("--log-file", type=Path, metavar="FILE", help="tritonserver's log; default: not kept")
    add("--environment", type=Path, default=DEFAULT_ENVIRONMENT, metavar="DIR")
    add("--startup-timeout-s", type=float, default=120, help="default: 120")
    add("--setup-only", action="store_true", help="make the environment and stop")
    return parser


if __name__ == "__main__":
    sys.exit(main())
