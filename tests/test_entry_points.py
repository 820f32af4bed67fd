"""The commands, where the packages of their room are not installed."""

import subprocess
import sys

import pytest

import export.__main__
import retrieval_server.__main__
from tests.support.programs.command import command_without


@pytest.mark.parametrize(
    ("room", "command", "missing", "extra"),
    [
        (retrieval_server.__main__, "beauty-server", "numpy", "server"),
        (export.__main__, "beauty-export", "scipy", "export"),
    ],
    ids=["retrieval_server-beauty-server-numpy-server", "export-beauty-export-scipy-export"],
)
def test_a_command_without_its_room_says_what_to_install(room, command, missing, extra):
    program = command_without(missing, room.main, "--help")
    run = subprocess.run(program, capture_output=True, text=True, check=False)

    assert run.returncode == 1
    assert run.stderr.startswith(f"error: {command} needs {missing}")
    assert run.stderr.endswith(f"Install it with: pip install '.[{extra}]'\n")
    assert "Traceback" not in run.stderr


def test_the_rooms_run_as_modules():
    for room in (export, retrieval_server):
        subprocess.run(
            [sys.executable, "-m", room.__name__, "--help"], capture_output=True, check=True
        )
