"""Who may speak to whom, derived from the network policies as a network plugin does.

A connection needs both ends: an egress rule of the pod that begins it, where a policy selects that
pod for egress, and an ingress rule of the other. Either end alone has to let through what the table
has, and no more: then a policy that is too wide shows even where the other end makes up for it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from deploy.policies.rendering.objects import Manifests, Object, Pods, is_hashed

Edge = tuple[str, str, str]


@dataclass(frozen=True)
class Peer:
    """An end of a connection.

    Attributes:
        name: in the table.
        labels: the pod's.
        namespace: labels of its namespace; None for our own.
        pods: its containers, for the names of ports.
    """

    name: str
    labels: dict[str, str]
    namespace: dict[str, str] | None = None
    pods: Pods | None = None


def by_name(name: str) -> dict[str, str]:
    return {"kubernetes.io/metadata.name": name}


COLLECTOR = {"app.kubernetes.io/name": "opentelemetry-collector"}  # its Helm chart's label
OUTSIDE = (
    Peer("dns", {"k8s-app": "kube-dns"}, by_name("kube-system")),
    Peer("kube-system", {}, by_name("kube-system")),
    Peer("monitoring", {}, by_name("monitoring")),
    Peer("collector", COLLECTOR, by_name("observability")),
    Peer("observability", {}, by_name("observability")),
    Peer("gateway", {}, by_name("envoy-gateway-system")),
    Peer("client namespace", {}, {**by_name("shop"), "beauty-retrieval/client": "true"}),
    Peer("anybody", {}, by_name("default")),
)
TCP_PORTS = (53, 80, 443, 4317, 4318, 8000, 8001, 8002, 8080, 9090, 9464, 50051, 50052)
PORTS = ("53/UDP", *(f"{port}/TCP" for port in TCP_PORTS))


ASK_TRITON = ("extract-descriptors", "rebuild-index")


def always(_: Manifests) -> bool:
    return True


def has(kind: str) -> Callable[[Manifests], bool]:
    return lambda rendered: bool(rendered.of_kind(kind))


def has_settings(name: str) -> Callable[[Manifests], bool]:
    return lambda rendered: any(
        is_hashed(each["metadata"]["name"], name) for each in rendered.of_kind("ConfigMap")
    )


def has_pods(name: str) -> Callable[[Manifests], bool]:
    return lambda rendered: bool(rendered.pods(name))


# from, to, port: and in which renderings
EXPECTED_EDGES: dict[Edge, Callable[[Manifests], bool]] = {
    ("retrieval", "triton", "8001/TCP"): always,
    **{(name, "triton", "8001/TCP"): always for name in ASK_TRITON},
    ("smoke-test", "retrieval", "50051/TCP"): always,
    ("client namespace", "retrieval", "50051/TCP"): always,
    ("monitoring", "triton", "8002/TCP"): has("PodMonitor"),
    ("monitoring", "retrieval", "9464/TCP"): has("PodMonitor"),
    ("gateway", "retrieval", "50051/TCP"): has("Gateway"),
    ("retrieval", "collector", "4317/TCP"): has_settings("tracing"),
    ("triton", "collector", "4318/TCP"): has_settings("tracing"),
    **{
        (name, "dns", port): has_pods(name)
        for port in ("53/UDP", "53/TCP")
        for name in (
            "triton",
            "retrieval",
            "merge-index",
            "smoke-test",
            "sample-catalogue",
            *ASK_TRITON,
        )
    },
}


def edges(rendered: Manifests, way: str) -> set[Edge]:
    """What one end lets through, to the ports of ``PORTS``.

    Args:
        rendered: with the policies.
        way: ``Ingress`` for what our pods take, ``Egress`` for what they may begin.
    """
    inside = [Peer(each.owner.split("/")[1], each.labels, None, each) for each in rendered.pods()]
    policies = rendered.of_kind("NetworkPolicy")
    found = set()
    for own in inside:
        for other in (*inside, *OUTSIDE):
            source, target = (other, own) if way == "Ingress" else (own, other)
            for port in PORTS if own is not other else ():
                if lets_through(policies, way, own, other, port):
                    found.add((source.name, target.name, port))
    return found


def expected_edges(rendered: Manifests, way: str) -> set[Edge]:
    """The part of the table that one end has to let through."""
    inside = {each.owner.split("/")[1] for each in rendered.pods()}
    end = 1 if way == "Ingress" else 0
    return {
        edge
        for edge, is_there in EXPECTED_EDGES.items()
        if is_there(rendered) and edge[end] in inside
    }


def lets_through(policies: list[Object], way: str, own: Peer, other: Peer, port: str) -> bool:
    """Whether the policies of one end let a connection through.

    Args:
        policies: all of the namespace.
        way: ``Ingress`` or ``Egress``, as seen from that end.
        own: that end, in our namespace.
        other: the other end.
        port: of the end that is called, with its protocol.
    """
    specs = [each["spec"] for each in policies if way in each["spec"]["policyTypes"]]
    specs = [spec for spec in specs if selects(spec["podSelector"], own.labels)]
    called = own if way == "Ingress" else other
    side = "from" if way == "Ingress" else "to"
    rules = [rule for spec in specs for rule in spec.get(way.lower()) or ()]
    return not specs or any(
        (side not in rule or any(is_peer(each, other) for each in rule[side]))
        and ("ports" not in rule or any(is_port(each, called, port) for each in rule["ports"]))
        for rule in rules
    )


def is_peer(peer: Object, other: Peer) -> bool:
    if "ipBlock" in peer:
        return True  # may be anybody
    if "namespaceSelector" in peer:
        in_namespace = selects(peer["namespaceSelector"], other.namespace or {})
    else:
        in_namespace = other.namespace is None
    return in_namespace and selects(peer.get("podSelector", {}), other.labels)


def is_port(rule: Object, called: Peer, port: str) -> bool:
    """Whether a rule means a port; a name is looked up in the pod that is called."""
    number, protocol = int(port.partition("/")[0]), port.partition("/")[2]
    wanted = rule.get("port", number)
    if isinstance(wanted, str):
        containers = called.pods.containers if called.pods else []
        named = {p["name"]: p["containerPort"] for c in containers for p in c.get("ports", ())}
        wanted = named.get(wanted, 0)
    is_within = wanted <= number <= rule.get("endPort", wanted)
    return is_within and rule.get("protocol", "TCP") == protocol


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a label selector takes these labels; an empty one takes all."""
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    for each in selector.get("matchExpressions", ()):
        value, operator = labels.get(each["key"]), each["operator"]
        is_met = {
            "In": value in each.get("values", ()),
            "NotIn": value not in each.get("values", ()),
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[operator]
        if not is_met:
            return False
    return True
