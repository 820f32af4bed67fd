"""The loss of a version: the shares of an older version that a newer one no longer has."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from retrieval_server.errors import IndexBundleError, IndexLossError
from retrieval_server.index.loss import LostShare, loss_between, missing_products
from retrieval_server.storage.string_table import READ_ROWS, write_string_table

Products = dict[str, str]


@pytest.fixture
def version(tmp_path: Path):
    """Write the files of a version that are compared."""

    def write(name: str, products: Products, rejects: Sequence[str] = ()) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        write_string_table(folder, "ids", products.keys())
        write_string_table(folder, "descriptions", products.values())
        lines = [
            json.dumps(
                {"product_id": each, "image": f"{each}\u2028.jpg", "reason": "is empty."},
                ensure_ascii=False,
            )
            + "\n"
            for each in rejects
        ]
        (folder / "rejects.jsonl").write_text("".join(lines), encoding="utf-8")
        return folder

    return write


def described(*product_ids: str) -> Products:
    return dict.fromkeys(product_ids, "a balm")


@pytest.mark.parametrize(
    ("old", "new", "missing", "undescribed", "rejected"),
    [
        ((described(*"abcd"), ()), (described(*"abcd"), ()), 0, 0, 0),
        ((described(*"abcd"), ()), (described(*"abcdefgh"), ()), 0, 0, 0),
        ((described(*"abcd"), ()), (described(*"dxyz"), ()), 0.75, 0, 0),
        ((described(*"abcd"), ()), (described(*"ABCD"), ()), 1, 0, 0),
        ((described(*"abcd"), ()), (described("a"), "bcd"), 0.75, 0, 0.75),
        ((described(*"abcd"), "xyz"), (described(*"abcd"), "xyz"), 0, 0, 0),
        ((described(*"abcd"), "x"), (described(*"abcd"), "xyzv"), 0, 0, 3 / 8),
        (({"a": "balm", "b": " "}, ()), (dict.fromkeys("ab", "\u3000\n"), ()), 0, 0.5, 0),
        (({"a": "", "b": ""}, ()), (described("a", "b"), ()), 0, 0, 0),
        (({}, ()), (described("a"), ()), 0, 0, 0),
    ],
)  # fmt: skip
def test_each_share_is_counted_and_divided_by_hand(
    version, old, new, missing: float, undescribed: float, rejected: float
) -> None:
    loss = loss_between(version("old", *old), version("new", *new))
    assert [part.share for part in loss.shares] == [missing, undescribed, rejected]


def test_first_lost_product_and_image_are_named(version) -> None:
    loss = loss_between(version("old", described(*"abcd")), version("new", {"a": ""}, "bcd"))
    assert str(loss) == (
        "3 of 4 products are missing (75 %), the first: 'b'; "
        "1 of 4 products have lost their description (25 %), the first: 'a'; "
        "3 of 4 images can no longer be read (75 %), the first: b\u2028.jpg is empty"
    )


@pytest.mark.parametrize(
    ("lost", "max_loss", "is_refused"),
    [(1, 0.2, False), (2, 0.2, True), (1, 0.0, True), (0, 0.0, False), (5, 1.0, False)],
)
def test_bound_itself_is_allowed(version, lost: int, max_loss: float, is_refused: bool) -> None:
    left = "abcde"[lost:]
    loss = loss_between(version("old", described(*"abcde")), version("new", described(*left)))
    if not is_refused:
        loss.check(max_loss)
        return
    advice = rf"--max-loss {max_loss:g} allows: {lost} of 5 .* run: beauty-export publish \S+ new$"
    with pytest.raises(IndexLossError, match=advice):
        loss.check(max_loss)


@pytest.mark.parametrize("percent", range(101))
def test_share_of_whole_percents_is_not_above_the_same_bound(percent: int) -> None:
    assert LostShare("", percent, 100, "").share <= float(
        f"0.{percent:02d}" if percent < 100 else 1
    )


def test_nothing_is_compared_with_a_version_that_cannot_be_read(version, tmp_path: Path) -> None:
    new = version("new", described("a"))
    assert loss_between(tmp_path / "gone", new) is None
    old = version("old", described("a"))
    for damage in ("{\n", "[]\n", '{"product_id": "a"}\n'):
        (old / "rejects.jsonl").write_text(damage)
        assert loss_between(old, new) is None
        with pytest.raises(IndexBundleError, match=r"Cannot read .*rejects\.jsonl"):
            loss_between(new, old)


def test_missing_products_of_a_large_version_are_counted_exactly(version) -> None:
    ids = [f"p{number}é" for number in range(2 * READ_ROWS + 1)]
    old = version("old", described(*ids))
    assert missing_products(old, ids) == LostShare("products are missing", 0, len(ids), "")
    missing = missing_products(old, ids[:READ_ROWS])
    assert (missing.count, missing.first) == (READ_ROWS + 1, repr(ids[READ_ROWS]))
