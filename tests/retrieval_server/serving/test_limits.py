"""Each limit of a request is documented, and what is beyond it is refused with its status."""

import io
import re
from operator import attrgetter
from pathlib import Path

import grpc
import pytest
from PIL import Image

from retrieval_server.serving.calls.limits import LIMITS, Beyond, Limit, limits_message
from retrieval_server.serving.settings import Settings
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.paths import ROOT
from tests.support.patience import PATIENCE_S
from tests.support.search_calls import photo
from tests.support.served import Served, ServedBy

SETTINGS = Settings(index=Path("index"))
ROW = re.compile(r"^\| `(max_\w+)` \| .+ \| ([\d,]+) \| `?(\w+)`? \|$", re.MULTILINE)
BY_LOAD = {"max_concurrent_requests", "max_streams"}  # beyond them by other calls, see test_load


def test_the_table_of_the_limits_is_what_a_server_has() -> None:
    rows = ROW.findall((ROOT / "docs" / "limits.md").read_text(encoding="utf-8"))
    assert rows == [
        (limit.name, f"{limit.value(SETTINGS):,.0f}", limit.beyond.value) for limit in LIMITS
    ]


def test_a_server_tells_every_limit() -> None:
    assert {limit.name for limit in LIMITS} == set(pb.Limits.DESCRIPTOR.fields_by_name)
    assert {field.name for field, _ in limits_message(SETTINGS).ListFields()} == {
        limit.name for limit in LIMITS
    }


def nested(depth: int) -> pb.Filter:
    condition = pb.Filter(is_missing=pb.IsMissing(column="price"))
    for _ in range(depth - 1):
        condition = pb.Filter(none_of=pb.Filters(filters=[condition]))
    return condition


def image(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def any_of(count: int) -> pb.Filter:
    return pb.Filter(any_of=pb.Filters(filters=[nested(1)] * count))


BEYOND = {
    "max_image_bytes": lambda most: {"image": bytes(most + 1)},
    "max_image_pixels": lambda most: {"image": image(8_192, most // 8_192 + 1)},
    "max_image_side": lambda most: {"image": image(1, most + 1)},
    "max_photos": lambda most: {"image": photo(), "more_images": [photo()] * most},
    "max_request_bytes": lambda most: {"image": bytes(most)},
    "max_metadata_bytes": lambda most: {"product_id": "p0000"},  # and metadata
    "max_top_k": lambda most: {"product_id": "p0000", "top_k": most + 1},
    "max_alpha": lambda most: {"product_id": "p0000", "alpha": {"tiny_a": 1.1 * most}},
    "max_text_weight": lambda most: {"product_id": "p0000", "text_weight": 1.1 * most},
    "max_words_characters": lambda most: {"product_id": "p0000", "words": "x" * (most + 1)},
    "max_product_ids": lambda most: {},  # of another method
    "max_exclude_ids": lambda most: {"product_id": "p0000", "exclude_ids": ["x"] * (most + 1)},
    "max_filter_depth": lambda most: {"product_id": "p0000", "filter": nested(most + 1)},
    "max_filter_conditions": lambda most: {"product_id": "p0000", "filter": any_of(most + 1)},
    "max_filter_values": lambda most: {
        "product_id": "p0000",
        "filter": pb.Filter(
            one_of=pb.OneOf(column="brand", values=[pb.Value(text="x")] * (most + 1))
        ),
    },
    "max_group_by_characters": lambda most: {"product_id": "p0000", "group_by": "x" * (most + 1)},
}


BEYOND_IN_UPSERTS = {
    "max_image_bytes": lambda most: {"image": bytes(most + 1)},
    "max_image_pixels": lambda most: {"image": image(8_192, most // 8_192 + 1)},
    "max_image_side": lambda most: {"image": image(1, most + 1)},
    "max_id_characters": lambda most: {"product_id": "x" * (most + 1)},
    "max_description_characters": lambda most: {"description": "x" * (most + 1)},
    "max_value_characters": lambda most: {"attributes": {"brand": "x" * (most + 1)}},
}


def test_every_limit_is_tried() -> None:
    waits = {limit.name for limit in LIMITS if limit.beyond is Beyond.WAITS}
    tried = set(BEYOND) | set(BEYOND_IN_UPSERTS)
    assert {limit.name for limit in LIMITS} == tried | waits | BY_LOAD


def test_an_upsert_beyond_a_limit_is_refused_with_its_status_and_the_stream_goes_on(
    served_by: ServedBy, tiny_index_copy: Path
) -> None:
    with served_by(index=tiny_index_copy, writable=True, max_image_bytes=100_000) as served:
        limits = served.stub.GetStatus(pb.GetStatusRequest()).limits
        most = {name: getattr(limits, name) for name in BEYOND_IN_UPSERTS}
        fields = [beyond(most[name]) for name, beyond in BEYOND_IN_UPSERTS.items()]
        fields.append({"image_path": "x" * (limits.max_value_characters + 1)})
        usable = {"product_id": "a", "image": photo()}
        requests = [pb.UpsertRequest(**usable | each) for each in (*fields, {})]
        *refused, good = served.stub.Upsert(iter(requests), timeout=PATIENCE_S)
        assert (good.code, good.change_position) == (0, 1)
        for response, limit in zip(
            refused, [*most.values(), limits.max_value_characters], strict=True
        ):
            assert response.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
            assert f"{limit:,}" in response.message


@pytest.mark.parametrize(
    "limit", [each for each in LIMITS if each.name in BEYOND], ids=attrgetter("name")
)
def test_a_request_beyond_a_limit_is_refused_with_its_status_and_names_it(
    shared: Served, limit: Limit
) -> None:
    most = int(getattr(shared.stub.GetStatus(pb.GetStatusRequest()).limits, limit.name))
    error = beyond(shared, limit.name, most)
    assert error.code().name == limit.beyond.value
    assert any(f"{most:{form}}" in error.details() for form in (",", "", "g"))


def beyond(shared: Served, name: str, most: int) -> grpc.RpcError:
    """The error of a request that is beyond a limit."""
    if name == "max_product_ids":
        request = pb.GetProductsRequest(product_ids=["x"] * (most + 1))
        call = shared.stub.GetProducts.future(request, timeout=PATIENCE_S)
    else:
        request = pb.SearchRequest(**BEYOND[name](most))
        metadata = [("x-long", "x" * most)] if name == "max_metadata_bytes" else []
        call = shared.stub.Search.future(request, timeout=PATIENCE_S, metadata=metadata)
    error = call.exception()
    assert isinstance(error, grpc.RpcError)
    return error
