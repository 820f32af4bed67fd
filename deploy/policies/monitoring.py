"""Policy 14, on monitoring: exporters are scraped, and every alert says what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from deploy.policies.fields.values import seconds
from deploy.policies.rendering import Manifests, Object, name_of
from deploy.policies.tracing import traced
from deploy.policies.traffic import selects

RUNBOOKS = "ALERTS.md"  # of the folder deploy/
SHORTEST_RUNBOOK = 160  # characters of its text
WINDOW = re.compile(r"\[(\w+)\]")
SCRAPES_OF_A_WINDOW = 4  # one may fail, and a rate needs two
GRID_COLUMNS = 24  # of a dashboard of Grafana
UNITS = {  # of Grafana, by what the name of a metric has
    r"seconds": "s",
    r"_duration_us.* / 1e6": "s",
    r"_bytes\b": "bytes",
    r":ratio": "percentunit",
}
DASHBOARD_FIELDS = {"uid", "title", "schemaVersion", "templating", "time"}
ALERTED = {
    "readiness": r"beauty_ready\b.*== 0",
    "absence": r"absent\(",
    "errors": r"searches_failed:ratio",
    "the queue": r"queue_seconds",
    "the 99th percentile": r"p99",
    "the age of the index": r"index_age_seconds",
    "changes that searches do not see": r"change_lag_seconds",
    "a missing writer": r"replicas_unavailable",
    "certificates": r"certificate_expiry_timestamp",
    "restarts": r"container_status_restarts_total",
    "the autoscaler's limit": r"horizontalpodautoscaler_spec_max_replicas",
}


def monitored(rendered: Manifests) -> Iterator[str]:
    """14: every exporter is scraped, every alert has a severity and a runbook; see ``traced``."""
    yield from traced(rendered)
    if not rendered.of_kind("PodMonitor") and not rules(rendered):
        return
    yield from _scrape_findings(rendered)
    yield from _interval_findings(rendered)
    yield from _alert_findings(rendered)
    found = dashboards(rendered)
    if not found:
        yield "ConfigMap/beauty-retrieval-dashboard is missing"
    for name, dashboard in found.items():
        yield from (f"{name}: {problem}" for problem in _dashboard_findings(dashboard))


def rules(rendered: Manifests) -> list[Object]:
    """All rules, recording and alerting."""
    return [
        rule
        for each in rendered.of_kind("PrometheusRule")
        for group in each["spec"]["groups"]
        for rule in group["rules"]
    ]


def dashboards(rendered: Manifests) -> dict[str, Object]:
    """The dashboards that Grafana's sidecar finds, by the ConfigMap that each is in."""
    return {
        name_of(each): json.loads(text)
        for each in rendered.of_kind("ConfigMap")
        if each["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
        for text in each["data"].values()
    }


def _scrape_findings(rendered: Manifests) -> Iterator[str]:
    for pods in rendered.pods():
        ports = {port["name"] for each in pods.containers for port in each.get("ports", ())}
        scraped = {
            endpoint["port"]
            for monitor in rendered.of_kind("PodMonitor")
            if selects(monitor["spec"]["selector"], pods.labels)
            for endpoint in monitor["spec"]["podMetricsEndpoints"]
        }
        if "metrics" in ports and "metrics" not in scraped:
            yield f"{pods.owner} has a port metrics that no PodMonitor scrapes"


def _interval_findings(rendered: Manifests) -> Iterator[str]:
    """A scrape ends before the next, and a window of a rule has four of them."""
    longest = 0.0
    for monitor in rendered.of_kind("PodMonitor"):
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            interval, timeout = (
                seconds(endpoint.get(each)) or 0 for each in ("interval", "scrapeTimeout")
            )
            longest = max(longest, interval)
            if not 0 < timeout < interval:
                yield f"{name_of(monitor)} has a scrapeTimeout as long as its interval, or longer"
    for rule in rules(rendered):
        for window in WINDOW.findall(rule["expr"]):
            if (seconds(window) or 0) < SCRAPES_OF_A_WINDOW * longest:
                name = rule.get("alert", rule.get("record"))
                yield f"PrometheusRule, {name}, has the window {window}, of too few scrapes"


def _alert_findings(rendered: Manifests) -> Iterator[str]:
    alerts = [rule for rule in rules(rendered) if "alert" in rule]
    if len(alerts) < len(ALERTED):
        yield f"PrometheusRule: there are {len(alerts)} alerts, fewer than {len(ALERTED)}"
    for topic, pattern in ALERTED.items():
        if not any(re.search(pattern, rule["expr"]) for rule in alerts):
            yield f"PrometheusRule: no alert reads {topic}"
    for rule in alerts:
        name = f"PrometheusRule, alert {rule['alert']},"
        if rule.get("labels", {}).get("severity") not in {"critical", "warning"}:
            yield f"{name} has no severity of critical or warning"
        if not rule.get("annotations", {}).get("summary"):
            yield f"{name} has no summary"
        anchor = f"deploy/{RUNBOOKS}#{rule['alert'].lower()}"
        if rule.get("annotations", {}).get("runbook_url") != anchor:
            yield f"{name} has not the runbook_url {anchor}"
        if len(runbooks(rendered.deploy).get(rule["alert"], "")) <= SHORTEST_RUNBOOK:
            yield f"{name} has no section in deploy/{RUNBOOKS} that says what to do"
    names = {rule["alert"] for rule in alerts}
    for title in sorted(set(runbooks(rendered.deploy)) - names):
        yield f"PrometheusRule: there is no alert {title}, which deploy/{RUNBOOKS} explains"


@cache
def runbooks(deploy: Path) -> dict[str, str]:
    """The text of each section of ``ALERTS.md`` in the folder of a tree, by alert."""
    text = (deploy / RUNBOOKS).read_text(encoding="utf-8")
    _, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    return {title: body.strip() for title, _, body in (each.partition("\n") for each in sections)}


def _query_findings(panel: Object) -> Iterator[str]:
    """A panel shows one namespace, in the unit of the metrics that it asks for."""
    unit = panel["fieldConfig"]["defaults"].get("unit")
    if not unit:
        yield "has no unit"
    for target in panel["targets"]:
        if 'namespace="$namespace"' not in target["expr"]:
            yield f"shows every namespace: {target['expr']!r}"
        for pattern, wanted in UNITS.items():
            if re.search(pattern, target["expr"]) and unit and unit != wanted:
                yield f"has the unit {unit}, and shows {wanted}: {target['expr']!r}"


def _dashboard_findings(dashboard: Object) -> Iterator[str]:
    """What keeps Grafana from showing a dashboard well."""
    for field in sorted(DASHBOARD_FIELDS - set(dashboard)):
        yield f"the dashboard has no {field}"
    panels = dashboard["panels"]
    if len({panel["id"] for panel in panels}) < len(panels):
        yield "two panels have one id"
    taken: dict[tuple[int, int], str] = {}
    for panel in panels:
        title, box = panel["title"], panel["gridPos"]
        if not panel.get("description"):
            yield f"panel {title!r} has no description"
        yield from (f"panel {title!r} {words}" for words in _query_findings(panel))
        if box["x"] + box["w"] > GRID_COLUMNS:
            yield f"panel {title!r} ends to the right of column {GRID_COLUMNS}"
        cells = [
            (x, y)
            for x in range(box["x"], box["x"] + box["w"])
            for y in range(box["y"], box["y"] + box["h"])
        ]
        for other in sorted({taken[cell] for cell in cells if cell in taken}):
            yield f"panel {title!r} covers panel {other!r}"
        taken |= dict.fromkeys(cells, title)
