"""Policy "namespace": a deployment is whole in any namespace, and watches no other deployment.

The namespace is written once, as ``namespace:`` of an overlay; ``deploy/transformers`` writes it
into the texts that name it. Two deployments in two namespaces then share nothing: no alert of one
fires for the other, and no autoscaler counts the requests of the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache

import promql_parser as promql

from deploy.policies.metrics import queries
from deploy.policies.monitoring import dashboards
from deploy.policies.rendering import Manifests, name_of

PLACEHOLDER = "NAMESPACE"  # of the sources
LABEL = "namespace"  # which Prometheus adds to every metric of a pod
INNER = promql.ParenExpr | promql.UnaryExpr | promql.SubqueryExpr  # the labels of what is inside
LONGEST_UID = 40  # characters; Grafana refuses a longer one


def one_namespace(rendered: Manifests) -> Iterator[str]:
    """Every text that names the namespace has the rendered one, and every query reads no other."""
    for each in rendered.objects:
        if PLACEHOLDER in json.dumps(each):
            yield f"{name_of(each)} has {PLACEHOLDER} in place of the namespace"
    for name, expression in queries(rendered):
        try:
            is_own = reads_only(_parsed(expression), rendered.namespace)
        except ValueError:
            continue  # policy 17 says so
        if not is_own:
            yield f"{name}: {expression!r} reads other namespaces than {rendered.namespace}"
    for name, dashboard in dashboards(rendered).items():
        if dashboard["uid"] != rendered.namespace or len(dashboard["uid"]) > LONGEST_UID:
            yield (
                f"{name}: the uid {dashboard['uid']} is not the namespace, or has more than "
                f"{LONGEST_UID} characters"
            )


@cache
def _parsed(expression: str) -> promql.Expr:
    return promql.parse(expression)


def reads_only(node: promql.Expr, namespace: str) -> bool | None:
    """Whether every series of an expression's result is of one namespace.

    Args:
        node: the expression.
        namespace: the one.

    Returns:
        None if the expression reads no series.
    """
    if isinstance(node, promql.VectorSelector):
        return any(
            (each.name, each.op, each.value) == (LABEL, promql.MatchOp.Equal, namespace)
            for each in node.matchers.matchers
        )
    if isinstance(node, promql.MatrixSelector):
        return reads_only(node.vector_selector, namespace)
    if isinstance(node, promql.BinaryExpr):
        return _both_read_only(node, namespace)
    if isinstance(node, promql.Call):
        found = [reads_only(each, namespace) for each in node.args]
        known = [each for each in found if each is not None]
        return all(known) if known else None
    if isinstance(node, promql.AggregateExpr | INNER):
        return reads_only(node.expr, namespace)
    return None  # a number, a text


def _both_read_only(node: promql.BinaryExpr, namespace: str) -> bool | None:
    """An operator joins its sides by their labels: one of them decides, if both have the label."""
    sides = [(each, reads_only(each, namespace)) for each in (node.lhs, node.rhs)]
    known = [(each, is_own) for each, is_own in sides if is_own is not None]
    if not known:
        return None
    if str(node.op) != "or" and all(_keeps_label(each) for each, _ in known):
        return any(is_own for _, is_own in known)
    return all(is_own for _, is_own in known)


def _keeps_label(node: promql.Expr) -> bool:
    """Whether the series of an expression's result have the label of their namespace."""
    if isinstance(node, promql.AggregateExpr):
        kept = node.modifier.labels if node.modifier else []
        is_by = node.modifier is not None and node.modifier.type == promql.AggModifierType.By
        return is_by and LABEL in kept and _keeps_label(node.expr)
    if isinstance(node, promql.Call):
        return str(node.func.name) not in {"absent", "scalar"} and all(
            _keeps_label(each) for each in node.args
        )
    if isinstance(node, promql.BinaryExpr):
        return _keeps_label(node.lhs) and _keeps_label(node.rhs)
    if isinstance(node, INNER):
        return _keeps_label(node.expr)
    return True
