"""The outcome of the command ``beauty-export``."""

from collections.abc import Callable
from dataclasses import dataclass

from retrieval_server.command_line.outcome import BAD_INPUT, FAILED


@dataclass(frozen=True)
class Outcome:
    exit_code: int
    stdout: str
    stderr: str

    @property
    def error_lines(self) -> list[str]:
        return [line for line in self.stderr.splitlines() if line.startswith("error:")]


Run = Callable[..., Outcome]


def check_failed(outcome: Outcome, *expected: str) -> None:
    assert outcome.exit_code in {FAILED, BAD_INPUT}, outcome
    assert len(outcome.error_lines) == 1, outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert outcome.stdout == ""
    assert outcome.stderr.splitlines()[-1] == outcome.error_lines[0]
    for text in expected:
        assert text in outcome.error_lines[0]
