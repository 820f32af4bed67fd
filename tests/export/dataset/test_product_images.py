"""A product with several images: the ways to write it, the ids of the images, what is refused."""

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.commands.index_summary import catalogue_warnings
from export.dataset.catalogue import Catalogue, CatalogueRow, read_catalogue
from retrieval_server.errors import CatalogueError
from tests.support.export.feeds.dialect import csv_text
from tests.support.paths import ROOT

Values = Mapping[str, object]


def as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def write_csv(folder: Path, rows: Sequence[Values]) -> None:
    cells = {name: lambda row, name=name: as_text(row[name]) for name in rows[0]}
    (folder / "catalog.csv").write_text(csv_text(cells, rows), "utf-8")


def write_jsonl(folder: Path, rows: Sequence[Values]) -> None:
    (folder / "catalog.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")


def write_jsonl_texts(folder: Path, rows: Sequence[Values]) -> None:
    write_jsonl(folder, [{name: as_text(value) for name, value in row.items()} for row in rows])


def write_parquet(folder: Path, rows: Sequence[Values]) -> None:
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), folder / "catalog.parquet")


WRITERS = [write_csv, write_jsonl, write_jsonl_texts, write_parquet]
Write = Callable[[Path, Sequence[Values]], None]


def image(product_id: str, path: str, product: str = "", **attributes: str) -> CatalogueRow:
    if product:
        attributes["product"] = product
    return CatalogueRow(product_id, path, "", attributes)


@pytest.mark.parametrize("write", WRITERS)
class TestEveryForm:
    """What holds in CSV, JSON lines with lists and with texts, and Parquet."""

    def test_rows_of_one_product_are_numbered_through_the_file(
        self, tmp_path: Path, write: Write
    ) -> None:
        rows = [
            {"product": product, "image": path, "description": "", "shade": path[0]}
            for product, path in [("P 1", "a.jpg"), ("Q", "b.jpg"), (" P 1 ", "c.jpg")]
        ]
        write(tmp_path, rows)
        catalogue = read_catalogue(tmp_path)
        assert catalogue.rows == (
            image("P 1", "a.jpg", "P 1", shade="a"),
            image("Q", "b.jpg", "Q", shade="b"),
            image("P 1#2", "c.jpg", "P 1", shade="c"),
        )
        assert catalogue.columns == ("product", "shade")
        assert catalogue.notes == ()

    def test_each_image_of_a_list_is_a_row_with_the_products_texts(
        self, tmp_path: Path, write: Write
    ) -> None:
        rows = [
            {"id": "1", "images": [" a.jpg ", "b.jpg", "c.jpg"], "description": "<b>Rose</b>"},
            {"id": "2", "images": ["d.jpg"], "description": "N/A"},
        ]
        write(tmp_path, rows)
        catalogue = read_catalogue(tmp_path)
        assert [(row.product_id, row.image, row.description) for row in catalogue.rows] == [
            ("1", "a.jpg", "Rose"),
            ("1#2", "b.jpg", "Rose"),
            ("1#3", "c.jpg", "Rose"),
            ("2", "d.jpg", ""),
        ]
        assert [row.attributes for row in catalogue.rows] == [{"product": "1"}] * 3 + [
            {"product": "2"}
        ]
        assert catalogue.columns == ("product",)

    def test_a_row_with_a_list_keeps_the_product_that_it_names(
        self, tmp_path: Path, write: Write
    ) -> None:
        rows = [
            {"id": f"{n}", "images": [f"{n}.jpg", f"{n}b.jpg"], "description": "", "product": name}
            for n, name in enumerate(["P", "", "P"])
        ]
        write(tmp_path, rows)
        catalogue = read_catalogue(tmp_path)
        found = [(row.product_id, row.attributes["product"]) for row in catalogue.rows]
        assert found == [
            ("0", "P"), ("0#2", "P"), ("1", "1"), ("1#2", "1"), ("2", "P"), ("2#2", "P")
        ]  # fmt: skip
        assert catalogue.columns == ("product",)

    def test_several_lists_of_one_product_are_numbered_through(
        self, tmp_path: Path, write: Write
    ) -> None:
        rows = [{"product": "P", "images": list(paths), "description": ""} for paths in ("ab", "c")]
        write(tmp_path, rows)
        assert [(row.product_id, row.image) for row in read_catalogue(tmp_path).rows] == [
            ("P", "a"), ("P#2", "b"), ("P#3", "c")
        ]  # fmt: skip

    def test_ids_beside_products_stay_as_they_are(self, tmp_path: Path, write: Write) -> None:
        rows = [
            {"id": product_id, "product": product, "image": "a.jpg", "description": ""}
            for product_id, product in [("1", " P "), ("P", "P"), ("3", ""), ("P#2", "Q")]
        ]
        write(tmp_path, rows)
        assert read_catalogue(tmp_path).rows == (
            image("1", "a.jpg", "P"),
            image("P", "a.jpg", "P"),
            image("3", "a.jpg"),
            image("P#2", "a.jpg", "Q"),
        )

    def test_an_image_that_a_list_names_twice_is_taken_once_and_noted(
        self, tmp_path: Path, write: Write
    ) -> None:
        rows = [
            {"id": "1", "images": ["a.jpg", "b.jpg", "./a.jpg", "a.jpg"], "description": "x"},
            {"id": "2", "images": ["a", "a"], "description": "x"},
        ]
        write(tmp_path, rows)
        catalogue = read_catalogue(tmp_path)
        assert [row.image for row in catalogue.rows] == ["a.jpg", "b.jpg", "a"]
        (note,) = catalogue.notes
        assert note.endswith(
            "2 lists name an image twice, such as 'a.jpg' of '1'; it is taken once"
        )

    @pytest.mark.parametrize(
        ("images", "problem"),
        [
            ([], "the column 'images' is an empty list."),
            (None, "the column 'images' (is empty|holds 'null')"),
            (["a.jpg", ""], "'images' is a list whose entry 2 is empty. Remove it."),
            ([" ", "a.jpg"], "'images' is a list whose entry 1 is empty"),
        ],
    )
    def test_a_list_without_an_image_is_refused_with_its_place(
        self, tmp_path: Path, write: Write, images: object, problem: str
    ) -> None:
        first = {"id": "0", "images": ["a.jpg"], "description": "x"}
        write(tmp_path, [first, {"id": "1", "images": images, "description": "x"}])
        with pytest.raises(CatalogueError, match=rf"(line [23]|row 2): .*{problem}"):
            read_catalogue(tmp_path)


def test_all_ways_to_write_the_same_products_give_the_same_rows(tmp_path: Path) -> None:
    written = {
        "ids": "id,image,description,product\n1,a,x,1\n1#2,b,x,1\n2,c,y,2\n",
        "products": "image,description,product\na,x,1\nb,x,1\nc,y,2\n",
        "lists": 'id,images,description\n1,"[""a"", ""b""]",x\n2,"[""c""]",y\n',
    }
    catalogues = []
    for name, text in written.items():
        (tmp_path / f"{name}.csv").write_text(text)
        catalogues.append(read_catalogue(tmp_path / f"{name}.csv"))
    assert len({catalogue.columns for catalogue in catalogues}) == 1
    first, *others = (catalogue.rows for catalogue in catalogues)
    assert all(rows == first for rows in others)


def test_the_example_of_the_guide_is_read(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "catalogue.md").read_text("utf-8")
    (example,) = re.findall(r"```\n(id,images,.*?)```", guide, re.DOTALL)
    rows = csv_catalogue(tmp_path, example).rows
    assert [(row.product_id, row.image, row.attributes) for row in rows] == [
        ("1001", "images/1001.jpg", {"product": "1001"}),
        ("1001#2", "images/1001-back.jpg", {"product": "1001"}),
    ]


def test_padding_around_a_list_means_nothing(tmp_path: Path) -> None:
    text = 'id,images,description\n1,"\u200b [""a.jpg""]\u00a0",x\n'
    assert [row.image for row in csv_catalogue(tmp_path, text).rows] == ["a.jpg"]


def csv_catalogue(folder: Path, text: str) -> Catalogue:
    (folder / "catalog.csv").write_text(text, "utf-8")
    return read_catalogue(folder)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("id,image,images,description\n1,a,[],x\n", "line 2: there are both 'image' and 'images'"),
        ("product,image,description\n,a,x\n", "line 2: the product is empty"),
        ("product,image,description\nP,,x\n", "line 2: the image is empty"),
        (
            "product,image,description\nP,a,x\nQ,a,x\nP,./a,y\n",
            "line 4: the image './a' of the product 'P' is already in line 2. Remove one",
        ),
        (
            "product,image,description\nP#2,a,x\nP,a,x\nP,b,x\n",
            "line 4: the id 'P#2', of image 2 of 'P', is already in line 2. Image 2 of a product "
            "gets the id PRODUCT#2. Rename a product, or add a column 'id'.",
        ),
        (
            'id,images,description\n1,"[""a"", ""b""]",x\n1#2,"[""c""]",x\n',
            "line 3: the id '1#2' is already in line 2. Ids must be unique, and image 2",
        ),
        (
            "id,image,description\n1,a,x\n1,b,x\n",
            "line 3: the id '1' is already in line 2. Ids must be unique; if the rows are images "
            "of one product, rename the column 'id' to 'product'.",
        ),
        (
            "id,image,description,product\n1,a,x,P\n1,b,x,P\n",
            r"line 3: the id '1' is already in line 2. Ids must be unique\.$",
        ),
        ("id,images,description\n1,a.jpg,x\n", r'holds \'a.jpg\', which is .*\["a.jpg"\]\.$'),
        (
            'id,images,description\n1,"a.jpg, b.jpg, c.jpg",x\n',
            r'line 2: .* is no JSON list. Write \["a.jpg", "b.jpg", …\]\.$',
        ),
        (
            "id;Images;description\n1;['a.jpg', 'b.jpg'];x\n",  # pandas writes lists so
            r'is no JSON list. Write \["images/front.jpg", .*\], in double quotes\.$',
        ),
        (
            f"id,images,description\n1,{'a' * 99}.jpg|{'b' * 99}.jpg,x\n",
            r'Write \["a{60}…", "b{60}…"\]\.$',
        ),
        ("id,images,description\n1,true,x\n", r'Write \["images/front.jpg", '),
        ('id;images;description\n1;"{""a"": 1}";x\n', "which is no JSON list"),
        ("id;images;description\n1;[1,true];x\n", "entry 2 is the truth value true. Give a text"),
        ("id;images;description\n1;[1.5];x\n", "entry 1 is the number 1.5, which is not whole"),
        ('id;images;description\n1;"[[""a""]]";x\n', "entry 1 is a list of values. Give one text"),
        ("id;images;description\n1;[null];x\n", "entry 1 is empty"),
        (f"id;images;description\n1;{'[' * 9999};x\n", "which is no JSON list"),
        ('id;images;description\n1;"[""\\ud83d""]";x\n', "entry 1 holds .* surrogate"),
        (
            'id;images;description\n1;"[""https://x/a"", ""https://x/b""]";x\n',
            "2 of 2 images are addresses, .* of the id '1'. .* into the column 'images'",
        ),
    ],
)
def test_images_that_are_unclear_are_refused_with_their_line(
    tmp_path: Path, text: str, problem: str
) -> None:
    with pytest.raises(CatalogueError, match=problem) as caught:
        csv_catalogue(tmp_path, text)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([{"image": "a"}, {"images": ["a"]}], "line 2: the row has 'id' and 'images', but line 1 "),
        (
            [{"id": "1", "image": ["a", "b"]}],
            "line 1: the image is a list .* the column to 'images'",
        ),
        ([{"id": "1", "image": "a", "images": None}], "line 1: there are both 'image' and"),
        ([{"product": {"name": "x"}, "image": "a"}], "line 1: the product is an object"),
    ],
)
def test_lines_with_other_columns_or_values_are_refused(
    tmp_path: Path, lines: list[Values], problem: str
) -> None:
    rows = [{"id": str(number), "description": "", **line} for number, line in enumerate(lines)]
    write_jsonl(tmp_path, rows)
    with pytest.raises(CatalogueError, match=problem):
        read_catalogue(tmp_path)


def test_a_line_without_the_id_that_the_others_have_is_refused(tmp_path: Path) -> None:
    first = {"id": "1", "product": "P", "image": "a", "description": ""}
    write_jsonl(tmp_path, [first, {key: first[key] for key in first if key != "id"}])
    with pytest.raises(
        CatalogueError, match="line 2: the row has 'product' and 'image', but line 1 has 'id' and"
    ):
        read_catalogue(tmp_path)


def test_names_of_products_are_exact_like_ids(tmp_path: Path) -> None:
    table = pa.table(
        {
            "Product": [1001.0, 1002.0, 1001.0],
            "image": ["a", "b", "c"],
            "description": ["", "", ""],
        }
    )
    pq.write_table(table, tmp_path / "catalog.parquet")
    rows = read_catalogue(tmp_path).rows
    assert [row.product_id for row in rows] == ["1001", "1002", "1001#2"]


def test_warnings_count_images_where_products_have_several(tmp_path: Path) -> None:
    catalogue = csv_catalogue(
        tmp_path, 'id,images,description\n1,"[""a"", ""b""]",N/A\n2,"[""c""]",rose\n'
    )
    (warning,) = catalogue_warnings(catalogue)
    assert warning.text.startswith(
        "2 images have an empty description (1, 1#2); 2 of them say 'N/A' 2: "
    )


PRODUCTS = st.lists(
    st.tuples(
        st.text(st.sampled_from("PQ#12 "), min_size=1, max_size=4).filter(str.strip),
        st.lists(st.sampled_from(["a", "./a", "b", "c", " c"]), min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=6,
)


@given(PRODUCTS, st.sampled_from(["id", "product"]), st.booleans())
def test_no_image_is_lost_and_no_id_is_given_twice(
    tmp_path_factory: pytest.TempPathFactory,
    products: list[tuple[str, list[str]]],
    name: str,
    is_listed: bool,
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.jsonl"
    rows: list[Values] = [
        {name: product, "description": "", **images}
        for product, paths in products
        for images in ([{"images": paths}] if is_listed else [{"image": path} for path in paths])
    ]
    stream = io.StringIO()
    stream.writelines(json.dumps(row) + "\n" for row in rows)
    file.write_text(stream.getvalue())
    try:
        found = read_catalogue(file).rows
    except CatalogueError as error:
        assert "is already in line" in str(error)  # noqa: PT017 - most cases are no error
        return
    assert len({row.product_id for row in found}) == len(found)
    wanted = {
        (product.strip(), path.strip().removeprefix("./"))
        for product, paths in products
        for path in paths
    }
    assert {
        (row.attributes.get("product", row.product_id), row.image.removeprefix("./"))
        for row in found
    } == wanted
    if is_listed or name == "product":
        assert len(found) == len(wanted)
