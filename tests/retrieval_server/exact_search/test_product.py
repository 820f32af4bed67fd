"""The product with which rows are encoded: exact to its bound, each row by itself."""

from itertools import pairwise

import numpy as np
import pytest

from retrieval_server.exact_search.kernels.inner_products import square_sums
from retrieval_server.exact_search.kernels.product import BLOCK, Panels, product
from retrieval_server.exact_search.levels.rotation import product_error
from tests.support.made_up_databases import clustered_vectors, encoded, grown

SHAPES = [
    (1, 1, 1),
    (6, 256, 64),
    (7, 257, 65),
    (300, 40, 200),
    (13, 1000, 63),
    (5, 0, 3),
    (0, 9, 9),
]


def matrices(rows: int, terms: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(rows)
    left = random.standard_normal((rows, terms), np.float32)
    return left, random.standard_normal((terms, columns), np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_product_is_exact_to_its_bound(shape: tuple[int, int, int]) -> None:
    left, right = matrices(*shape)
    found = product(left, Panels.of(right))
    exact = left.astype(np.float64) @ right.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1)[:, None] * np.linalg.norm(right, axis=0)
    assert (found.shape, found.dtype) == (exact.shape, np.float32)
    assert (np.abs(found - exact) <= product_error(shape[1]) * lengths).all()


def test_product_of_small_integers_is_that_of_numpy() -> None:
    left, right = (np.rint(3 * matrix) for matrix in matrices(20, 3 * BLOCK + 5, 130))
    assert (product(left, Panels.of(right)) == left @ right).all()


def test_a_rows_product_does_not_depend_on_the_other_rows_or_columns() -> None:
    left, right = matrices(530, 900, 200)
    panels = Panels.of(right)
    whole = product(left, panels)
    for rows in (slice(0, 1), slice(3, 20), slice(250, 530)):
        assert (product(left[rows], panels) == whole[rows]).all()
    assert (product(left, panels.first(64)) == whole[:, :64]).all()


def test_sides_in_any_order_of_memory_give_the_same_product() -> None:
    left, right = matrices(9, 300, 70)
    expected = product(left, Panels.of(right))
    apart = np.asfortranarray(left)
    assert (product(apart, Panels.of(np.asfortranarray(right))) == expected).all()


def test_rows_have_the_same_codes_and_bounds_however_many_are_encoded_together() -> None:
    database = clustered_vectors(np.random.default_rng(0), 1000, 70)
    whole = encoded([database], [1.0])
    first = encoded([database], [1.0], fitted_rows=300, fit=whole.fit)
    for ends in ([300, 300, 1000], [*range(300, 310), 1000], [300, 811, 1000]):
        levels = grown(first, *([database[start:end]] for start, end in pairwise(ends)))
        assert levels.rectified == whole.rectified
        assert levels.outliers.tolist() == whole.outliers.tolist()
        for name, arrays in whole.arrays.items():
            assert (levels.arrays[name].codes == arrays.codes).all(), name
            assert (levels.arrays[name].bounds == arrays.bounds).all(), name


def test_square_sums_are_those_of_numpy() -> None:
    for columns in (1, 31, 32, 3968):
        matrix, _ = matrices(5, columns, 1)
        found = np.empty(5)
        square_sums(matrix, found)
        np.testing.assert_allclose(found, (matrix.astype(np.float64) ** 2).sum(axis=1), rtol=1e-13)
