"""Searches by several photos of the same thing over a real gRPC server."""

import itertools

import grpc
import pytest

from retrieval_server.index.bundle import IndexBundle
from retrieval_server.models.preprocessing import decode_image
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.several_photos import MAX_PHOTOS, mean_query
from tests.support.search_calls import photo
from tests.support.served import Served


def test_the_query_is_the_mean_of_the_photos_in_any_order(
    shared: Served, bundle: IndexBundle
) -> None:
    photos = [photo(number) for number in (1, 4, 6)]
    retriever = Retriever(bundle, shared.engine)
    described = [
        shared.result(retriever.encode(decode_image(data, bundle.profile.side))) for data in photos
    ]
    mean = mean_query(described)
    expected = shared.search(
        descriptors={
            "by_model": {
                model: {"values": values.tolist()}
                for model, values in zip(bundle.profile.models, mean, strict=True)
            }
        }
    )
    for first, *more in itertools.permutations(photos):
        answer = shared.search(image=first, more_images=more)
        assert answer.results == expected.results
        assert answer.initial_results == expected.initial_results
        assert answer.timings.decode_us > 0


def test_the_same_photo_twice_is_that_photo(shared: Served) -> None:
    once, twice = shared.search(image=photo()), shared.search(image=photo(), more_images=[photo()])
    assert [m.product_id for m in twice.results] == [m.product_id for m in once.results]
    similarities = [match.similarity for match in once.results]
    assert [m.similarity for m in twice.results] == pytest.approx(similarities, rel=1e-6)


def test_most_photos_are_accepted_and_one_more_is_refused(shared: Served) -> None:
    more = [photo(number) for number in range(1, MAX_PHOTOS)]
    assert len(shared.search(image=photo(), more_images=more).results) == 7
    error = shared.refused(image=photo(), more_images=[*more, photo(9)])
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith(f"more_images: make {MAX_PHOTOS + 1} photos")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([b"no image"], "more_images[0]: "),
        ([photo(1), b""], "more_images[1]: "),
        ([photo(1), bytes(100_001)], "more_images[1]: has 100,001 bytes"),
    ],
)
def test_the_photo_at_fault_is_named(shared: Served, more: list[bytes], message: str) -> None:
    error = shared.refused(image=photo(), more_images=more)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith(message)


@pytest.mark.parametrize("query", [{"product_id": "p0000"}, {"words": "nuxe"}, {}])
def test_further_photos_need_a_first_one(shared: Served, query: dict[str, str]) -> None:
    error = shared.refused(more_images=[photo()], **query)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith("more_images: need an image")
