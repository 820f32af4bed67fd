"""The command line ``beauty-search``.

Results go to stdout, progress, warnings and errors to stderr. ``command_line.outcome`` lists the
exit statuses.
"""

import errno
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress

from client.errors import RetrievalError, UnreadableFileError
from client.query import Answer, Query
from client.results import SearchResult
from client.terminal import options, rendering
from client.terminal.argument_texts import joined_photos
from client.terminal.batch import answers_in_order, images_to_search, path_of
from client.terminal.change_commands import delete, upsert
from client.terminal.console import connected, print_aside, print_warnings
from client.terminal.known_answer import smoke_test_by_catalogue, smoke_test_by_photo
from client.terminal.option_groups import Connection, SearchParameters, takes_groups
from client.terminal.status_table import status_table
from client.terminal.status_watch import show, watched
from retrieval_server.command_line.outcome import FAILED, one_line_outcome

LONGEST_LOOK_S = 5.0  # at a server that is watched: soon, a person wants to know that it is away
BUSY_WAIT_S = 60.0  # for each image of a batch, which must not fail because others are searching

app = typer.Typer(
    help="Find the products of a cosmetics catalogue that match a photo.",
    epilog="Example: beauty-search search photo.jpg",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command(epilog="Example: beauty-search search photo.jpg --words 'nuxe oil' --top-k 5")
@takes_groups
def search(
    photo: options.Photo = None,
    *,
    read: options.Read = None,
    compare: options.Compare = False,
    as_json: options.AsJson = False,
    parameters: SearchParameters,
    connection: Connection,
) -> None:
    """Find the products that match a photo, words, or both."""
    keywords = parameters.keywords()
    if photo is None and not parameters.words.strip():
        raise typer.BadParameter("Give PHOTO, --words, or both.")
    with connected(connection) as client:
        image, more = _images(photo)
        result = client.search(image, more_images=more, read_words=read, **keywords)
    query = parameters.words if photo is None else str(photo)
    _print_result(query, result, compare=compare, as_json=as_json)


@app.command(epilog="Example: beauty-search similar 1024 --top-k 5")
@takes_groups
def similar(
    product_id: options.ProductId,
    *,
    compare: options.Compare = False,
    as_json: options.AsJson = False,
    parameters: SearchParameters,
    connection: Connection,
) -> None:
    """Find products like one of the catalogue."""
    keywords = parameters.keywords()
    with connected(connection) as client:
        result = client.similar(product_id, **keywords)
    _print_result(product_id, result, compare=compare, as_json=as_json)


@app.command(epilog="Example: beauty-search products 1001 1002 --json")
@takes_groups
def products(
    product_ids: options.ProductIds,
    *,
    as_json: options.AsJson = False,
    connection: Connection,
) -> None:
    """Show what the catalogue says of some products; report those it does not have."""
    with connected(connection) as client:
        found = client.products(product_ids)
    if as_json:
        for product in found.products:
            typer.echo(rendering.json_line(asdict(product)))
    elif found.products:
        Console().print(rendering.products_table(found))
    for product_id in found.missing_ids:
        print_aside(f"error: {product_id!r} is not in the index {found.index_version}.", "bold red")
    if found.missing_ids:
        raise typer.Exit(FAILED)


@app.command(epilog="Example: beauty-search batch photos --json > results.jsonl")
@takes_groups
def batch(
    folder: options.Folder,
    *,
    recursive: options.Recursive = False,
    jobs: options.Jobs = 4,
    read: options.Read = None,
    as_json: options.AsJson = False,
    parameters: SearchParameters,
    connection: Connection,
) -> None:
    """Search every image of a folder; report those that fail, and go on."""
    keywords = parameters.keywords()
    with connected(connection) as client:
        listing = images_to_search(folder, recursive=recursive)
        print_warnings((*client.status().warnings, *filter(None, [listing.left_out_line()])))
        queries = (Query(folder / image, read_words=read, **keywords) for image in listing.images)
        stream = client.search_stream(queries, in_flight=jobs, busy_wait_s=BUSY_WAIT_S)
        with closing(stream):
            answers = answers_in_order(stream)
            failures = _print_answers(answers, len(listing.images), as_json=as_json)
    if failures:
        raise typer.Exit(1)


@app.command(epilog="Example: beauty-search status --wait 60")
@takes_groups
def status(
    *,
    wait: options.Wait = None,
    watch: options.Watch = False,
    every: options.Every = 2.0,
    times: options.Times = None,
    as_json: options.AsJson = False,
    connection: Connection,
) -> None:
    """Show what the server serves, and its limits; with --watch, what it does.

    --watch shows the searches since the server started, then those of each interval, with their
    times by stage (median and 99 %). It ends with Ctrl-C.
    """
    if watch:
        soon = replace(connection, timeout=min(connection.timeout, LONGEST_LOOK_S))
        with connected(soon) as client:
            if wait is not None:
                client.wait_until_ready(wait)
            show(watched(client.status, every, times), Console(), as_json=as_json)
        return
    with connected(connection) as client:
        answer = client.status() if wait is None else client.wait_until_ready(wait)
    print_warnings(answer.warnings)
    if as_json:
        typer.echo(rendering.json_line(asdict(answer)))
    else:
        Console().print(status_table(answer))


@app.command(epilog="Example: beauty-search smoke-test photo.jpg --expect 1001 --wait 60")
@takes_groups
def smoke_test(
    photo: options.CataloguePhoto = None,
    *,
    expect: options.Expect = None,
    catalogue: options.CatalogueFolder = None,
    wait: options.Wait = None,
    connection: Connection,
) -> None:
    """Search for a catalogue image; fail unless its product comes first.

    Name the image and its product, or the catalogue's folder: the server knows a product of it.
    """
    wait_s = wait or 0.0
    with connected(connection) as client:
        if catalogue is not None and photo is None and expect is None:
            typer.echo(smoke_test_by_catalogue(client, catalogue, wait_s))
        elif catalogue is None and photo is not None and expect is not None:
            typer.echo(smoke_test_by_photo(client, photo, expect, wait_s))
        else:
            raise typer.BadParameter("Give PHOTO and --expect, or --catalogue alone.")


@app.command(epilog="Example: beauty-search web --catalogue build/demo/sample")
@takes_groups
def web(
    *,
    catalogue: options.Catalogue = None,
    host: options.Host = "127.0.0.1",
    port: options.Port = 8080,
    allowed_host: options.AllowedHost = None,
    connection: Connection,
) -> None:
    """Serve a page to try the search in a browser."""
    with connected(connection) as client:
        try:
            from client.web.serve import serve
        except ModuleNotFoundError as error:
            hint = f"The page needs {error.name}. Install it with: pip install '.[ui]'"
            raise RetrievalError(hint) from error
        serve(
            client,
            host=host,
            port=port,
            catalogue=catalogue,
            allowed_hosts=allowed_host or (),
            on_ready=partial(_print_url, client.server),
        )


app.command(epilog="Example: beauty-search upsert new-products.csv --rejects refused.jsonl")(upsert)
app.command(epilog="Example: beauty-search delete 1001 1002")(delete)


def main() -> None:
    """Run the console script ``beauty-search``."""
    with one_line_outcome("beauty-search", ".", {RetrievalError: FAILED}):
        app(prog_name="beauty-search")


def _images(photo: Path | None) -> tuple[bytes | Path | None, list[Path]]:
    """The image of the argument PHOTO, None where it is left out, and the further ones."""
    if photo is None:
        return None, []
    if str(photo) == "-":
        return _standard_input(), []
    image, *more = joined_photos(photo)
    return image, more


def _standard_input() -> bytes:
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        reason = "it is closed" if error.errno == errno.EBADF else error.strerror
        raise UnreadableFileError(
            f"Cannot read standard input: {reason}. Pipe an image into it, or name a file."
        ) from error


def _print_result(query: str, result: SearchResult, *, compare: bool, as_json: bool) -> None:
    print_warnings(result.warnings)
    console = Console()
    if as_json:
        typer.echo(rendering.json_line({"query": query, **asdict(result)}))
    elif compare:
        console.print(rendering.comparison(result, console.width))
    else:
        console.print(rendering.results_table(result))


def _print_answers(answers: Iterable[Answer], total: int, *, as_json: bool) -> int:
    """Print a batch: JSON as it comes, the table at the end; return the number of failures."""
    stderr = Console(stderr=True)
    # The bar never shares a terminal with a stream of results, nor does it capture one.
    hidden = not stderr.is_terminal or (as_json and sys.stdout.isatty())
    bar = Progress(console=stderr, disable=hidden, redirect_stdout=False, redirect_stderr=False)
    started = time.monotonic()
    failures = 0
    rows = []
    with bar:
        for answer in bar.track(answers, total=total, description="searching"):
            failed = isinstance(answer.outcome, RetrievalError)
            failures += failed
            if as_json:
                typer.echo(rendering.json_line(_record(answer)))
                continue
            rows.append(answer)
            if failed:
                print_aside(f"error: {path_of(answer)}: {answer.outcome}", "bold red", stderr)
    if rows:
        Console().print(rendering.batch_table(rows))
    elapsed_s = time.monotonic() - started
    print_aside(f"{total} images, {failures} failed, {elapsed_s:.1f} s", "dim", stderr)
    return failures


def _record(answer: Answer) -> dict[str, object]:
    """Return the JSON form of one image's answer."""
    query = str(path_of(answer))
    if isinstance(answer.outcome, SearchResult):
        return {"query": query, **asdict(answer.outcome)}
    return {"query": query, "error": str(answer.outcome)}


def _print_url(server: str, url: str, is_loopback: bool) -> None:
    if not is_loopback:
        warning = (
            f"WARNING: everybody who reaches {url} can search, unencrypted, without a password."
        )
        print_aside(warning, "bold yellow")
    typer.echo(f"{url} asks {server}; Ctrl-C ends it.")
