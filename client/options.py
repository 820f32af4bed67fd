"""The command line's arguments and options, each described once for all commands."""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from client.access import Access
from client.filters import Filter, filter_of_texts
from client.retrieval_client import DEFAULT_SERVER, DEFAULT_TIMEOUT_S, RetrievalClient
from retrieval_server.command_line.addresses import LARGEST_PORT
from retrieval_server.command_line.option_values import address, seconds

Photo = Annotated[
    Path | None,
    typer.Argument(
        metavar="PHOTO",
        help="Image to search for; - reads standard input. Several images of one thing are "
        "joined: front.jpg+back.jpg. Without one, --words alone decide.",
        show_default=False,
    ),
]
CataloguePhoto = Annotated[
    Path | None, typer.Argument(metavar="PHOTO", help="An image of the catalogue.")
]
CatalogueFolder = Annotated[
    Path | None,
    typer.Option(
        "--catalogue",
        envvar="BEAUTY_SEARCH_CATALOGUE",
        metavar="FOLDER",
        help="Folder that the catalogue's image paths are relative to.",
    ),
]
ProductId = Annotated[
    str, typer.Argument(metavar="PRODUCT_ID", help="Id of a product of the index.")
]
ProductIds = Annotated[
    list[str], typer.Argument(metavar="PRODUCT_ID", help="Ids of products of the index.")
]
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of images.")]

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]
Compare = Annotated[
    bool, typer.Option("--compare", help="Show the ranking before and after refinement.")
]
Read = Annotated[
    bool | None,
    typer.Option(
        "--read/--no-read",
        help="Read the words on the photo, or do not.",
        show_default="the server's",
    ),
]
Recursive = Annotated[bool, typer.Option("--recursive", help="Search subfolders too.")]
Jobs = Annotated[int, typer.Option(min=1, max=64, metavar="N", help="Requests at a time.")]
Expect = Annotated[
    str | None,
    typer.Option(metavar="PRODUCT_ID", help="The product that PHOTO is the catalogue's image of."),
]
Wait = Annotated[
    float | None,
    typer.Option(
        min=0.1,
        metavar="SECONDS",
        help="Longest wait for a server that is starting; inf has no limit.",
        callback=seconds,
    ),
]
Host = Annotated[str, typer.Option(metavar="HOST", help="Where to serve the page.")]
Port = Annotated[
    int,
    typer.Option(
        min=0, max=LARGEST_PORT, metavar="N", help="Port of the page; 0 takes a free one."
    ),
]
Catalogue = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Folder of the catalogue, for the products' pictures."),
]
AllowedHost = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Further name under which the page may be called; repeat for several.",
        show_default="localhost and addresses",
    ),
]


@dataclass(frozen=True, kw_only=True)
class SearchParameters:
    """The options of every command that searches."""

    words: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Words that the product's text should have, such as brand and type.",
            show_default=False,
        ),
    ] = ""
    text_weight: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="VALUE",
            help="Strength of --words; 0 turns them off.",
            show_default="the server's",
        ),
    ] = None
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="A condition on a column, such as 'brand = Nuxe', 'price < 30', 'shade in (Ruby, "
            "Amber)', 'size is missing'; repeat for several, which all hold.",
            show_default=False,
        ),
    ] = None
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PRODUCT_ID",
            help="A product that may not be found; repeat for several.",
            show_default=False,
        ),
    ] = None
    min_similarity: Annotated[
        float | None,
        typer.Option(
            metavar="VALUE",
            help="Similarity that a product has at least to be found.",
            show_default=False,
        ),
    ] = None
    top_k: Annotated[
        int | None,
        typer.Option(
            "--top-k",
            "-k",
            min=1,
            metavar="N",
            help="Number of results.",
            show_default="the server's",
        ),
    ] = None
    keep: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Best visual matches that stay (the paper's k).",
            show_default="the server's",
        ),
    ] = None
    refine: Annotated[
        bool,
        typer.Option("--refine/--no-refine", help="Refine through the textual index, or do not."),
    ] = True
    alpha: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL=VALUE",
            help="Strength of a backbone; repeat for several.",
            show_default=False,
        ),
    ] = None

    def keywords(self) -> dict[str, Any]:
        """The keyword arguments of ``RetrievalClient.search`` and ``similar``.

        Raises:
            typer.BadParameter: if a value of --alpha or --where cannot be read.
        """
        return {
            "words": self.words,
            "text_weight": self.text_weight,
            "where": filter_of_conditions(self.where),
            "exclude_ids": self.exclude or (),
            "min_similarity": self.min_similarity,
            "top_k": self.top_k,
            "keep": self.keep,
            "refine": self.refine,
            "alpha": alpha_by_model(self.alpha),
        }


@dataclass(frozen=True, kw_only=True)
class Connection:
    """The options of every command: where the server is, and what it may ask for."""

    server: Annotated[
        str,
        typer.Option(
            "--server",
            "-s",
            envvar="BEAUTY_SEARCH_SERVER",
            metavar="HOST:PORT",
            help="Address of the server; unix:PATH is a socket.",
            callback=address,
        ),
    ] = DEFAULT_SERVER
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1,
            metavar="SECONDS",
            help="Time limit of each request; inf has none.",
            callback=seconds,
        ),
    ] = DEFAULT_TIMEOUT_S
    tls_ca: Annotated[
        Path | None,
        typer.Option(
            envvar="BEAUTY_SEARCH_TLS_CA",
            metavar="FILE",
            help="PEM certificate of the authority; turns on TLS.",
        ),
    ] = None
    tls_cert: Annotated[
        Path | None,
        typer.Option(
            envvar="BEAUTY_SEARCH_TLS_CERT",
            metavar="FILE",
            help="PEM certificate to show, where the server wants one.",
        ),
    ] = None
    tls_key: Annotated[
        Path | None,
        typer.Option(
            envvar="BEAUTY_SEARCH_TLS_KEY", metavar="FILE", help="PEM private key of --tls-cert."
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        typer.Option(
            envvar="BEAUTY_SEARCH_TOKEN_FILE",
            metavar="FILE",
            help="File with the token to show, where the server wants one.",
        ),
    ] = None

    def client(self) -> RetrievalClient:
        """Make a client of the server.

        Raises:
            RetrievalError: if a certificate cannot be read.
        """
        access = Access(
            tls_ca=self.tls_ca,
            tls_cert=self.tls_cert,
            tls_key=self.tls_key,
            token_file=self.token_file,
        )
        return RetrievalClient(self.server, timeout_s=self.timeout, access=access)


def takes_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Decorate a command that takes groups of options, each as one dataclass.

    Every field of a group becomes an option of the command, after the command's own ones.

    Args:
        command: its parameters are annotated, with a dataclass where they are a group.
    """
    parameters = signature(command).parameters.values()
    groups: dict[str, Any] = {
        each.name: each.annotation for each in parameters if is_dataclass(each.annotation)
    }

    @wraps(command)
    def run(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{each.name: values.pop(each.name) for each in fields(group)})
        command(**values)

    options = [
        Parameter(each.name, Parameter.KEYWORD_ONLY, default=each.default, annotation=each.type)
        for group in groups.values()
        for each in fields(group)
    ]
    own = [each for each in parameters if each.name not in groups]
    run.__signature__ = Signature([*own, *options])  # type: ignore[attr-defined]
    return run


def joined_photos(photo: Path) -> list[Path]:
    """The photos of an argument such as ``front.jpg+back.jpg``.

    A + that belongs to the name of a file that exists does not divide it.

    Args:
        photo: as given.
    """
    parts = str(photo).split("+")
    photos, begin = [], 0
    for end in range(1, len(parts) + 1):
        path = Path("+".join(parts[begin:end]))
        if path.is_file():
            photos.append(path)
            begin = end
    if begin == len(parts):
        return photos
    return [photo] if "" in parts else [Path(part) for part in parts]


def filter_of_conditions(conditions: list[str] | None) -> Filter | None:
    """Read conditions, all of which hold.

    Args:
        conditions: as given to --where, if at all.

    Raises:
        typer.BadParameter: naming the one that cannot be read, and the place in it.
    """
    try:
        return filter_of_texts(conditions or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--where") from error


def alpha_by_model(values: list[str] | None) -> dict[str, float]:
    """Read MODEL=VALUE pairs.

    Args:
        values: as given to --alpha, if at all.

    Returns:
        The values by model name; the last one counts where a model is named twice.

    Raises:
        typer.BadParameter: naming the one that does not read so.
    """
    alpha = {}
    for value in values or ():
        model, _, number = value.rpartition("=")
        try:
            alpha[model] = float(number)
        except ValueError:
            model = ""
        if not model:
            hint = f"Write MODEL=VALUE, such as densenet201_grmac=3, not {value!r}."
            raise typer.BadParameter(hint, param_hint="--alpha")
    return alpha
