"""What image columns hold: addresses, several images, other spellings of a path."""

import json
import unicodedata

from tests.support.export.feeds.dialect import PLAIN, Cell, Dialect, csv_file


def images(name: str, cell: Cell, refused: str = "", image: Cell | None = None) -> Dialect:
    """A feed with another image column; if it is taken, the index has the path as it is written."""
    return Dialect(
        name=f"images, {name}",
        content=csv_file({**PLAIN, "image": cell}),
        refused=refused,
        stored=lambda row: {**row, "image": cell(row)},
        image=image,
    )


def joined(separator: str) -> Cell:
    return lambda row: f"{row['image']}{separator}images/back-{row['id']}.jpg"


def named(pattern: str) -> Cell:
    """A path of its own for each product."""
    return lambda row: pattern.format(row["id"])


DIALECTS = (
    images("addresses", named("https://cdn.example.com/{}.jpg?width=800"), "image.*address"),
    images("addresses without a scheme", named("//cdn.example.com/{}.jpg"), "image.*address"),
    images("addresses of a bucket", named("s3://catalogue/{}.jpg"), "image.*address"),
    images("data in the cell", named("data:image/gif;base64,R0lGODlh{}"), "image.*address"),
    images("several by comma", joined(", "), "names 2 images"),
    images("several by semicolon", joined(";"), "names 2 images"),
    images("several by space", joined(" "), "names 2 images"),
    images("several by pipe", joined("|"), "names 2 images"),
    images(
        "several as a JSON list",
        lambda row: json.dumps([row["image"], "images/b.jpg"]),
        "names 2 images",
    ),
    images("one in a JSON list", lambda row: json.dumps([row["image"]]), "a JSON list"),
    images("./ before the path", lambda row: f"./{row['image']}"),
    images("file://", lambda row: f"file:///{row['image']}", "file://"),
    images("backslashes", lambda row: row["image"].replace("/", "\\"), "backslash"),
    images("a slash before the path", lambda row: f"/{row['image']}", "slash"),
    images("a version after ?", lambda row: f"{row['image']}?v=2", r"\?"),
    images("%20 for spaces", named("my%20images/{}.jpg"), "%20", image=named("my images/{}.jpg")),
    images("another case", named("images/img_{}.jpg"), "case", image=named("images/IMG_{}.JPG")),
    images(
        "another Unicode form",
        lambda row: unicodedata.normalize("NFD", f"images/crème {row['id']}.jpg"),
        "Unicode form",
        image=named("images/crème {}.jpg"),
    ),
    images("another folder", named("img/{}.jpg"), "no such file"),
    Dialect(
        name="ids and images padded",
        content=csv_file(
            {
                **PLAIN,
                "id": lambda row: f" {row['id']} ",
                "image": lambda row: f"{row['image']}\u00a0",
            }
        ),
    ),
    Dialect(
        name="a product twice",
        content=lambda rows: csv_file()([*rows, rows[3]]),
        refused="line 30: the id '.*' is already in line 5",
    ),
    Dialect(
        name="a product twice, padded",
        content=lambda rows: csv_file()([*rows, {**rows[3], "id": f"{rows[3]['id']} "}]),
        refused="line 30: the id '.*' is already in line 5",
    ),
)
