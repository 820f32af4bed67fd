"""The command line's arguments and options, each described once for all commands."""

from pathlib import Path
from typing import Annotated

import typer

from retrieval_server.command_line.addresses import LARGEST_PORT
from retrieval_server.command_line.option_values import seconds

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
ChangedCatalogue = Annotated[
    Path,
    typer.Argument(
        metavar="CATALOGUE",
        help="File with the products, .csv or .jsonl, with the columns id, image and description; "
        "or a folder with catalog.csv or catalog.jsonl.",
    ),
]
Rejects = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="File for the refused products, one JSON object per line."),
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
Watch = Annotated[bool, typer.Option("--watch", help="Show what the server does, until Ctrl-C.")]
Every = Annotated[
    float,
    typer.Option(min=0.1, metavar="SECONDS", help="Interval of --watch.", callback=seconds),
]
Times = Annotated[int | None, typer.Option(min=1, metavar="N", help="End --watch after N looks.")]
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
