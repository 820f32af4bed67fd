"""The commands, where the packages of their room are not installed."""

import subprocess
import sys

import pytest

WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
sys.argv = [{command!r}, "--help"]
from {room}.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("room", "command", "missing", "extra"),
    [
        ("retrieval_server", "beauty-server", "numpy", "server"),
        ("export", "beauty-export", "scipy", "export"),
    ],
)
def test_a_command_without_its_room_says_what_to_install(room, command, missing, extra):
    code = WITHOUT.format(missing={missing}, command=command, room=room)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert run.returncode == 1
    assert run.stderr.startswith(f"error: {command} needs {missing}")
    assert run.stderr.endswith(f"Install it with: pip install '.[{extra}]'\n")
    assert "Traceback" not in run.stderr


def test_the_rooms_run_as_modules():
    for room in ("export", "retrieval_server"):
        subprocess.run([sys.executable, "-m", room, "--help"], capture_output=True, check=True)
