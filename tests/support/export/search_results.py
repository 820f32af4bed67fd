"""Records of search results, as ``beauty-search --json`` prints them."""

from pathlib import Path
from typing import Any


def match(rank: int, product_id: str, catalogue: Path, **more: Any) -> dict[str, Any]:
    return {
        "rank": rank,
        "product_id": product_id,
        "image": f"images/{product_id}.{('png', 'jpg')[int(product_id[-1]) % 2]}",
        "description": f"description of {product_id}",
        "similarity": 5.25 - rank,
        **more,
    }
