"""Fused similarity, eq. (8)."""

import pytest

from retrieval_server.exact_search.similarity import fused_similarity


def test_two_cosines_fuse_to_the_product_of_the_paper():
    # DenseNet201 with α = 3, SE-ResNet152 with α = 1: (1 + 3 · 0.5)(1 + 0.2) = 3.
    assert fused_similarity([0.5, 0.2], [3, 1]) == pytest.approx(3.0, abs=1e-15)


def test_negative_factors_are_taken_as_they_are():
    assert fused_similarity([-0.5, -0.5], [3, 3]) == 0.25
    assert fused_similarity([-0.5, 0.5], [3, 1]) == -0.75


def test_alpha_zero_switches_a_backbone_off():
    assert fused_similarity([0.9, 0.4], [0, 1]) == fused_similarity([-0.9, 0.4], [0, 1]) == 1.4
