"""What ``make bench-search`` compares with, its second database, and the picture of the levels."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.descriptor_generator import (
    FIRST,
    KINDS,
    SECOND,
    DescriptorGenerator,
    calibration_of,
)
from benchmarks.level_picture import PICTURE, picture
from benchmarks.search_database import ALPHA, MODELS, TOP_K, write_descriptors
from benchmarks.search_reference import best_in_order, hits, near_the_best, reference_similarities
from retrieval_server.exact_search.scan import ScanSearch
from retrieval_server.index.descriptors import open_descriptors

ROWS = 600
DIMENSIONS = list(MODELS.values())


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DescriptorGenerator]:
    folder = tmp_path_factory.mktemp("second")
    generator = DescriptorGenerator(ROWS, DIMENSIONS, calibration_of(SECOND))
    write_descriptors(folder, generator, np.dtype(np.float32))
    return folder, generator


def matrices_of(folder: Path) -> list[np.ndarray]:
    return [open_descriptors(folder, model) for model in MODELS]


def test_a_fifth_of_the_second_database_is_copies_of_the_same_bits(
    second: tuple[Path, DescriptorGenerator],
) -> None:
    folder, generator = second
    copies, sources = generator.copies()

    assert len(copies) == ROWS // 5
    assert np.bincount(sources).max() > TOP_K
    for matrix in matrices_of(folder):
        assert matrix[copies].tobytes() == matrix[sources].tobytes()
        assert len(np.unique(matrix, axis=0)) == ROWS - len(copies)
    assert generator.products()[copies].tolist() == generator.products()[sources].tolist()


def test_a_quarter_of_the_cosines_of_one_backbone_of_the_second_database_is_negative(
    second: tuple[Path, DescriptorGenerator],
) -> None:
    rectified, signed = matrices_of(second[0])
    half = ROWS // 2

    assert rectified.min() == 0
    negative = (signed[:half] @ signed[half:].T < 0).mean()
    assert 0.2 < negative < 0.3


def test_the_second_database_has_a_flatter_spectrum_and_heavier_tails_than_the_first(
    second: tuple[Path, DescriptorGenerator],
) -> None:
    flatness, tails = {}, {}
    first = DescriptorGenerator(ROWS, DIMENSIONS, calibration_of(FIRST)).descriptors(0, ROWS)
    for name, (rectified, _) in ((FIRST, first), (SECOND, matrices_of(second[0]))):
        some = rectified[:, ::4]
        deviations = some - some.mean(axis=0)
        energy = np.linalg.eigvalsh(deviations.T @ deviations)
        flatness[name] = energy[:-16].sum() / energy.sum()
        tails[name] = np.median((deviations**4).mean(axis=0) / (deviations**2).mean(axis=0) ** 2)

    assert flatness[SECOND] > flatness[FIRST] + 0.02
    assert tails[SECOND] > 1.5 * tails[FIRST]


def test_equal_rows_have_equal_similarities_in_the_reference_wherever_they_are(
    second: tuple[Path, DescriptorGenerator],
) -> None:
    folder, generator = second
    matrices, (copies, sources) = matrices_of(folder), generator.copies()
    query = [matrix[0] for matrix in generator.queries("photo", 1)]

    together = reference_similarities(matrices, query, np.arange(ROWS))
    alone = [reference_similarities(matrices, query, np.array([row]))[0] for row in range(9)]

    assert together[copies].tolist() == together[sources].tolist()
    assert together[:9].tolist() == alone


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_finds_what_a_search_of_every_row_finds(
    second: tuple[Path, DescriptorGenerator], kind: str
) -> None:
    folder, generator = second
    matrices = matrices_of(folder)
    for vectors in zip(*generator.queries(kind, 5), strict=True):
        query = list(vectors)
        fused = np.prod(
            [1 + a * (m @ q) for a, m, q in zip(ALPHA, matrices, query, strict=True)], axis=0
        ).astype(np.float32)

        near = near_the_best(fused, np.arange(ROWS))
        rows, exact = best_in_order(near, reference_similarities(matrices, query, near))

        ranking = ScanSearch(matrices).rank_all(query, ALPHA, TOP_K)
        assert rows.tolist() == ranking.rows.tolist()
        assert exact == pytest.approx(ranking.similarities, abs=1e-12)


def test_another_copy_is_a_hit_once_for_each_place_in_the_ranking() -> None:
    wanted = [3.0, 2.0, 2.0, 1.0]

    assert hits([2.0, 2.0, 3.0, 1.0], wanted) == 4
    assert hits([2.0, 2.0, 2.0, 1.0], wanted) == 3
    assert hits([], wanted) == 0


def test_the_picture_of_the_levels_shows_what_they_store() -> None:
    assert PICTURE.read_text() == picture(), "run: make pictures"
