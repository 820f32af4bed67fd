"""The command line's arguments and options, each described once for all commands."""

from pathlib import Path
from typing import Annotated

import typer

Photo = Annotated[
    Path, typer.Argument(metavar="PHOTO", help="Image to search for; - reads standard input.")
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
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of images.")]

Server = Annotated[
    str,
    typer.Option(
        "--server",
        "-s",
        envvar="BEAUTY_SEARCH_SERVER",
        metavar="HOST:PORT",
        help="Address of the server.",
    ),
]
TopK = Annotated[
    int | None,
    typer.Option(
        "--top-k",
        "-k",
        min=1,
        max=100,
        metavar="N",
        help="Number of results.",
        show_default="the server's, 7",
    ),
]
Keep = Annotated[
    int | None,
    typer.Option(
        "--keep",
        min=1,
        max=100,
        metavar="N",
        help="Best visual matches that stay (the paper's k).",
        show_default="the server's, 3",
    ),
]
Refine = Annotated[
    bool,
    typer.Option("--refine/--no-refine", help="Refine through the textual index, or do not."),
]
Alpha = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODEL=VALUE",
        help="Strength of a backbone; repeat for several.",
        show_default=False,
    ),
]
Timeout = Annotated[
    float, typer.Option(min=0.1, metavar="SECONDS", help="Time limit of each request.")
]
TlsCa = Annotated[
    Path | None,
    typer.Option(
        envvar="BEAUTY_SEARCH_TLS_CA",
        metavar="FILE",
        help="PEM certificate of the authority; turns on TLS.",
    ),
]
TlsCert = Annotated[
    Path | None,
    typer.Option(
        envvar="BEAUTY_SEARCH_TLS_CERT",
        metavar="FILE",
        help="PEM certificate to show, where the server wants one.",
    ),
]
TlsKey = Annotated[
    Path | None,
    typer.Option(
        envvar="BEAUTY_SEARCH_TLS_KEY", metavar="FILE", help="PEM private key of --tls-cert."
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        envvar="BEAUTY_SEARCH_TOKEN_FILE",
        metavar="FILE",
        help="File with the token to show, where the server wants one.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]
Compare = Annotated[
    bool, typer.Option("--compare", help="Show the ranking before and after refinement.")
]
Recursive = Annotated[bool, typer.Option("--recursive", help="Look into folders inside too.")]
Jobs = Annotated[int, typer.Option(min=1, max=64, metavar="N", help="Requests at a time.")]
Expect = Annotated[
    str | None,
    typer.Option(metavar="PRODUCT_ID", help="The product that PHOTO is the catalogue's image of."),
]
Wait = Annotated[
    float | None,
    typer.Option(min=0.1, metavar="SECONDS", help="Wait so long for a server that is starting."),
]
Host = Annotated[str, typer.Option(metavar="HOST", help="Where to serve the page.")]
Port = Annotated[
    int, typer.Option(min=0, max=65_535, metavar="N", help="Port of the page; 0 takes a free one.")
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
