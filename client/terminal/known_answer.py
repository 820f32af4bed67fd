"""The smoke test of a deployment: one search whose first result is known."""

import time
from pathlib import Path

from client.errors import SmokeTestError, UnavailableError
from client.results import SearchResult
from client.retrieval_client import RetrievalClient
from client.server_status import Example

PROPOSALS = 3  # the catalogue may change while one is searched for


def smoke_test_by_catalogue(client: RetrievalClient, catalogue: Path, wait_s: float) -> str:
    """Search for the image of a product that the server proposes; see ``smoke_test_by_photo``.

    Args:
        client: a client of the server to test.
        catalogue: folder that the catalogue's image paths are relative to.
        wait_s: seconds to wait for a server that is starting, or that waits for its models.

    Raises:
        SmokeTestError: if the server has no product with an image to propose, or another product
            comes first while this one is in the index.
        RetrievalError: if there is no answer.
    """
    deadline = time.monotonic() + wait_s
    status = client.wait_until_ready(wait_s) if wait_s > 0 else client.status()
    for _ in range(PROPOSALS - 1):
        try:
            return _search_for(status.example, client, catalogue, deadline)
        except SmokeTestError:
            proposed, status = status.example, client.status()
            if status.example == proposed:  # it was not deleted or replaced meanwhile
                raise
    return _search_for(status.example, client, catalogue, deadline)


def smoke_test_by_photo(
    client: RetrievalClient, photo: Path, expected_id: str, wait_s: float
) -> str:
    """Search for a catalogue image and check whether its product comes first.

    Args:
        client: a client of the server to test.
        photo: the image.
        expected_id: its product; others with the very same image may share rank 1.
        wait_s: seconds to wait for a server that is starting, or that waits for its models.

    Returns:
        What was found, as one line.

    Raises:
        SmokeTestError: if another product comes first, saying which.
        RetrievalError: if there is no answer.
    """
    result = _first_answer(client, photo, wait_s)
    best = result.results[0].similarity if result.results else 0.0
    firsts = [match.product_id for match in result.results if match.similarity == best]
    if expected_id not in firsts:
        raise SmokeTestError(_complaint(result, photo, expected_id))
    return (
        f"{expected_id} comes first of {len(result.results)} with similarity {best:.4f}, from "
        f"index {result.index_version} in {result.timings.total_us / 1000:.1f} ms"
    )


def _search_for(example: Example, client: RetrievalClient, catalogue: Path, deadline: float) -> str:
    if not example.product_id:
        raise SmokeTestError("The index of the server has no products to search for.")
    if not example.image:
        raise SmokeTestError(
            f"The server proposes {example.product_id}, which has no image: it was upserted with "
            "descriptors. Give PHOTO and --expect."
        )
    left_s = max(0.0, deadline - time.monotonic())
    return smoke_test_by_photo(client, catalogue / example.image, example.product_id, left_s)


def _first_answer(client: RetrievalClient, photo: Path, wait_s: float) -> SearchResult:
    """Search until there is an answer, or the server was unavailable for ``wait_s``.

    A busy server gets the client's time limit at least, to become less busy.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            wait_s = max(deadline - time.monotonic(), client.timeout_s)
            return client.search(photo, read_words=False, busy_wait_s=wait_s)  # by pixels alone
        except UnavailableError:  # gRPC's retries spaced the attempts
            if time.monotonic() >= deadline:
                raise


def _complaint(result: SearchResult, photo: Path, expected_id: str) -> str:
    if not result.results:
        return f"The search for {photo} found nothing in index {result.index_version}."
    first = result.results[0]
    rank = next((m.rank for m in result.results if m.product_id == expected_id), None)
    where = "is not among the results" if rank is None else f"has rank {rank}"
    return (
        f"The search for {photo} found {first.product_id} first; {expected_id} {where} "
        f"(index {result.index_version}). Is this the image that the catalogue has for "
        f"{expected_id}, and is that product in the index?"
    )
