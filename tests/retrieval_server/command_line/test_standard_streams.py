"""Streams that are closed, full or of another encoding, as a shell gives them to a command."""

import os
import shlex
import subprocess

import pytest

from tests.support.programs.command import Program, command
from tests.support.programs.streams import interrupt_while_importing, print_table


def shell(
    program: Program, streams: str = "", *arguments: str, **environment: str
) -> tuple[int, str, str]:
    """Run a program with redirections; its exit status, stdout and stderr."""
    words = shlex.join(command(program, *arguments))
    done = subprocess.run(
        ["bash", "-c", f"{words} {streams}"],
        capture_output=True,
        env=os.environ | environment,
        check=False,
    )
    return done.returncode, done.stdout.decode("latin-1"), done.stderr.decode("latin-1")


@pytest.mark.parametrize(
    ("streams", "line"),
    [
        ("> /dev/full", "Cannot write to standard output: No space left on device."),
        (">&-", "Cannot write to standard output: it is closed."),
    ],
)
def test_output_that_cannot_be_written_is_one_line(streams: str, line: str) -> None:
    assert shell(print_table, streams) == (1, "", f"a message\nerror: {line}\n")


@pytest.mark.parametrize("streams", ["2> /dev/full", "2>&-"])
def test_messages_that_cannot_be_written_do_not_end_the_work(streams: str) -> None:
    status, stdout, stderr = shell(print_table, streams)
    assert (status, stderr) == (0, "")
    assert "product" in stdout


def test_a_closed_standard_input_is_one_line() -> None:
    status, stdout, stderr = shell(print_table, "<&-", "read")
    assert (status, stdout, stderr) == (1, "", "error: Bad file descriptor.\n")


@pytest.mark.parametrize("columns", ["0", "1", "²", "99999999999"])
def test_a_width_in_which_no_table_fits_is_not_taken(columns: str) -> None:
    status, stdout, _ = shell(print_table, COLUMNS=columns, LINES=columns)
    assert status == 0
    assert "0.5" in stdout


def test_a_character_that_the_output_cannot_express_becomes_a_question_mark() -> None:
    status, stdout, _ = shell(print_table, PYTHONIOENCODING="latin-1")
    assert status == 0
    assert "? of the index" in stdout
    assert "crème ?" in stdout


def test_an_interrupt_while_importing_is_exit_130_without_a_traceback() -> None:
    assert shell(interrupt_while_importing) == (130, "", "")
