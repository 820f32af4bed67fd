"""The command ``beauty-search``, called in this process."""

import json

from typer.testing import CliRunner, Result

from client.cli import app


def beauty_search(*arguments: object, columns: int = 80, **given: object) -> Result:
    """Run the command line in this process; an exception that escapes it fails the test."""
    environment = {"COLUMNS": str(columns), "BEAUTY_SEARCH_SERVER": None, **given.pop("env", {})}
    result = CliRunner().invoke(app, [str(a) for a in arguments], env=environment, **given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def json_lines(output: str) -> list[dict]:
    return [json.loads(line) for line in output.splitlines()]
