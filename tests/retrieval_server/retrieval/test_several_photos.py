"""Several photos of one thing make one query."""

import itertools

import numpy as np
import pytest

from retrieval_server.retrieval.several_photos import mean_query

DIMENSIONS = (24, 40)


@pytest.fixture
def photos():
    generator = np.random.default_rng(5)

    def query():
        vectors = [generator.normal(size=dimension) for dimension in DIMENSIONS]
        return tuple((v / np.linalg.norm(v)).astype(np.float32) for v in vectors)

    return [query() for _ in range(4)]


def test_the_mean_has_unit_norm_and_points_between_the_photos(photos):
    for backbone, mean in enumerate(mean_query(photos)):
        expected = np.mean([photo[backbone].astype(np.float64) for photo in photos], axis=0)
        expected /= np.linalg.norm(expected)
        assert mean.dtype == np.float32
        assert mean.shape == (DIMENSIONS[backbone],)
        np.testing.assert_allclose(mean, expected, atol=1e-7)


def test_the_order_of_the_photos_changes_no_bit(photos):
    expected = [mean.tobytes() for mean in mean_query(photos)]
    for order in itertools.permutations(photos):
        assert [mean.tobytes() for mean in mean_query(order)] == expected


def test_one_photo_stays_as_it_is(photos):
    assert mean_query(photos[:1]) is photos[0]


def test_a_photo_without_descriptor_does_not_count(photos):
    zero = tuple(np.zeros(dimension, np.float32) for dimension in DIMENSIONS)
    for mean, single in zip(mean_query([zero, photos[0]]), photos[0], strict=True):
        np.testing.assert_allclose(mean, single, atol=1e-7)
    assert not any(mean.any() for mean in mean_query([zero, zero]))


def test_opposite_photos_cancel_out_to_zero(photos):
    opposite = tuple(-descriptor for descriptor in photos[0])
    assert not any(mean.any() for mean in mean_query([photos[0], opposite]))
