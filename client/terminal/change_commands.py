"""The commands that change the catalogue: ``upsert`` and ``delete``."""

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress

from client.catalogue_file import ProductRow, product_rows
from client.changes import Upserted
from client.retrieval_client import RetrievalClient
from client.terminal import options, rendering
from client.terminal.console import connected, print_aside
from client.terminal.option_groups import Connection, takes_groups
from retrieval_server.command_line.outcome import FAILED
from retrieval_server.command_line.output_file import check_output, write_output


@takes_groups
def upsert(
    catalogue: options.ChangedCatalogue,
    *,
    rejects: options.Rejects = None,
    as_json: options.AsJson = False,
    connection: Connection,
) -> None:
    """Add the products of a catalogue file to the index, or replace them.

    Safe to repeat. A product that is refused is reported, and the others go on.
    """
    if rejects is not None:
        check_output(rejects)
    refused: list[str] = []
    with connected(connection) as client:
        rows = product_rows(catalogue)
        for row, outcome in _shown(_outcomes(client, rows), len(rows), as_json=as_json):
            if as_json:
                typer.echo(rendering.json_line({"line": row.line, **asdict(outcome)}))
            if not outcome.is_durable:
                refused.append(_rejected(row, outcome))
                where = f"line {row.line}, {outcome.product_id!r}"
                print_aside(f"error: {where}: {outcome.message}", "bold red")
    if rejects is not None:
        write_output(rejects, "".join(refused))
    if refused:
        raise typer.Exit(FAILED)


@takes_groups
def delete(
    product_ids: options.ProductIds,
    *,
    as_json: options.AsJson = False,
    connection: Connection,
) -> None:
    """Remove products from the index; report those it does not have."""
    with connected(connection) as client:
        deleted = client.delete(product_ids)
    if as_json:
        typer.echo(rendering.json_line(asdict(deleted)))
    else:
        typer.echo(f"{deleted.deleted_count:,} deleted, position {deleted.change_position:,}")
    for product_id in deleted.missing_ids:
        print_aside(
            f"error: {product_id!r} is not in the index {deleted.index_version}.", "bold red"
        )
    if deleted.missing_ids:
        raise typer.Exit(FAILED)


def _outcomes(
    client: RetrievalClient, rows: Iterable[ProductRow]
) -> Iterator[tuple[ProductRow, Upserted]]:
    """What becomes of each row, in their order."""
    limits = client.status().limits
    largest = None if limits is None else limits.max_image_bytes
    rows = list(rows)
    problems = [row.problem or _too_large(row, largest) for row in rows]
    sent = (row.product for row, problem in zip(rows, problems, strict=True) if not problem)
    outcomes = client.upsert(sent)
    for row, problem in zip(rows, problems, strict=True):
        if problem:
            yield row, Upserted.refused(row.product.product_id, problem)
        else:
            yield row, next(outcomes)


def _too_large(row: ProductRow, largest: int | None) -> str:
    image = row.product.image
    assert isinstance(image, Path), "a file names its images"
    try:
        size = image.stat().st_size
    except OSError:
        return ""  # reading it will say why
    if largest is None or size <= largest:
        return ""
    return f"{image} has {size:,} bytes; the server accepts at most {largest:,}."


def _shown(
    outcomes: Iterable[tuple[ProductRow, Upserted]], total: int, *, as_json: bool
) -> Iterator[tuple[ProductRow, Upserted]]:
    """Pass outcomes on, with a bar meanwhile and a summary in the end."""
    stderr = Console(stderr=True)
    hidden = not stderr.is_terminal or (as_json and sys.stdout.isatty())
    bar = Progress(console=stderr, disable=hidden, redirect_stdout=False, redirect_stderr=False)
    started, durable = time.monotonic(), 0
    with bar:
        for row, outcome in bar.track(outcomes, total=total, description="changing"):
            durable += outcome.is_durable
            yield row, outcome
    elapsed_s = time.monotonic() - started
    summary = f"{durable:,} products changed, {total - durable:,} refused, {elapsed_s:.1f} s"
    print_aside(summary, "dim", stderr)


def _rejected(row: ProductRow, outcome: Upserted) -> str:
    """A line of the rejects file."""
    record = {"line": row.line, "product_id": outcome.product_id, "message": outcome.message}
    return rendering.json_line(record) + "\n"
