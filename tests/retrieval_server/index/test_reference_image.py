"""A known answer: an engine that computes other descriptors than the index's does not serve it."""

import asyncio
import hashlib

import numpy as np
import pytest

from retrieval_server.engines.create_engine import create_engine
from retrieval_server.errors import IndexBundleError, ModelMismatchError
from retrieval_server.index.publish import open_index
from retrieval_server.index.reference_image import (
    check_reference,
    open_reference,
    reference_image,
    write_reference,
)
from retrieval_server.retrieval.retriever import Retriever


def check(folder, served):
    check_reference(folder, open_reference(folder, ["m"]), {"m": served})


def unit(*values):
    vector = np.array([values], dtype=np.float64)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def test_the_image_is_the_same_on_every_machine():
    assert reference_image(64).shape == (64, 64, 3)
    digest = hashlib.sha256(reference_image(320).tobytes()).hexdigest()
    assert digest == "1d9b1a3551f7b0f1aa47eb9111a5710ead5b36fab0a1d897223608e8019bbfa8"


def test_the_engine_an_index_was_built_with_passes(tiny_index, tiny_profile, tiny_repository):
    engine = create_engine("embedded", tiny_repository, "tiny", workers=1, threads_per_image=1)

    asyncio.run(Retriever(open_index(tiny_index), engine).check_engine())


def test_a_rounding_of_another_cpu_passes(tmp_path):
    write_reference(tmp_path, {"m": unit(1, 2, 3)})

    check(tmp_path, unit(1, 2, 3.0001))


def test_an_all_zero_descriptor_equals_itself_only(tmp_path):
    write_reference(tmp_path, {"m": np.zeros((1, 3), np.float32)})

    check(tmp_path, np.zeros((1, 3), np.float32))
    with pytest.raises(ModelMismatchError, match="cosine is 0"):
        check(tmp_path, unit(1, 2, 3))


@pytest.mark.parametrize(
    ("served", "problem"),
    [
        (unit(1, 2, 3.2), r"their cosine is 0\.99\d+, at least 0\.99999 is needed"),
        (unit(1, 2, 3.09), r"their cosine is 0\.9999\d+, at least"),  # as far off as float16
        (unit(1, 2), "it gives 2 values instead of 3"),
        (np.full((1, 3), np.nan, np.float32), "their cosine is nan"),
    ],
)
def test_other_descriptors_are_refused_by_name(tmp_path, served, problem):
    write_reference(tmp_path, {"m": unit(1, 2, 3)})

    with pytest.raises(ModelMismatchError, match=f"The engine's m does not compute .*{problem}"):
        check(tmp_path, served)


def test_an_index_without_a_reference_image_is_damaged(tmp_path):
    with pytest.raises(IndexBundleError, match=r"canary\.m\.npy is missing"):
        check(tmp_path, unit(1, 2, 3))
