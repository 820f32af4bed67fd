"""The options of ``beauty-server``: one for each setting, with its environment variable."""

import dataclasses
import re
import subprocess
import sys
from collections.abc import Callable
from typing import get_args, get_type_hints

import pytest
import typer

from retrieval_server import cli
from retrieval_server.serving.settings import Settings
from tests.support.programs.command import command, print_modules_of_the_server_command


def test_every_setting_is_an_option_with_its_environment_variable_and_default() -> None:
    command = typer.main.get_command(cli.create_app())
    options = {parameter.name: parameter for parameter in command.params}
    options.pop("help", None)
    fields = {field.name: field for field in dataclasses.fields(Settings)}
    assert options.keys() == fields.keys()
    for name, option in options.items():
        assert option.envvar == f"RETRIEVAL_{name.upper()}"
        assert option.opts == ["--" + name.replace("_", "-")]
        if fields[name].default is not dataclasses.MISSING:
            assert option.default == fields[name].default
    assert not any(option.required for option in options.values())  # either index or store


def test_every_setting_is_described_once_and_in_the_help() -> None:
    hints = get_type_hints(Settings, include_extras=True)
    options = {each.name: each for each in typer.main.get_command(cli.create_app()).params}
    for field in dataclasses.fields(Settings):
        (setting,) = get_args(hints[field.name])[1:]
        assert re.fullmatch(r"[A-Z].{10,}\.", setting.help)
        assert options[field.name].help == setting.help
        assert f"{field.name}:" not in (Settings.__doc__ or "")


def test_a_command_takes_no_setting(failing: Callable[..., tuple[int, str]]) -> None:
    status, stderr = failing(base=["health", "--port", "0", "127.0.0.1:1"])
    assert status == 2
    assert "--port" in stderr


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "http://127.0.0.1:1", "host"])
def test_health_of_what_is_no_address_is_misuse(
    failing: Callable[..., tuple[int, str]], address: str
) -> None:
    status, stderr = failing(base=["health", address])
    assert status == 2
    assert address in stderr


def test_a_command_after_the_settings_is_refused_rather_than_run(
    failing: Callable[..., tuple[int, str]],
) -> None:
    status, stderr = failing("health", "127.0.0.1:1")
    assert status == 2
    assert "health is a command of its own" in stderr


def test_help_shows_every_environment_variable_and_ends_with_an_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["beauty-server", "--help"])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for field in dataclasses.fields(Settings):
        assert f"RETRIEVAL_{field.name.upper()}" in text
    for name in ("health", "models"):
        assert re.search(rf"^  {name}  +\S", text, re.MULTILINE)
    assert text.rstrip().splitlines()[-1].strip().startswith("Example: beauty-server --index")


@pytest.mark.parametrize("command", ["health", "models"])
def test_help_of_each_command_ends_with_an_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["beauty-server", command, "--help"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 0
    last_line = capsys.readouterr().out.rstrip().splitlines()[-1]
    assert last_line.startswith(f"  Example: beauty-server {command} ")


def test_a_health_check_imports_neither_numpy_nor_the_engines() -> None:
    words = command(print_modules_of_the_server_command, "health", "127.0.0.1:1")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("127.0.0.1:1: UNAVAILABLE")
    loaded = set(done.stdout.split())
    assert "grpc_health.v1.health_pb2" in loaded
    assert loaded.isdisjoint({"numpy", "numba", "onnxruntime", "tritonclient", "PIL"})
