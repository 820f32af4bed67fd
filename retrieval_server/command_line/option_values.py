"""What the options of all commands share; a bad value is misuse, exit status 2."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from retrieval_server.command_line.addresses import checked_address, is_host_name, is_ipv6
from retrieval_server.command_line.durations import waitable
from retrieval_server.command_line.output_file import DASH

Seconds = TypeVar("Seconds", float, float | None)


def _column(given: str | None) -> str | None:
    if given == "":  # such as a variable of a shell that is not set
        raise typer.BadParameter("Name a column, or leave the option out.")
    return given


Conditions = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="CONDITION",
        help="A condition on a column, such as 'brand = Nuxe', 'price < 30', 'shade in (Ruby, "
        "Amber)', 'size is missing'; repeat for several, which all hold.",
        show_default=False,
    ),
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        "--group-by",
        metavar="COLUMN",
        help="One result for each value of this column, the best image, such as one for each "
        "product.",
        show_default=False,
        callback=_column,
    ),
]


def finite(given: list[float] | None) -> list[float] | None:
    """Refuse numbers that are not finite, because the bounds of an option let ``nan`` pass.

    Raises:
        typer.BadParameter: naming the number.
    """
    for number in given or ():
        if not math.isfinite(number):
            raise typer.BadParameter(f"{number} is not a finite number.")
    return given


def seconds(given: Seconds) -> Seconds:
    """Refuse ``nan``, and make of ``inf`` the longest time that anything waits.

    Raises:
        typer.BadParameter: if it is no number.
    """
    if given is None:
        return given
    if math.isnan(given):
        raise typer.BadParameter(f"{given} is no number of seconds; inf waits without a limit.")
    return waitable(given)


def address(given: str) -> str:
    """Refuse what is no address of a gRPC server.

    Raises:
        typer.BadParameter: saying what to write.
    """
    try:
        return checked_address(given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def listening_host(given: str) -> str:
    """Refuse what is no host to listen on, such as a Unix socket.

    Raises:
        typer.BadParameter: saying what to write.
    """
    bare = given.removeprefix("[").removesuffix("]")
    if not (is_host_name(given) or is_ipv6(bare)) or given.split() != [given]:
        raise typer.BadParameter(
            f"{given!r} is no host. Write a name or an address of this machine, such as 0.0.0.0; "
            "the port has an option of its own."
        )
    return given


def folder(given: Path | None) -> Path | None:
    """Refuse ``-`` for a folder, which is no standard output.

    Raises:
        typer.BadParameter: saying what to write for a folder of that name.
    """
    if given == DASH:
        raise typer.BadParameter("A folder is written here, not a file. Write ./- for its name.")
    return given
