"""The products of an index by their ids, as ``GetProducts`` gives them."""

from __future__ import annotations

from collections.abc import Collection

from retrieval_server.errors import QueryError
from retrieval_server.index.product import Product
from retrieval_server.index.searched_index import SearchedIndex
from retrieval_server.v1 import retrieval_pb2 as pb

MAX_PRODUCT_IDS = 1_000


def products_message(
    bundle: SearchedIndex, product_ids: Collection[str], request_id: str
) -> pb.GetProductsResponse:
    """What the catalogue says of some products, and which are not in the index.

    Args:
        bundle: the index.
        product_ids: the ids; one that is there several times counts once.
        request_id: id of the request.

    Raises:
        QueryError: if there is no id, or too many.
    """
    wanted = checked_ids(product_ids)
    rows = bundle.rows_of(wanted)
    products = bundle.products(rows.values())
    return pb.GetProductsResponse(
        products=[_product(products[rows[each]]) for each in wanted if each in rows],
        missing_ids=[each for each in wanted if each not in rows],
        index_version=bundle.version,
        request_id=request_id,
        change_position=bundle.change_position,
    )


def checked_ids(product_ids: Collection[str]) -> list[str]:
    """The ids of a request, each once, in their order.

    Args:
        product_ids: the ids; one that is there several times counts once.

    Raises:
        QueryError: if there is no id, or too many.
    """
    if not product_ids:
        raise QueryError("product_ids", "is empty. Give at least one id.")
    if len(product_ids) > MAX_PRODUCT_IDS:
        raise QueryError(
            "product_ids",
            f"has {len(product_ids):,} ids; at most {MAX_PRODUCT_IDS:,} are accepted.",
        )
    return list(dict.fromkeys(product_ids))


def _product(product: Product) -> pb.Product:
    return pb.Product(
        product_id=product.product_id,
        description=product.description,
        image=product.image,
        attributes=product.attributes,
    )
