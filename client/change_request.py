"""Makes the messages that change the catalogue."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeAlias

from client.access import file_bytes
from client.changes import CatalogueProduct, Upserted
from client.errors import InvalidQueryError, RetrievalError
from client.sendable import sendable_text
from retrieval_server.v1 import retrieval_pb2 as pb

UPSERTS_AT_ONCE = 64  # in one stream: a server closes connections that are minutes old


UpsertBatch: TypeAlias = deque[pb.UpsertRequest | Upserted]
"""Products without an outcome: the request of each, or why it cannot be sent."""


def upsert_batches(products: Iterable[CatalogueProduct]) -> Iterator[UpsertBatch]:
    """The requests for some products, a stream at a time.

    Args:
        products: the products.

    Yields:
        A stream's products.
    """
    products = iter(products)
    while batch := list(islice(products, UPSERTS_AT_ONCE)):
        yield deque(map(_request_or_refusal, batch))


def requests_of(batch: UpsertBatch) -> list[pb.UpsertRequest]:
    """The requests that a batch sends."""
    return [each for each in batch if isinstance(each, pb.UpsertRequest)]


def _request_or_refusal(product: CatalogueProduct) -> pb.UpsertRequest | Upserted:
    try:
        return upsert_request(product)
    except RetrievalError as error:
        return Upserted.refused(product.product_id, str(error))


def upsert_request(product: CatalogueProduct) -> pb.UpsertRequest:
    """Make the request that adds or replaces a product.

    Args:
        product: the product.

    Raises:
        InvalidQueryError: if it has neither image nor descriptors, or a text is no valid Unicode.
        UnreadableFileError: if its image cannot be read.
    """
    request = pb.UpsertRequest(
        product_id=sendable_text("product_id", product.product_id),
        description=sendable_text("description", product.description),
        image_path=sendable_text("image_path", product.image_path),
        attributes={
            sendable_text("attributes", name): sendable_text("attributes", value)
            for name, value in product.attributes.items()
        },
    )
    if product.image is not None:
        image = product.image
        request.image = image if isinstance(image, bytes) else file_bytes(image)
    elif product.descriptors is not None:
        for model, values in product.descriptors.items():
            request.descriptors.by_model[model].values.extend(values)
    else:
        raise InvalidQueryError(f"The product {product.product_id!r} needs image or descriptors.")
    return request
