"""CSV as office programs, shops and data frames write it; and what only has its name."""

import gzip
import io
import zipfile
from pathlib import Path

import pytest

from export.dataset.catalogue import CatalogueRow, read_catalogue
from export.dataset.csv_file import csv_records
from export.dataset.table import NeededColumns
from retrieval_server.errors import CatalogueError

TEXT = 'id,image,description,brand\r\n1,a.jpg,"Crème, ""mild""",\r\n2,é.jpg,two words,Öl\r\n'
ROWS = (
    CatalogueRow("1", "a.jpg", 'Crème, "mild"', {}),
    CatalogueRow("2", "é.jpg", "two words", {"brand": "Öl"}),
)


def read(folder: Path, content: str | bytes, name: str = "catalog.csv"):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_catalogue(folder).rows


def refusal(folder: Path, content: str | bytes, name: str = "catalog.csv") -> str:
    with pytest.raises(CatalogueError) as caught:
        read(folder, content, name)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends_of_office_programs_are_recognised(tmp_path, separator, end):
    lines = [["id", "image", "description"], ["1", "a.jpg", '"red, green; blue\t| all"']]

    (row,) = read(tmp_path, end.join(separator.join(fields) for fields in lines) + end)

    assert row == CatalogueRow("1", "a.jpg", "red, green; blue\t| all", {})


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;"])
def test_the_line_in_which_excel_names_the_separator_is_no_header(tmp_path, line):
    content = f"{line}\r\nid;image;description\r\n1;a.jpg;x\r\n1;b.jpg;y\r\n"

    assert "line 4: the id '1' is already in line 3" in refusal(tmp_path, content)


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"],
)
def test_every_unicode_encoding_is_read_with_and_without_a_mark(tmp_path, encoding):
    assert read(tmp_path, TEXT.encode(encoding)) == ROWS


def test_a_file_of_another_encoding_is_refused_with_its_line_and_what_it_looks_like(tmp_path):
    content = TEXT.replace("Öl", "x").encode("cp1252")

    assert (
        "is not UTF-8 (line 2): it looks like Windows-1252, which reads 'Crème' there. Save it as "
        "UTF-8." in refusal(tmp_path, content)
    )
    content = "id,image,description\n1,a.jpg,护手霜\n".encode("gbk")
    assert "is not UTF-8 (line 2). Save" in refusal(tmp_path, content)
    assert "is not UTF-16 (line 4)" in refusal(tmp_path, TEXT.encode("utf-16") + b"\0\xd8\0")


def workbook() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("xl/workbook.xml", "")
    return data.getvalue()


@pytest.mark.parametrize("name", ["catalog.csv", "catalog.jsonl", "catalog.parquet"])
@pytest.mark.parametrize(
    ("content", "named"),
    [
        (workbook(), "is an Excel workbook or another ZIP archive. Save the sheet as CSV"),
        (gzip.compress(b"id,image,description\n"), "is compressed by gzip. Unpack it"),
        (b"<!DOCTYPE html>\n<html>", "is an HTML page or an XML document"),
        ('<?xml version="1.0"?><rss>'.encode("utf-16"), "is an HTML page or an XML document"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
        (b"ARROW1\0\0", "is an Arrow file. Write it as Parquet"),
    ],
    ids=["xlsx", "gzip", "html", "xml", "git-lfs", "arrow"],
)
def test_a_file_of_another_format_is_named(tmp_path, name, content, named):
    assert named in refusal(tmp_path, content, name)


def test_a_parquet_file_by_another_name_is_named(tmp_path):
    assert "is a Parquet file. Give it the suffix .parquet" in refusal(tmp_path, b"PAR1....PAR1")


@pytest.mark.parametrize("content", ['{"id": 1}\n', '[{"id": 1}]', "[\n", "{\n", '  [ {"id": 1}'])
def test_json_by_the_name_of_csv_is_named(tmp_path, content):
    assert "is JSON. Write one object on each line" in refusal(tmp_path, content)


def test_csv_by_another_name_is_told_from_it(tmp_path):
    assert "if the file is CSV, give it the suffix .csv" in refusal(tmp_path, TEXT, "catalog.jsonl")
    assert "it is no Parquet file. If it is CSV" in refusal(tmp_path, TEXT, "catalog.parquet")


def test_a_header_in_another_separator_is_shown_as_the_one_column_it_is(tmp_path):
    message = refusal(tmp_path, "id:image:description\n1:a.jpg:x\n")

    assert "has one column, 'id:image:description'. It needs" in message


def test_the_header_of_a_file_that_was_joined_is_refused_with_its_line(tmp_path):
    message = refusal(tmp_path, "id,image,description\n1,a.jpg,x\n\ufeffid,image,description\n")

    assert "line 3: the header again. Remove such lines" in message


def test_padding_of_names_ids_and_paths_means_nothing(tmp_path):
    assert read(tmp_path, " ID ,Image,DESCRIPTION , brand\n 1 , a.jpg ,x, y \n") == (
        CatalogueRow("1", "a.jpg", "x", {"brand": " y "}),
    )
    message = refusal(tmp_path, "id,image,description\n0007 ,a.jpg,x\n\u202a0007\u200b,b.jpg,y\n")
    assert "line 3: the id '0007' is already in line 2" in message


def test_a_column_in_our_spelling_comes_before_one_in_upper_case(tmp_path):
    (row,) = read(tmp_path, "ID,id,image,description\n7,1,a.jpg,x\n")

    assert row == CatalogueRow("1", "a.jpg", "x", {"ID": "7"})


def test_a_space_after_each_separator_is_no_part_of_the_fields(tmp_path):
    (row,) = read(tmp_path, 'id, image, description\n1, a.jpg, "Rose, 50 ml"\n')

    assert row == CatalogueRow("1", "a.jpg", "Rose, 50 ml", {})


def test_blank_rows_and_empty_columns_of_a_spreadsheet_are_left_out(tmp_path):
    content = '\nid,image,description,,\n1,a.jpg,x,,\n"  ","",\t\n,,,,\n2,b.jpg,y\n\n'

    assert [row.product_id for row in read(tmp_path, content)] == ["1", "2"]
    message = refusal(tmp_path, "id,image,description,,\n1,a.jpg,red, green,\n")
    assert "line 2: the row does not have the header's 3 fields" in message


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_the_index_of_a_data_frame_is_no_attribute(tmp_path, name):
    (row,) = read(tmp_path, f"{name},id,image,description\n0,1,a.jpg,x\n")

    assert row == CatalogueRow("1", "a.jpg", "x", {})


@pytest.mark.parametrize(
    ("header", "advice"),
    [
        (
            "Handle,Title,Body (HTML),Vendor,Image Src",
            "Rename 'Handle' to 'id', 'Image Src' to 'image', 'Body (HTML)' to 'description'.",
        ),
        ("ID,SKU,Name,Images", "Rename 'Name' to 'description'."),
        (
            "sku\tname\tbase_image",
            "Rename 'sku' to 'id', 'base_image' to 'image', 'name' to 'description'.",
        ),
        (
            "g:id;g:title;g:image_link",
            "Rename 'g:id' to 'id', 'g:image_link' to 'image', 'g:title' to 'description'.",
        ),
        ("id,title,price", "Rename 'title' to 'description', and add 'image'."),
        (",".join(f"c{n}" for n in range(99)), "'c11' and 87 more. Rename or add it."),
    ],
    ids=["shopify", "woocommerce", "magento", "google", "incomplete", "unknown"],
)
def test_the_columns_of_known_exports_are_proposed_for_renaming(tmp_path, header, advice):
    assert refusal(tmp_path, f"{header}\n").endswith(advice)


def test_quotes_that_are_escaped_by_a_backslash_are_explained(tmp_path):
    message = refusal(tmp_path, 'id,image,description\n1,a.jpg,"a \\"mild\\" cream"\n')

    assert "line 2: " in message
    assert 'write those inside it twice, as ""' in message


@pytest.mark.parametrize(
    ("images", "refused"),
    [
        (["https://shop.example/a.jpg", "//cdn.example/b.jpg", "c.jpg"], "2 of 3 images are"),
        (["s3://bucket/a.jpg"], "1 of 1 images are addresses, such as 's3://bucket/a.jpg'"),
        (["data:image/png;base64,AAAA", "http://x/b"], "2 of 2 images are addresses"),
        (["https://shop.example/a.jpg", "b.jpg"], ""),
        (["C:/photos/a.jpg", "http/b.jpg", "a:b.jpg"], ""),
    ],
)
def test_a_catalogue_whose_images_are_addresses_is_refused(tmp_path, images, refused):
    rows = "".join(f'{number},"{image}",x\n' for number, image in enumerate(images))
    content = f"id,image,description\n{rows}"

    if refused:
        assert refused in refusal(tmp_path, content)
    else:
        assert [row.image for row in read(tmp_path, content)] == images


def test_a_folder_by_the_name_of_a_catalogue_is_named(tmp_path):
    (tmp_path / "catalog.csv").mkdir()
    with pytest.raises(CatalogueError, match=r"catalog\.csv is a folder\. It must be a file"):
        read_catalogue(tmp_path)
    (tmp_path / "catalog.csv" / "part-00000.csv").touch()
    with pytest.raises(CatalogueError, match=r"is a folder of parts, such as part-00000\.csv"):
        read_catalogue(tmp_path)


def test_csv_records_name_the_file_that_cannot_be_read(tmp_path):
    with pytest.raises(CatalogueError, match=r"Cannot read .*truth\.csv: No such file"):
        list(csv_records(tmp_path / "truth.csv", NeededColumns.of("query_image")))
    (tmp_path / "truth.csv").write_bytes(b"query_image\n\xe9\n")
    with pytest.raises(CatalogueError, match=r"truth.csv is not UTF-8 \(line 2\)"):
        list(csv_records(tmp_path / "truth.csv", NeededColumns.of("query_image")))
