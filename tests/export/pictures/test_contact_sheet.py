"""Results as one HTML page: pictures inside, every text escaped, every change marked."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from export.pictures.contact_sheet import write_contact_sheet
from export.pictures.page_pictures import THUMBNAIL_SIDE
from retrieval_server.errors import CatalogueError, ModelRepositoryError
from tests.support.export.search_results import match

SCRIPT = "<script>alert('x')</script> & \"quoted\""


def sheet(
    tmp_path: Path, catalogue: Path, *results: object, ground_truth: Path | None = None
) -> str:
    file = tmp_path / "results.jsonl"
    file.write_text("".join(json.dumps(result) + "\n" for result in results), encoding="utf-8")
    output = tmp_path / "made" / "sheet.html"
    write_contact_sheet(file, catalogue, output, ground_truth)
    return output.read_text(encoding="utf-8")


def items(page: str) -> list[tuple[str, str, str]]:
    """(product id, classes, mark) of every list item, in order."""
    found = []
    for classes, body in re.findall(r'<li class="([^"]*)">(.*?)</li>', page, re.DOTALL):
        product_id = re.search(r"· (\S+) ·", body)
        mark = re.search(r"<div class=mark>(.*?)</div>", body)
        found.append((product_id[1] if product_id else "", classes, mark[1] if mark else ""))
    return found


def test_page_needs_nothing_from_outside(
    tmp_path: Path, tiny_catalogue: Path, result: dict[str, Any]
) -> None:
    sources: list[str] = []

    class Sources(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag not in {"script", "link", "iframe"}
            sources.extend(value or "" for name, value in attrs if name in {"src", "href"})

    page = sheet(tmp_path, tiny_catalogue, result)
    Sources().feed(page)
    assert len(sources) == 1 + 2 + 3
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert not re.search(r"https?://|url\(", page)


def test_thumbnails_are_small_pictures_of_the_products(
    tmp_path: Path, tiny_catalogue: Path, result: dict[str, Any]
) -> None:
    page = sheet(tmp_path, tiny_catalogue, result)
    for data in re.findall(r"base64,([^\"]+)", page):
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert max(image.size) <= THUMBNAIL_SIDE


def test_removed_brought_and_true_products_are_marked(
    tmp_path: Path, tiny_catalogue: Path, result: dict[str, Any]
) -> None:
    page = sheet(tmp_path, tiny_catalogue, result)
    assert items(page) == [
        ("p0000", "true", ""),
        ("p0200", "gone", "− removed"),
        ("p0000", "true", ""),
        ("p0001", "new true", "+ text of #1 (0.83)"),
        ("p0300", "new", "+ filled up"),
    ]
    assert "by the ground truth" in page


def test_page_without_a_ground_truth_frames_nothing_and_says_so(
    tmp_path: Path, tiny_catalogue: Path, result: dict[str, Any]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "images").mkdir(parents=True)
    page = sheet(tmp_path, elsewhere, result)
    assert "No ground truth was given" in page
    assert all("true" not in classes for _, classes, _ in items(page))


def test_ground_truth_of_another_file_is_taken(
    tmp_path: Path, tiny_catalogue: Path, result: dict[str, Any]
) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text("query_image,ids\nother/q00.jpg,p0300 p0200\n")
    page = sheet(tmp_path, tiny_catalogue, result, ground_truth=truth)
    assert [product for product, classes, _ in items(page) if "true" in classes] == [
        "p0200",
        "p0300",
    ]


@pytest.mark.parametrize(
    ("ids", "true"),
    [
        ("cream", {"p0200", "p0001"}),  # the product's images
        ("p0000", {"p0000", "p0300"}),  # an id that was made from the product's name
        ("p0200", {"p0200"}),  # an id, so images are named
        ("p0000 p0200", {"p0000", "p0200"}),
        ("elsewhere", set()),
    ],
)
def test_all_images_of_a_product_that_the_ground_truth_names_are_true(
    tmp_path: Path, tiny_catalogue: Path, result: dict[str, Any], ids: str, true: set[str]
) -> None:
    products = {"p0200": "cream", "p0001": "cream", "p0000": "p0000", "p0300": "p0000"}
    for shown in (*result["initial_results"], *result["results"]):
        shown["attributes"] = {"product": products[shown["product_id"]]}
    truth = tmp_path / "truth.csv"
    truth.write_text(f"query_image,ids\nq00.jpg,{ids}\n")
    page = sheet(tmp_path, tiny_catalogue, result, ground_truth=truth)
    assert {product for product, classes, _ in items(page) if "true" in classes} == true


def test_results_with_groups_say_how_many_images_each_has(
    tmp_path: Path, tiny_catalogue: Path, result: dict[str, Any]
) -> None:
    assert "images of the group" not in sheet(tmp_path, tiny_catalogue, result)
    for size, ranked in enumerate(result["results"], start=1_000):
        ranked["group_size"] = size
    page = sheet(tmp_path, tiny_catalogue, result)
    shown = re.findall(r"<dt>images of the group</dt><dd>([^<]*)</dd>", page)
    assert shown[-3:] == ["1,000", "1,001", "1,002"]


def test_missing_pictures_have_a_placeholder(
    tmp_path: Path, tiny_catalogue: Path, result: dict[str, Any]
) -> None:
    result["query"] = "nowhere/<b>.jpg"
    result["results"][1]["image"] = "images/none.png"
    page = sheet(tmp_path, tiny_catalogue, result)
    assert "<div class=missing>no picture: query photo</div>" in page
    assert "<div class=missing>no picture: p0001</div>" in page
    assert "&lt;b&gt;.jpg" in page


def test_texts_are_escaped(tmp_path: Path, tiny_catalogue: Path, result: dict[str, Any]) -> None:
    for hit in result["results"]:
        hit["description"] = SCRIPT
        hit["product_id"] = SCRIPT
    result["results"][1]["image"] = "none.png"
    page = sheet(tmp_path, tiny_catalogue, result)
    assert "<script" not in page
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &amp; &quot;quoted&quot;" in page


def test_file_name_that_is_not_utf8_is_shown_as_far_as_it_can_be(
    tmp_path: Path, tiny_catalogue: Path, result: dict[str, Any]
) -> None:
    result["query"] = "photos/caf\udce9.jpg"
    assert "caf?.jpg" in sheet(tmp_path, tiny_catalogue, result)


def test_failed_queries_are_left_out_and_not_counted(
    tmp_path: Path, tiny_catalogue: Path, result: dict[str, Any]
) -> None:
    results = tmp_path / "results.jsonl"
    failed = {"query": "broken.jpg", "error": "image: is empty."}
    lines = [json.dumps(record) for record in (failed, result, failed)]
    results.write_text("\n".join(lines))
    output = tmp_path / "sheet.html"
    assert write_contact_sheet(results, tiny_catalogue, output) == 1
    assert output.read_text(encoding="utf-8").count("<section>") == 1


def test_line_separator_in_a_description_does_not_end_a_record(
    tmp_path: Path, tiny_catalogue: Path, result: dict[str, Any]
) -> None:
    result["results"][0]["description"] = "one\u2028two\x85three"
    results = tmp_path / "results.jsonl"
    results.write_text(json.dumps(result, ensure_ascii=False), encoding="utf-8")
    assert write_contact_sheet(results, tiny_catalogue, tmp_path / "sheet.html") == 1


@pytest.mark.parametrize(
    "change",
    [
        {"query": 3},
        {"query": None},
        {"results": None},
        {"results": [3]},
        {"results": [{}]},
        {"results": [{"rank": 1, "product_id": "p", "image": "i", "description": "d"}]},
    ],
)
def test_record_that_is_no_search_result_is_refused(
    tmp_path: Path, tiny_catalogue: Path, result: dict[str, Any], change: dict[str, Any]
) -> None:
    with pytest.raises(CatalogueError, match=r"no search result .*beauty-search --json"):
        sheet(tmp_path, tiny_catalogue, {**result, **change})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("rank", "<b>"), ("similarity", "high"), ("description", None), ("product_id", 5)),
        *(("group_size", "3"), ("group_size", 1.5)),
    ],
)
def test_field_of_another_type_is_refused(
    tmp_path: Path, tiny_catalogue: Path, result: dict[str, Any], field: str, value: object
) -> None:
    result["results"][0][field] = value
    with pytest.raises(CatalogueError, match="no search result"):
        sheet(tmp_path, tiny_catalogue, result)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("record", [3, None, [], "text"])
def test_record_that_is_no_object_is_refused(
    tmp_path: Path, tiny_catalogue: Path, record: object
) -> None:
    with pytest.raises(CatalogueError, match="no search result"):
        sheet(tmp_path, tiny_catalogue, record)


@pytest.mark.parametrize("content", [b"{", b'{"query": "a"\n}', b"\xff\xfe"])
def test_results_that_are_no_json_lines_are_refused_by_name(
    tmp_path: Path, tiny_catalogue: Path, content: bytes
) -> None:
    (tmp_path / "results.jsonl").write_bytes(content)
    with pytest.raises(CatalogueError, match=r"Cannot read the results .*results\.jsonl"):
        write_contact_sheet(tmp_path / "results.jsonl", tiny_catalogue, tmp_path / "sheet.html")
    assert not (tmp_path / "sheet.html").exists()


def test_the_challenge_s_ground_truth_is_taken_as_it_lies(
    tmp_path: Path, tiny_catalogue: Path, result: dict[str, Any]
) -> None:
    folder = tmp_path / "PF"
    folder.mkdir()
    (folder / "training_public.csv").write_text("Image ID,Product Title\n")
    page = sheet(tmp_path, folder, result)
    assert "No ground truth was given" in page
    (folder / "val.csv").write_text("Validation Image ID,Training Image ID\nq00,p0300,p0200\n")
    Image.new("RGB", (8, 8)).save(folder / "q00.jpg")
    page = sheet(tmp_path, folder, result)
    assert [product for product, classes, _ in items(page) if "true" in classes] == [
        "p0200",
        "p0300",
    ]


def test_ground_truth_that_was_asked_for_must_be_there(
    tmp_path: Path, tiny_catalogue: Path, result: dict[str, Any]
) -> None:
    with pytest.raises(CatalogueError, match=r"Cannot read .*none\.csv"):
        sheet(tmp_path, tiny_catalogue, result, ground_truth=tmp_path / "none.csv")


def test_scores_and_the_neighbour_that_brought_it_stand_under_each_product(
    tmp_path: Path, tiny_catalogue: Path, result: dict[str, Any]
) -> None:
    brought = result["results"][1]
    brought["cosines"] = {"tiny_a": 0.91234, "tiny_<b>": -0.25}
    brought["text"]["seed_product_id"] = "p0000"
    page = sheet(tmp_path, tiny_catalogue, result)
    (item,) = re.findall(r'<li class="new true">(.*?)</li>', page, re.DOTALL)
    assert re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", item) == [
        ("similarity", "3.2500"),
        ("tiny_a", "0.912"),
        ("tiny_&lt;b&gt;", "-0.250"),
        ("text, #1 p0000", "0.834"),
    ]


def test_words_that_were_read_stand_below_the_photo_and_their_similarity_below_each_product(
    tmp_path: Path, tiny_catalogue: Path, result: dict[str, Any]
) -> None:
    result["read_lines"] = [{"text": "NUXE <b>"}, {"text": "Body Oil"}]
    result["results"][1]["words"] = {"cosine": 0.5714, "matched": []}
    page = sheet(tmp_path, tiny_catalogue, result)
    assert "<p>read: NUXE &lt;b&gt; · Body Oil</p>" in page
    (item,) = re.findall(r'<li class="new true">(.*?)</li>', page, re.DOTALL)
    assert "<dt>words</dt><dd>0.571</dd>" in item


def test_text_neighbour_that_stood_in_the_initial_ranking_too_keeps_its_evidence(
    tmp_path: Path, tiny_catalogue: Path, result: dict[str, Any]
) -> None:
    result["initial_results"].append(match(3, "p0001", tiny_catalogue))
    page = sheet(tmp_path, tiny_catalogue, result)
    assert ("p0001", "true", "") in items(page)
    assert page.count("<dt>text, #1") == 1


def test_failure_midway_leaves_the_page_that_was_there(
    tmp_path: Path, tiny_catalogue: Path, result: dict[str, Any], tiny_repository: Path
) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "sheet.html").write_text("from yesterday")
    file = tmp_path / "results.jsonl"
    file.write_text(json.dumps({**result, "models": [{"name": "tiny_a", "digest": "other"}]}))
    output = tmp_path / "made" / "sheet.html"
    with pytest.raises(ModelRepositoryError, match="another tiny_a"):
        write_contact_sheet(file, tiny_catalogue, output, model_repository=tiny_repository)
    assert [path.read_text() for path in output.parent.iterdir()] == ["from yesterday"]
