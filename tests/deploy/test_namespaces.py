"""A second deployment in another namespace shares nothing with the first."""

import json
import re

import promql_parser as promql
import pytest

from deploy.policies.namespaces import reads_only
from deploy.policies.registry import findings
from deploy.policies.rendering import Manifests, manifests, overlays
from tests.support.deploy.defects import ALL, INSIDE

HASH = re.compile(r"-[0-9a-z]{10}(?=\")")  # of a generated ConfigMap
# Where the project's name, which is also the usual namespace, stands for the project.
PROJECT = re.compile(
    r'part-of": "beauty-retrieval"|"beauty-retrieval\.(alerts|recording|json)"|'
    r'(tags\\": \[\\n  \\|commonName": )"beauty-retrieval\\?"|'
    r'"name": "beauty-retrieval"|beauty-retrieval(?=[/-])'
)


def texts(rendered: Manifests) -> list[str]:
    """The objects as JSON, without the hashes of generated names."""
    return [HASH.sub("", json.dumps(each, sort_keys=True)) for each in rendered.objects]


@pytest.mark.parametrize("parts", [ALL, INSIDE, ("tracing",)], ids="+".join)
@pytest.mark.parametrize("overlay", overlays())
def test_another_namespace_has_no_trace_of_the_first(overlay: str, parts: tuple[str, ...]) -> None:
    first = manifests(overlay, parts, namespace="shop-one")
    second = manifests(overlay, parts, namespace="shop-two")

    assert findings(second) == []
    assert texts(second) == [each.replace("shop-one", "shop-two") for each in texts(first)]
    left = [text for each in texts(second) if "beauty-retrieval" in (text := PROJECT.sub("", each))]
    assert left == []


@pytest.mark.parametrize(
    ("expression", "is_own"),
    [
        ('beauty_ready{namespace="ours"} == 0', True),
        ("beauty_ready == 0", False),
        ('beauty_ready{namespace!="ours"}', False),
        ('beauty_ready{namespace=~"ours"}', False),
        ('absent(beauty_ready{namespace="ours"})', True),
        ('time() - min by (namespace) (built{namespace="ours"})', True),
        ('rate(a{namespace="ours"}[5m]) / rate(b[5m])', True),
        ('sum by (namespace, x) (a{namespace="ours"}) / sum by (namespace, x) (b)', True),
        ('sum(a{namespace="ours"}) / sum(b)', False),
        ('a{namespace="ours"} / (sum by (x) (b))', False),
        ('a{namespace="ours"} or b', False),
        ('a{namespace="ours"} or b{namespace="ours"}', True),
        ('histogram_quantile(0.9, sum by (namespace, le) (a{namespace="ours"}))', True),
        ("vector(1)", None),
    ],
)
def test_a_query_reads_one_namespace_if_every_series_of_its_result_is_of_it(
    expression: str, is_own: bool | None
) -> None:
    assert reads_only(promql.parse(expression), "ours") is is_own
