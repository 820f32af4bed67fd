"""Pooling, eq. (1)-(2): worked by hand, and against a literal float64 transcription."""

import math

import numpy as np
import pytest
import torch

from export.models.pooling import (
    POOLINGS,
    attention_mask,
    build_pooling,
    l2_normalise,
    rmac_levels,
    threshold_margin,
)
from retrieval_server.errors import ProfileError


def grmac_by_the_paper(maps, p=1.0, released=False):
    """Eq. (1)-(2) with loops, one image at a time, in float64; (B, C, n, n) → (B, C)."""
    vectors = []
    for x in maps.astype(np.float64):
        channels, n, _ = x.shape
        mean_map = sum(x[k] for k in range(channels)) / channels
        low = mean_map.min()
        t = (((mean_map - low) ** p).sum() / n**2) ** (1 / p) + low
        v = np.zeros(channels)
        for level in ([1] if released else []) + [1, 2, 3]:
            side = math.floor(2 * n / (level + 1))
            for i in range(level):
                for j in range(level):
                    row, column = (
                        math.floor(math.floor(side / 2 - 1) + k * (n - side) / max(level - 1, 1))
                        - math.floor(side / 2 - 1)
                        for k in (i, j)
                    )
                    area = np.s_[row : row + side, column : column + side]
                    weight = (mean_map[area] > t).sum() / side**2
                    maximum = np.array([x[k][area].max() for k in range(channels)])
                    if released:
                        weight = 0 if weight <= 1 / 3 else weight
                        maximum = maximum / (np.linalg.norm(maximum) + 1e-6)
                    v += weight * maximum
        vectors.append(v)
    return np.stack(vectors)


def random_maps(seed, cells=10, channels=12, images=4):
    """Maps as a backbone gives them: a bright object on a dim background, some values negative."""
    rng = np.random.default_rng(seed)
    maps = rng.normal(0.2, 1, (images, channels, cells, cells))
    for image in maps:
        row, column = rng.integers(0, cells - 3, 2)
        image[:, row : row + 4, column : column + 4] += rng.uniform(1, 4)
    return maps.astype(np.float32)


def pooled(name, maps, p=None):
    pooling = build_pooling(name, maps.shape[2], p)
    return pooling(torch.from_numpy(maps)).numpy()


@pytest.mark.parametrize(
    ("cells", "levels"),
    [
        (15, [(15, (0,)), (10, (0, 5)), (7, (0, 4, 8))]),  # the paper's 1 + 4 + 9 regions
        (7, [(7, (0,)), (4, (0, 3)), (3, (0, 2, 4))]),
        (14, [(14, (0,)), (9, (0, 5)), (7, (0, 3, 7))]),  # not evenly spaced
        (10, [(10, (0,)), (6, (0, 4)), (5, (0, 2, 5))]),
    ],
)
def test_regions_lie_where_the_authors_code_puts_them(cells, levels):
    assert list(rmac_levels(cells)) == levels


def test_grmac_of_a_two_by_two_map_is_what_pencil_and_paper_give():
    # t = mean = 3; only the 6 exceeds it. Level 1: 1/4 · 6. Level 2: 1 · 6. Level 3, whose
    # offsets are 0, 0, 1: 1 · 6. Together 13.5.
    maps = np.array([[[[1, 2], [3, 6]]]], dtype=np.float32)

    assert pooled("grmac", maps) == pytest.approx(np.array([[13.5]]))


def test_the_released_variant_cuts_weights_up_to_a_third_and_counts_the_map_twice():
    # The whole map's weight 1/4 is cut, both times. The two single-cell regions at the 6 have
    # weight 1 and a maximum normalised to 1 (one channel).
    maps = np.array([[[[1, 2], [3, 6]]]], dtype=np.float32)

    assert pooled("grmac-released", maps) == pytest.approx(np.array([[2.0]]), abs=1e-5)

    # Two of four cells above the mean of 3.5: the whole map counts twice with weight 1/2.
    maps = np.array([[[[1, 2], [5, 6]]]], dtype=np.float32)
    assert pooled("grmac-released", maps) == pytest.approx(np.array([[2 * 0.5 + 2 + 3]]), abs=1e-5)


@pytest.mark.parametrize("cells", [7, 10, 14, 15])
@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 3.5])
@pytest.mark.parametrize("released", [False, True])
def test_grmac_equals_a_literal_transcription_of_the_paper(cells, p, released):
    maps = random_maps(seed=cells, cells=cells)
    name = "grmac-released" if released else "grmac"

    expected = grmac_by_the_paper(maps, p, released)

    assert np.abs(pooled(name, maps, p) - expected).max() <= 2e-6 * np.abs(expected).max()


def test_the_other_poolings_equal_their_definitions():
    maps = random_maps(seed=1)
    positive = np.maximum(maps.astype(np.float64), 1e-6)

    assert pooled("mac", maps) == pytest.approx(maps.max(axis=(2, 3)))
    assert pooled("spoc", maps) == pytest.approx(maps.mean(axis=(2, 3)), abs=1e-6)
    gem = (positive**3).mean(axis=(2, 3)) ** (1 / 3)
    assert pooled("gem", maps) == pytest.approx(gem, rel=1e-5)
    rmac = 0
    for side, offsets in rmac_levels(10):
        for top in offsets:
            for left in offsets:
                area = maps[:, :, top : top + side, left : left + side].max(axis=(2, 3))
                rmac = rmac + area / np.linalg.norm(area, axis=1, keepdims=True)
    assert pooled("rmac", maps) == pytest.approx(rmac, abs=1e-5)


@pytest.mark.parametrize("name", POOLINGS)
def test_a_descriptor_does_not_depend_on_the_rest_of_the_batch(name):
    maps = random_maps(seed=2, images=5)
    maps[1] *= 100  # a bright neighbour: the released code's minimum and mean would follow it

    together = pooled(name, maps)

    alone = np.concatenate([pooled(name, maps[i : i + 1]) for i in range(5)])
    assert together == pytest.approx(alone, rel=1e-6)  # torch's own rounding, no more


def test_a_flat_map_has_no_attention_and_stays_zero_when_normalised():
    maps = np.full((1, 6, 10, 10), 2.5, dtype=np.float32)

    vector = torch.from_numpy(pooled("grmac", maps))

    assert not attention_mask(torch.from_numpy(maps)).any()
    assert not vector.any()
    assert not l2_normalise(vector).any()


def test_a_cell_at_the_threshold_is_background():
    mean_is_two = torch.tensor([[[[1.0, 3.0], [2.0, 2.0]]]])

    assert attention_mask(mean_is_two).tolist() == [[[[0, 1], [0, 0]]]]
    assert threshold_margin(mean_is_two).item() == 0


def test_attention_does_not_see_a_constant_added_to_the_map():
    maps = torch.from_numpy(random_maps(seed=3))

    for p in (1.0, 2.0):
        assert torch.equal(attention_mask(maps, p), attention_mask(maps + 4, p))


def test_a_larger_p_keeps_less_of_the_map():
    maps = torch.from_numpy(random_maps(seed=4))

    kept = [attention_mask(maps, p).sum().item() for p in (0.5, 1.0, 2.0, 4.0)]

    assert kept == sorted(kept, reverse=True)
    assert kept[0] > kept[-1]


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_normalising_gives_unit_length_at_any_scale(scale):
    vectors = torch.from_numpy(random_maps(seed=5)[:, :, 0, 0] * scale)

    lengths = l2_normalise(vectors).double().norm(dim=1)

    assert lengths.numpy() == pytest.approx(np.ones(4), abs=1e-6)


def test_normalising_half_precision_does_not_overflow():
    vectors = torch.full((1, 1280), 39.0, dtype=torch.float16)  # squares sum to 1.9 million

    assert l2_normalise(vectors).float().norm().item() == pytest.approx(1, abs=1e-2)


def test_an_unknown_pooling_and_a_bad_exponent_say_what_there_is():
    with pytest.raises(ProfileError, match=r"Unknown pooling 'gemm'\. Choose one of: grmac, "):
        build_pooling("gemm", 10)
    with pytest.raises(ProfileError, match="p must be positive, got 0"):
        build_pooling("gem", 10, 0)
    with pytest.raises(ProfileError, match="1 × 1 cells has no regions at level 2"):
        build_pooling("grmac", 1)
