"""How a command ends: one line and a status for every exception."""

import errno

import pytest

from retrieval_server.command_line.outcome import TRACEBACK, one_line_outcome


class ForeseenError(Exception):
    pass


def ending(
    error: BaseException, capsys: pytest.CaptureFixture[str], program: str = "beauty-search"
) -> tuple[object, str]:
    """The exit status and the text on stderr."""
    with pytest.raises(SystemExit) as caught, one_line_outcome(program, ".", {ForeseenError: 65}):
        raise error
    return caught.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ForeseenError("Bad\nfile."), 65, "error: Bad file."),
        (OSError(errno.ENOSPC, "No space left", "file"), 1, "error: file: No space left."),
        (OSError(errno.ENOSPC, "No space left"), 1, "error: No space left."),
        (
            OSError(errno.EXDEV, "Other disk", "a", None, "b"),
            1,
            "error: a and b: Other disk.",
        ),
        (MemoryError(), 1, "error: There is not enough memory."),
        (
            ModuleNotFoundError("No module named 'numpy'", name="numpy"),
            1,
            "error: beauty-search needs numpy. Install it with: pip install .",
        ),
        (
            RecursionError("too deep"),
            1,
            "error: unexpected RecursionError: too deep. Set BEAUTY_TRACEBACK=1 and run the same "
            "command again to see where.",
        ),
        (
            ModuleNotFoundError("No module named 'client.x'", name="client.x"),
            1,
            "error: unexpected ModuleNotFoundError: No module named 'client.x'. Set "
            "BEAUTY_TRACEBACK=1 and run the same command again to see where.",
        ),
    ],
)
def test_an_error_is_one_line(
    error: Exception, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(error, capsys) == (status, f"{line}\n")


def test_a_name_beyond_the_encoding_is_shown_with_what_to_set(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(UnicodeEncodeError) as caught:
        "crème.jpg".encode("ascii")
    status, text = ending(caught.value, capsys)
    assert status == 1
    assert "'crème.jpg' cannot be written in the encoding ascii" in text
    assert "LC_ALL=C.UTF-8" in text


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 1)])
def test_an_interrupt_and_a_closed_pipe_end_without_a_line(
    error: BaseException, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(error, capsys) == (status, "")


def test_the_traceback_is_shown_when_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRACEBACK, "1")
    _, text = ending(RuntimeError("why"), capsys)
    assert text.startswith("Traceback")
    assert text.splitlines()[-1].startswith("error: unexpected RuntimeError: why.")
