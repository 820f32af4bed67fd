"""What objects say of one another: every name leads to something that is rendered."""

import re
from collections.abc import Iterator

from deploy.policies.containers import container_findings
from deploy.policies.rendering.objects import Manifests, Object, Pods
from deploy.policies.rendering.quantities import hours
from deploy.policies.traffic import selects
from deploy.policies.workloads import settings_of

ADDRESS = re.compile(r"(?:dns:///)?([a-z][a-z-]*):(\d+)")
# Secrets that people make; deploy/README.md says how.
MADE_BY_HAND = {"gateway-tls", "retrieval-tokens"}


def references_that_resolve(rendered: Manifests) -> Iterator[str]:
    """Every reference from one object to another."""
    yield from duplicates(rendered)
    for claim in rendered.of_kind("PersistentVolumeClaim"):
        asked = claim["spec"].get("resources", {}).get("requests", {}).get("storage")
        if not asked or not claim["spec"].get("accessModes"):
            yield f"PersistentVolumeClaim/{claim['metadata']['name']} asks for nothing"
    secrets = {each["spec"]["secretName"] for each in rendered.of_kind("Certificate")}
    for pods in rendered.pods():
        account = pods.spec.get("serviceAccountName")
        if rendered.find("ServiceAccount", account) is None:
            yield f"{pods.owner} has no ServiceAccount/{account}"
        yield from volume_findings(rendered, pods, secrets | MADE_BY_HAND)
        yield from environment_findings(rendered, pods, secrets | MADE_BY_HAND)
        yield from mount_findings(pods)
        yield from probe_findings(pods)
        yield from container_findings(rendered, pods)
        yield from address_findings(rendered, pods)
    yield from selector_findings(rendered)
    yield from target_findings(rendered)
    yield from certificate_findings(rendered)
    yield from route_findings(rendered, secrets | MADE_BY_HAND)


def duplicates(rendered: Manifests) -> Iterator[str]:
    seen = set()
    for each in rendered.objects:
        key = f"{each['kind']}/{each['metadata']['name']}"
        if key in seen:
            yield f"{key} is there twice"
        seen.add(key)
        namespace = each["metadata"].get("namespace")
        if each["kind"] != "Namespace" and rendered.find("Namespace", namespace or "") is None:
            yield f"{key} is in the namespace {namespace}, which is not rendered"


def volume_findings(rendered: Manifests, pods: Pods, secrets: set[str]) -> Iterator[str]:
    for volume in pods.spec.get("volumes", ()):
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        if claim is not None and rendered.find("PersistentVolumeClaim", claim) is None:
            yield f"{pods.owner} mounts PersistentVolumeClaim/{claim}, which is missing"
        config = volume.get("configMap", {}).get("name")
        if config is not None and rendered.find("ConfigMap", config) is None:
            yield f"{pods.owner} mounts ConfigMap/{config}, which is missing"
        secret = volume.get("secret", {}).get("secretName")
        if secret is not None and secret not in secrets:
            yield f"{pods.owner} mounts Secret/{secret}, which nobody makes"


def environment_findings(rendered: Manifests, pods: Pods, secrets: set[str]) -> Iterator[str]:
    for container in pods.containers:
        for source in container.get("envFrom", ()):
            config = source.get("configMapRef", {}).get("name")
            if config is not None and rendered.find("ConfigMap", config) is None:
                yield f"{pods.owner} reads ConfigMap/{config}, which is missing"
        for each in container.get("env", ()):
            source = each.get("valueFrom", {})
            config = source.get("configMapKeyRef", {})
            found = rendered.find("ConfigMap", config.get("name", "")) or {"data": {}}
            if config and config["key"] not in found["data"]:
                yield f"{pods.owner} reads {config['key']} of ConfigMap/{config['name']}: missing"
            if (secret := source.get("secretKeyRef", {}).get("name")) and secret not in secrets:
                yield f"{pods.owner} reads Secret/{secret}, which nobody makes"
            field = source.get("resourceFieldRef", {}).get("containerName", container["name"])
            if field != container["name"]:
                yield f"{pods.owner} reads the resources of container {field}"


def mount_findings(pods: Pods) -> Iterator[str]:
    volumes = {volume["name"] for volume in pods.spec.get("volumes", ())}
    mounted = {mount["name"] for each in pods.containers for mount in each.get("volumeMounts", ())}
    yield from (f"{pods.owner} mounts {name}, no volume" for name in sorted(mounted - volumes))
    yield from (f"{pods.owner} never mounts {name}" for name in sorted(volumes - mounted))


def address_findings(rendered: Manifests, pods: Pods) -> Iterator[str]:
    """Addresses in the environment and in the arguments are those of services."""
    for container in pods.containers:
        values = [*settings_of(rendered, container).values()]
        values += [word.split("=")[-1] for word in container.get("args", ())]
        for host, port in (match.groups() for each in values if (match := ADDRESS.fullmatch(each))):
            service = rendered.find("Service", host) or {"spec": {"ports": []}}
            if int(port) not in {each["port"] for each in service["spec"]["ports"]}:
                yield f"{pods.owner} asks {host}:{port}, which is no service"


def probe_findings(pods: Pods) -> Iterator[str]:
    for container in pods.containers:
        names = {port["name"] for port in container.get("ports", ())}
        numbers = {port["containerPort"] for port in container.get("ports", ())}
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container.get(kind, {})
            port = probe.get("grpc", probe.get("httpGet", {})).get("port")
            if port is not None and port not in names | numbers:
                yield f"{pods.owner}'s {kind} asks port {port}, which is not there"


def selector_findings(rendered: Manifests) -> Iterator[str]:
    """Selectors take somebody, and a workload's own takes its own pods."""
    for each in rendered.of_kind("Service", "PodMonitor", "PodDisruptionBudget", "NetworkPolicy"):
        name, spec = f"{each['kind']}/{each['metadata']['name']}", each["spec"]
        selector = spec.get("selector", spec.get("podSelector"))
        selector = {"matchLabels": selector} if each["kind"] == "Service" else selector
        taken = [pods for pods in rendered.pods() if selects(selector, pods.labels)]
        if not taken:
            yield f"{name} selects no pod"
        if each["kind"] in {"Service", "PodDisruptionBudget"} and len(taken) > 1:
            yield f"{name} selects the pods of {', '.join(pods.owner for pods in taken)}"
        yield from (f"{name}: {words}" for words in port_findings(each, taken))
    for each in rendered.of_kind("Deployment"):
        labels = each["spec"]["template"]["metadata"]["labels"]
        own = each["spec"]["selector"].get("matchLabels")
        if not own or not selects(each["spec"]["selector"], labels):
            yield f"Deployment/{each['metadata']['name']} does not select its own pods"


def port_findings(each: Object, taken: list[Pods]) -> Iterator[str]:
    """Named ports are those of every pod that is taken."""
    if each["kind"] == "Service":
        wanted = [port.get("targetPort", port["port"]) for port in each["spec"]["ports"]]
    elif each["kind"] == "PodMonitor":
        wanted = [endpoint["port"] for endpoint in each["spec"]["podMetricsEndpoints"]]
    else:
        return
    for pods in taken:
        ports = [port for container in pods.containers for port in container.get("ports", ())]
        names = {port["name"] for port in ports} | {port["containerPort"] for port in ports}
        yield from (f"{pods.owner} has no port {port}" for port in wanted if port not in names)


def target_findings(rendered: Manifests) -> Iterator[str]:
    for each in rendered.of_kind("HorizontalPodAutoscaler", "ScaledObject"):
        target = each["spec"]["scaleTargetRef"]
        if rendered.find(target.get("kind", "Deployment"), target["name"]) is None:
            yield f"{each['kind']}/{each['metadata']['name']} scales {target['name']}: missing"


def certificate_findings(rendered: Manifests) -> Iterator[str]:
    for each in rendered.of_kind("Issuer"):
        signers = {
            c["spec"]["secretName"]
            for c in rendered.of_kind("Certificate")
            if c["spec"].get("isCA")
        }
        secret = each["spec"].get("ca", {}).get("secretName")
        if "selfSigned" not in each["spec"] and secret not in signers:
            yield f"Issuer/{each['metadata']['name']} has nothing to sign by"
    for each in rendered.of_kind("Certificate"):
        issuer = each["spec"]["issuerRef"]
        if rendered.find(issuer.get("kind", "Issuer"), issuer["name"]) is None:
            yield f"Certificate/{each['metadata']['name']} has no issuer {issuer['name']}"
        if hours(each["spec"]["renewBefore"]) >= hours(each["spec"]["duration"]):
            yield f"Certificate/{each['metadata']['name']} is renewed all the time"
        name, usages = each["metadata"]["name"], set(each["spec"].get("usages", ()))
        needed = "server auth" if rendered.find("Service", name) else "client auth"
        if not each["spec"].get("isCA") and needed not in usages:
            yield f"Certificate/{name} is not for {needed}"
        if needed == "server auth" and f"{name}.beauty-retrieval.svc" not in each["spec"].get(
            "dnsNames", ()
        ):
            yield f"Certificate/{name} does not name the service {name}"
        for host in each["spec"].get("dnsNames", ()):
            if rendered.find("Service", host.split(".")[0]) is None:
                yield f"Certificate/{each['metadata']['name']} names {host}, no service"


def route_findings(rendered: Manifests, secrets: set[str]) -> Iterator[str]:
    for gateway in rendered.of_kind("Gateway"):
        for listener in gateway["spec"]["listeners"]:
            for reference in listener.get("tls", {}).get("certificateRefs", ()):
                if reference["name"] not in secrets:
                    yield f"Gateway/{gateway['metadata']['name']}: no Secret/{reference['name']}"
        parents = [p for r in rendered.of_kind("GRPCRoute") for p in r["spec"]["parentRefs"]]
        if gateway["metadata"]["name"] not in {each["name"] for each in parents}:
            yield f"Gateway/{gateway['metadata']['name']} leads nowhere"
    for route in rendered.of_kind("GRPCRoute"):
        name = f"GRPCRoute/{route['metadata']['name']}"
        yield from (f"{name} {words}" for words in parent_findings(rendered, route))
        yield from (f"{name} {words}" for words in backend_findings(rendered, route))


def parent_findings(rendered: Manifests, route: Object) -> Iterator[str]:
    for parent in route["spec"]["parentRefs"]:
        gateway = rendered.find("Gateway", parent["name"]) or {"spec": {"listeners": []}}
        listeners = {each["name"]: each for each in gateway["spec"]["listeners"]}
        listener = listeners.get(parent.get("sectionName"))
        if listener is None:
            yield f"has no listener {parent.get('sectionName')} at {parent['name']}"
        elif listener.get("hostname") not in route["spec"].get("hostnames", ()):
            yield "answers for other hosts than its listener"


def backend_findings(rendered: Manifests, route: Object) -> Iterator[str]:
    backends = [rule.get("backendRefs") for rule in route["spec"]["rules"]]
    if not backends or not all(backends):
        yield "leads nowhere"
    for backend in (each for some in backends for each in some or ()):
        service = rendered.find("Service", backend["name"]) or {"spec": {"ports": []}}
        if backend["port"] not in {port["port"] for port in service["spec"]["ports"]}:
            yield f"sends to {backend['name']}:{backend['port']}, no service"
