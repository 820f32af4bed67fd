"""Growth: what is appended equals the join of all descriptions under the old IDF."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.text_index import append as module
from export.text_index.append import append_text_index
from export.text_index.build import TextIndexReport, build_text_index
from export.text_index.join import join
from export.text_index.neighbour_lists import group_rows, write_neighbour_lists
from export.text_index.pair_file import PairFile
from export.text_index.settings import TextSettings
from export.text_index.tfidf import append_counts, count_terms, read_term_counts
from retrieval_server.errors import IndexBundleError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.text.neighbours import TextIndex
from retrieval_server.text.tokens import TOKENISERS

FILES = [f"text_neighbours.{name}.npy" for name in ("indptr", "rows", "cosines")]
WORDS = ["red", "lip", "balm", "serum", "50ml", "loreal", "new", "rare", "x1"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join), max_size=12)


class OldBundle:
    """What an append reads of a bundle, with a textual index of any descriptions."""

    def __init__(
        self,
        folder: Path,
        descriptions: list[str],
        settings: TextSettings,
        report: TextIndexReport | None = None,
    ) -> None:
        """Without the report of an earlier build, the textual index is built in the folder."""
        if report is None:
            report = build_text_index(descriptions, settings, folder, ignore)
        self.folder = folder
        self.descriptions = descriptions
        self.manifest = SimpleNamespace(text=settings.to_json() | report.to_json())
        self.text_index = TextIndex(folder)

    def __len__(self) -> int:
        return len(self.descriptions)

    def product(self, row: int) -> SimpleNamespace:
        return SimpleNamespace(description=self.descriptions[row])


def ignore(_: int) -> None:
    """No progress to report."""


def write_union(old: list[str], new: list[str], threshold: float, folder: Path) -> None:
    """Join all descriptions at once, under the IDF of the old ones."""
    tokeniser = TOKENISERS["strip-accents-2"]
    vectors = append_counts(count_terms(old, tokeniser), new, tokeniser).vectors()
    groups = group_rows(vectors)
    with PairFile(folder) as found:
        join(vectors[groups.first], threshold, found, ignore)
        write_neighbour_lists(folder, groups, found, len(old) + len(new))


@given(TEXTS, TEXTS, st.sampled_from([0.1, 0.4, 0.6, 0.9]))
def test_append_equals_the_join_of_the_union_under_the_old_idf(
    tmp_path_factory: pytest.TempPathFactory, old: list[str], new: list[str], threshold: float
) -> None:
    folders = [tmp_path_factory.mktemp(name) for name in ("old", "appended", "union")]
    settings = TextSettings(threshold=threshold, language_filter="none")
    report = append_text_index(OldBundle(folders[0], old, settings), new, folders[1], ignore)
    write_union(old, new, threshold, folders[2])
    for name in FILES:
        assert (folders[1] / name).read_bytes() == (folders[2] / name).read_bytes(), name
    assert report.documents == sum(1 for text in old + new if text)
    assert report.sizes.neighbours == TextIndex(folders[2]).pair_count


def test_append_of_a_larger_catalogue_equals_the_union_in_several_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_ROWS", 100)
    rng = np.random.default_rng(0)
    words = [f"w{number}" for number in range(300)]
    rarity = 1 / np.arange(20, 320)
    texts = [
        " ".join(rng.choice(words, 5, p=rarity / rarity.sum())) + f" f{rng.integers(90)}" * 3
        for _ in range(1_500)
    ]
    for name in ("old", "appended", "union"):
        (tmp_path / name).mkdir()
    settings = TextSettings(threshold=0.4, language_filter="none")
    bundle = OldBundle(tmp_path / "old", texts[:1_200], settings)
    finished: list[int] = []
    report = append_text_index(bundle, texts[1_200:], tmp_path / "appended", finished.append)
    write_union(texts[:1_200], texts[1_200:], 0.4, tmp_path / "union")
    assert report.sizes.neighbours > 1_500
    assert sum(finished) == 1_500
    for name in FILES:
        assert (tmp_path / "appended" / name).read_bytes() == (
            tmp_path / "union" / name
        ).read_bytes(), name


def test_appending_twice_equals_appending_at_once(tmp_path: Path) -> None:
    texts = ["red lip balm", "red lip", "serum", "red balm rare", "rare serum", "red lip balm"]
    folders = [tmp_path / name for name in ("old", "once", "first", "twice")]
    for folder in folders:
        folder.mkdir()
    settings = TextSettings(threshold=0.3)
    old = OldBundle(folders[0], texts[:2], settings)
    append_text_index(old, texts[2:], folders[1], ignore)
    report = append_text_index(old, texts[2:4], folders[2], ignore)
    first = OldBundle(folders[2], texts[:4], settings, report)
    append_text_index(first, texts[4:], folders[3], ignore)
    for name in FILES:
        assert (folders[1] / name).read_bytes() == (folders[3] / name).read_bytes(), name


def test_bundle_of_the_index_build_takes_new_descriptions(tiny_index: Path, tmp_path: Path) -> None:
    bundle = IndexBundle(tiny_index / (tiny_index / "current").read_text().strip())
    description = bundle.product(0).description
    report = append_text_index(
        bundle, [description, "Garnier champú para cabello dañado"], tmp_path, ignore
    )
    appended = TextIndex(tmp_path)
    rows, cosines = appended.neighbours(len(bundle))
    assert (rows[0], cosines[0]) == (0, 1.0)
    assert set(rows[1:]) == set(bundle.text_index.neighbours(0)[0])
    assert len(appended.neighbours(len(bundle) + 1)[0]) == 0
    assert (report.documents, report.left_out) == (bundle.manifest.documents + 1, {"es": 1})
    assert report.idf_documents == bundle.manifest.documents
    assert read_term_counts(tmp_path, report.idf_documents).counts.shape[0] == len(appended)


def test_nothing_is_appended_to_lists_that_were_cut(tmp_path: Path) -> None:
    settings = TextSettings(max_neighbours=1)
    bundle = OldBundle(tmp_path, ["lip balm"] * 3, settings)
    with pytest.raises(IndexBundleError, match="were cut at 1"):
        append_text_index(bundle, ["lip balm"], tmp_path, ignore)


def test_bundle_from_before_the_counts_is_refused(tmp_path: Path) -> None:
    bundle = OldBundle(tmp_path, ["lip balm"] * 3, TextSettings())
    bundle.manifest.text = {"threshold": 0.6}
    with pytest.raises(IndexBundleError, match=r"'tokeniser'.*beauty-export index"):
        append_text_index(bundle, ["lip balm"], tmp_path, ignore)
