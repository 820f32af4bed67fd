"""Policy 10, on traffic: which connections the network policies allow, and which we want.

A connection needs both ends: an egress rule of the pod that opens it, where a policy selects that
pod for egress, and an ingress rule of the other. Each end has to allow what the table has, and no
more: a policy that is too wide is found even where the other end refuses the connection.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deploy.policies.rendering import Manifests, Object, Pods, is_hashed, name_of

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
    """The labels of a namespace of some name."""
    return {"kubernetes.io/metadata.name": name}


COLLECTOR = {"app.kubernetes.io/name": "opentelemetry-collector"}  # its Helm chart's label
MILVUS = {"app.kubernetes.io/name": "milvus"}  # of its operator and of its Helm chart
CHANGES_CATALOGUE = "beauty-retrieval/changes-catalogue"  # the label of a namespace
CLUSTERS = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"}
OUTSIDE = (
    Peer("dns", {"k8s-app": "kube-dns"}, by_name("kube-system")),
    Peer("kube-system", {}, by_name("kube-system")),
    Peer("monitoring", {}, by_name("monitoring")),
    Peer("collector", COLLECTOR, by_name("observability")),
    Peer("observability", {}, by_name("observability")),
    Peer("milvus", MILVUS, by_name("milvus")),
    Peer("milvus's namespace", {}, by_name("milvus")),
    Peer("pods labelled as milvus", MILVUS, by_name("default")),
    Peer("gateway", {}, by_name("envoy-gateway-system")),
    Peer("client namespace", {}, {**by_name("shop"), "beauty-retrieval/client": "true"}),
    Peer("changing namespace", {}, {**by_name("office"), CHANGES_CATALOGUE: "true"}),
    Peer("anybody", {}, by_name("default")),
    Peer("pods labelled as dns", {"k8s-app": "kube-dns"}, by_name("default")),
    Peer("pods labelled as collector", COLLECTOR, by_name("default")),
    Peer("internet", {}, {}),
)
EVERYWHERE = "0.0.0.0/0"
INSIDE_NETWORKS = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"}
TCP_PORTS = (53, 80, 443, 4317, 4318, 8000, 8001, 8002, 8080, 9090, 9464, 19530, 50051, 50052)
PORTS = ("53/UDP", *(f"{port}/TCP" for port in TCP_PORTS))


ASK_TRITON = ("extract-descriptors", "rebuild-index")  # jobs


def _always(_: Manifests) -> bool:
    return True


def _has(kind: str) -> Callable[[Manifests], bool]:
    return lambda rendered: bool(rendered.of_kind(kind))


def _has_settings(name: str) -> Callable[[Manifests], bool]:
    return lambda rendered: any(
        is_hashed(each["metadata"]["name"], name) for each in rendered.of_kind("ConfigMap")
    )


def _has_pods(name: str) -> Callable[[Manifests], bool]:
    return lambda rendered: bool(rendered.pods(name))


# from, to, port: and in which renderings
EXPECTED_EDGES: dict[Edge, Callable[[Manifests], bool]] = {
    ("retrieval", "triton", "8001/TCP"): _always,
    **{(name, "triton", "8001/TCP"): _has_pods(name) for name in ASK_TRITON},
    ("smoke-test", "retrieval", "50051/TCP"): _always,
    ("client namespace", "retrieval", "50051/TCP"): _always,
    ("monitoring", "triton", "8002/TCP"): _has("PodMonitor"),
    ("monitoring", "retrieval", "9464/TCP"): _has("PodMonitor"),
    ("gateway", "retrieval", "50051/TCP"): _has("Gateway"),
    ("retrieval", "collector", "4317/TCP"): _has_settings("tracing"),
    ("triton", "collector", "4318/TCP"): _has_settings("tracing"),
    ("web", "retrieval", "50051/TCP"): _has_pods("web"),
    ("writer", "triton", "8001/TCP"): _has_pods("writer"),
    ("changing namespace", "writer", "50051/TCP"): _has_pods("writer"),
    ("monitoring", "writer", "9464/TCP"): _has("PodMonitor"),
    ("retrieval", "internet", "443/TCP"): _has_settings("index-source"),
    **{
        (name, "milvus", "19530/TCP"): _has_settings("store")
        for name in ("retrieval", "load-index")
    },
    **{
        (name, "dns", port): _has_pods(name)
        for port in ("53/UDP", "53/TCP")
        for name in (
            "triton",
            "retrieval",
            "merge-index",
            "fit-texts",
            "join-texts",
            "load-index",
            "smoke-test",
            "sample-catalogue",
            "web",
            "writer",
            "compact-index",
            *ASK_TRITON,
        )
    },
}


def traffic_as_expected(rendered: Manifests) -> Iterator[str]:
    """10: the connections of the table are open, and no others."""
    denies = [
        each
        for each in rendered.of_kind("NetworkPolicy")
        if each["spec"]["podSelector"] == {}
        and set(each["spec"].get("policyTypes", ())) == {"Ingress", "Egress"}
        and not each["spec"].get("ingress")
        and not each["spec"].get("egress")
    ]
    if not denies:
        yield (
            "NetworkPolicy/default-deny is missing: pods that no policy selects take every "
            "connection"
        )
    for each in rendered.of_kind("NetworkPolicy"):
        for block in _blocks(each):
            if block["cidr"] == EVERYWHERE and set(block.get("except", ())) != INSIDE_NETWORKS:
                yield f"{name_of(each)} opens networks of clusters, or the metadata of its node"
    for way in ("Ingress", "Egress"):
        found, expected = edges(rendered, way), expected_edges(rendered, way)
        yield from _edge_findings(way, found - expected, "open, and not in the table")
        yield from _edge_findings(way, expected - found, "refused, and in the table")


def _blocks(policy: Object) -> list[Object]:
    """The blocks of addresses that a policy opens."""
    sides = [(each, "from") for each in policy["spec"].get("ingress") or ()]
    sides += [(each, "to") for each in policy["spec"].get("egress") or ()]
    return [
        peer["ipBlock"] for rule, side in sides for peer in rule.get(side, ()) if "ipBlock" in peer
    ]


def _edge_findings(way: str, wrong: set[Edge], words: str) -> Iterator[str]:
    """One line for each two ends, with all ports."""
    ports: dict[tuple[str, str], list[str]] = {}
    for source, target, port in sorted(wrong):
        ports.setdefault((source, target), []).append(port)
    for (source, target), some in ports.items():
        yield f"NetworkPolicy: {way} from {source} to {target}, {', '.join(some)}, is {words}"


def edges(rendered: Manifests, way: str) -> set[Edge]:
    """The connections that one end allows, to the ports of ``PORTS``.

    Args:
        rendered: with the policies.
        way: ``Ingress`` for connections to our pods, ``Egress`` for those that they open.
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
    """The connections of the table that one end has to allow."""
    inside = {each.owner.split("/")[1] for each in rendered.pods()}
    end = 1 if way == "Ingress" else 0
    return {
        edge
        for edge, is_there in EXPECTED_EDGES.items()
        if is_there(rendered) and edge[end] in inside
    }


def lets_through(policies: list[Object], way: str, own: Peer, other: Peer, port: str) -> bool:
    """Whether the policies of one end allow a connection.

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
        (side not in rule or any(_is_peer(each, other) for each in rule[side]))
        and ("ports" not in rule or any(_is_port(each, called, port) for each in rule["ports"]))
        for rule in rules
    )


def _is_peer(peer: Object, other: Peer) -> bool:
    if "ipBlock" in peer:  # may be anybody, if the networks of clusters are in it
        return other.name == "internet" or not set(peer["ipBlock"].get("except", ())) >= CLUSTERS
    if "namespaceSelector" in peer:
        in_namespace = selects(peer["namespaceSelector"], other.namespace or {})
    else:
        in_namespace = other.namespace is None
    return in_namespace and selects(peer.get("podSelector", {}), other.labels)


def _is_port(rule: Object, called: Peer, port: str) -> bool:
    """Whether a rule includes a port; a named port is looked up in the pod that is called."""
    number, protocol = int(port.partition("/")[0]), port.partition("/")[2]
    first: int | str = rule.get("port") or number
    if isinstance(first, str):
        containers = called.pods.containers if called.pods else []
        named = {p["name"]: p["containerPort"] for c in containers for p in c.get("ports", ())}
        first = int(named.get(first, 0))
    is_within = first <= number <= int(rule.get("endPort", first))
    return is_within and bool(rule.get("protocol", "TCP") == protocol)


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a label selector matches some labels; an empty one matches all."""
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
