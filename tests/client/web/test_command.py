"""The command ``beauty-search web``, as a process of its own."""

import re
import shlex
import signal
import subprocess

import pytest

from tests.support.paths import ROOT
from tests.support.patience import PATIENCE_S
from tests.support.programs.command import command_without, search_with_ctrl_c


def web(*arguments: object, missing: str = "") -> "subprocess.Popen[str]":
    """Start ``beauty-search web`` where a package is missing."""
    words = command_without(missing, search_with_ctrl_c, "web", *arguments)
    return subprocess.Popen(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_names_its_url_and_ends_quietly(address, number):
    with web("--port", 0, "-s", address) as run:
        assert run.stdout is not None
        line = run.stdout.readline()
        run.send_signal(number)
        stdout, stderr = run.communicate(timeout=PATIENCE_S)
    assert re.fullmatch(rf"http://127\.0\.0\.1:\d+/ asks {address}; Ctrl-C ends it\.\n", line)
    assert (run.returncode, stdout, stderr) == (0, "", "")


def test_a_page_that_others_reach_is_warned_about(address):
    with web("--host", "0.0.0.0", "--port", 0, "-s", address) as run:
        assert run.stdout is not None
        assert run.stdout.readline().startswith("http://0.0.0.0:")
        run.terminate()
        _, stderr = run.communicate(timeout=PATIENCE_S)
    assert re.fullmatch(r"WARNING: everybody who reaches .* without a password\.\n", stderr)


def test_a_port_that_is_taken_is_one_line_and_exit_1(address):
    port = address.rpartition(":")[2]
    with web("--host", "localhost", "--port", port, "-s", address) as run:
        stdout, stderr = run.communicate(timeout=PATIENCE_S)
    assert (run.returncode, stdout) == (1, "")
    assert re.fullmatch(rf"error: Cannot listen on localhost, port {port}: .*--port.*\n", stderr)


def test_a_catalogue_that_is_no_folder_is_one_line_and_exit_1(address, tmp_path):
    with web("--catalogue", tmp_path / "none", "-s", address) as run:
        stdout, stderr = run.communicate(timeout=PATIENCE_S)
    assert (run.returncode, stdout) == (1, "")
    assert stderr.startswith(f"error: {tmp_path / 'none'} is not a folder")


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_the_command_without_its_extra_says_what_to_install(address, missing):
    with web("-s", address, missing=missing) as run:
        stdout, stderr = run.communicate(timeout=PATIENCE_S)
    assert (run.returncode, stdout) == (1, "")
    assert stderr.startswith("error: The page needs ")
    assert stderr.endswith("Install it with: pip install '.[ui]'\n")


def test_the_help_ends_with_an_example_that_works(address):
    with web("--help") as run:
        stdout, _ = run.communicate(timeout=PATIENCE_S)
    last_line = stdout.rstrip().splitlines()[-1]
    assert last_line.startswith("  Example: beauty-search web ")
    words = shlex.split(last_line)[3:]
    words[words.index("--catalogue") + 1] = str(ROOT / "tests")  # the demo may not be built yet
    with web(*words, "--port", 0, "-s", address) as run:
        assert run.stdout is not None
        assert run.stdout.readline().startswith("http://127.0.0.1:")
        run.terminate()
        run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 0
