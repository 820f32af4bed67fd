"""What image columns hold: addresses, several images, other spellings of a path."""

import json
import unicodedata

from tests.support.export.feeds.dialect import (
    PLAIN,
    Cell,
    Dialect,
    Row,
    constant,
    csv_file,
    renamed,
)


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


def json_list(row: Row) -> str:
    return json.dumps([row["image"]])


def with_product(row: Row) -> Row:
    """The row that the index holds where the catalogue says which images show one product."""
    return {**row, "product": row["id"]}


def lists(name: str, cell: Cell, refused: str = "") -> Dialect:
    """A feed with a column of lists of images."""
    columns = renamed({**PLAIN, "image": cell}, {"image": "images"})
    return Dialect(
        name=f"lists of images, {name}",
        content=csv_file(columns),
        refused=refused,
        stored=with_product,
    )


SEVERAL = "names 2 images.*'images'"

DIALECTS = (
    images("addresses", named("https://cdn.example.com/{}.jpg?width=800"), "image.*address"),
    images("addresses without a scheme", named("//cdn.example.com/{}.jpg"), "image.*address"),
    images("addresses of a bucket", named("s3://catalogue/{}.jpg"), "image.*address"),
    images("data in the cell", named("data:image/gif;base64,R0lGODlh{}"), "image.*address"),
    images("several by comma", joined(", "), SEVERAL),
    images("several by semicolon", joined(";"), SEVERAL),
    images("several by space", joined(" "), SEVERAL),
    images("several by pipe", joined("|"), SEVERAL),
    images(
        "several as a JSON list",
        lambda row: json.dumps([row["image"], "images/b.jpg"]),
        SEVERAL,
    ),
    images("one in a JSON list", json_list, "a JSON list.*'images'"),
    lists("JSON", json_list),
    lists("pandas, to_csv", lambda row: str([row["image"]]), "no JSON list.*double quotes"),
    lists("by comma", joined(", "), r"line 2.*no JSON list. Write \[\""),
    lists("one path", PLAIN["image"], r"line 2.*no JSON list. Write \[\""),
    lists("nothing", constant(""), "line 2: the column 'images' is empty"),
    Dialect(
        name="products instead of ids",
        content=csv_file(renamed(PLAIN, {"id": "product"})),
        stored=with_product,
    ),
    Dialect(
        name="both 'image' and 'images'",
        content=csv_file({**PLAIN, "images": json_list}),
        refused="line 2: there are both 'image' and 'images'",
    ),
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
