"""What Prometheus reads from a server that a test runs with ``metrics_port=0``."""

import urllib.request

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tests.support.patience import PATIENCE_S
from tests.support.served import Served


def scraped(served: Served) -> dict[str, Metric]:
    """The metrics by name, as they are now."""
    address = served.running.metrics_address
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=PATIENCE_S) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        text = answer.read().decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def exemplars(served: Served, sample: str, **labels: str) -> list[dict[str, str]]:
    """The labels of a sample's exemplars, as Prometheus reads them in the form of OpenMetrics."""
    address = served.running.metrics_address
    asked = urllib.request.Request(
        f"http://{address}/metrics", headers={"Accept": "application/openmetrics-text"}
    )
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        text = answer.read().decode()
    return [
        each.exemplar.labels
        for family in openmetrics(text)
        for each in family.samples
        if each.name == sample and each.exemplar and labels.items() <= each.labels.items()
    ]


def value(served: Served, sample: str, **labels: str) -> float | None:
    """The value of a sample; None if there is none."""
    found = [
        each.value
        for family in scraped(served).values()
        for each in family.samples
        if each.name == sample and each.labels == labels
    ]
    assert len(found) <= 1
    return found[0] if found else None
