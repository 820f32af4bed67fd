"""Policy "references": every name that an object refers to is that of another object."""

import re
from collections.abc import Iterator

from deploy.policies.containers import container_findings
from deploy.policies.environment import keys_of_secrets
from deploy.policies.rendering import Manifests, Object, Pods, name_of
from deploy.policies.rendering.quantities import hours
from deploy.policies.traffic import selects

ADDRESS = re.compile(r"(?:dns:///)?([a-z][a-z-]*):(\d+)")
FORWARDED = "localhost"  # by kubectl port-forward


def references_that_resolve(rendered: Manifests) -> Iterator[str]:
    """Every reference from one object to another leads to an object."""
    yield from _duplicates(rendered)
    for claim in rendered.of_kind("PersistentVolumeClaim"):
        asked = claim["spec"].get("resources", {}).get("requests", {}).get("storage")
        if not asked or not claim["spec"].get("accessModes"):
            yield f"{name_of(claim)} requests no storage or no accessModes"
    secrets = set(keys_of_secrets(rendered))
    for pods in rendered.pods():
        account = str(pods.spec.get("serviceAccountName"))
        if rendered.find("ServiceAccount", account) is None:
            yield f"{pods.owner} has no ServiceAccount/{account}"
        yield from _volume_findings(rendered, pods, secrets)
        yield from _environment_findings(rendered, pods, secrets)
        yield from _mount_findings(pods)
        yield from _probe_findings(pods)
        yield from container_findings(rendered, pods)
        yield from _address_findings(rendered, pods)
    yield from _selector_findings(rendered)
    yield from _target_findings(rendered)
    yield from _certificate_findings(rendered)
    yield from _route_findings(rendered, secrets)


def _duplicates(rendered: Manifests) -> Iterator[str]:
    seen = set()
    for each in rendered.objects:
        key = name_of(each)
        if key in seen:
            yield f"{key} is rendered twice"
        seen.add(key)
        namespace = each["metadata"].get("namespace")
        if each["kind"] != "Namespace" and rendered.find("Namespace", namespace or "") is None:
            yield f"{key} is in the namespace {namespace}, which is not rendered"


def _volume_findings(rendered: Manifests, pods: Pods, secrets: set[str]) -> Iterator[str]:
    for volume in pods.spec.get("volumes", ()):
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        if claim is not None and rendered.find("PersistentVolumeClaim", claim) is None:
            yield f"{pods.owner} mounts PersistentVolumeClaim/{claim}, which is missing"
        config = volume.get("configMap", {}).get("name")
        if config is not None and rendered.find("ConfigMap", config) is None:
            yield f"{pods.owner} mounts ConfigMap/{config}, which is missing"
        secret = volume.get("secret", {}).get("secretName")
        if secret is not None and secret not in secrets:
            yield (
                f"{pods.owner} mounts Secret/{secret}, which no Certificate makes and "
                "README.md does not list"
            )


def _environment_findings(rendered: Manifests, pods: Pods, secrets: set[str]) -> Iterator[str]:
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
                yield (
                    f"{pods.owner} reads {config['key']} of ConfigMap/{config['name']}, which "
                    "is missing"
                )
            if (secret := source.get("secretKeyRef", {}).get("name")) and secret not in secrets:
                yield (
                    f"{pods.owner} reads Secret/{secret}, which no Certificate makes and "
                    "README.md does not list"
                )
            field = source.get("resourceFieldRef", {}).get("containerName", container["name"])
            if field != container["name"]:
                yield f"{pods.owner} reads the resources of another container, {field}"


def _mount_findings(pods: Pods) -> Iterator[str]:
    volumes = {volume["name"] for volume in pods.spec.get("volumes", ())}
    mounted = {mount["name"] for each in pods.containers for mount in each.get("volumeMounts", ())}
    yield from (
        f"{pods.owner} mounts {name}, which is not a volume" for name in sorted(mounted - volumes)
    )
    yield from (
        f"{pods.owner} has the volume {name} and does not mount it"
        for name in sorted(volumes - mounted)
    )


def _address_findings(rendered: Manifests, pods: Pods) -> Iterator[str]:
    """Addresses in the environment and in the arguments are those of services."""
    for container in pods.containers:
        values = [*rendered.environment_of(container).values()]
        values += [word.split("=")[-1] for word in container.get("args", ())]
        for host, port in (match.groups() for each in values if (match := ADDRESS.fullmatch(each))):
            service = rendered.find("Service", host) or {"spec": {"ports": []}}
            if int(port) not in {each["port"] for each in service["spec"]["ports"]}:
                yield f"{pods.owner} asks {host}:{port}, which is not a Service"


def _probe_findings(pods: Pods) -> Iterator[str]:
    for container in pods.containers:
        names = {port["name"] for port in container.get("ports", ())}
        numbers = {port["containerPort"] for port in container.get("ports", ())}
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container.get(kind, {})
            port = probe.get("grpc", probe.get("httpGet", {})).get("port")
            if port is not None and port not in names | numbers:
                yield f"{pods.owner}'s {kind} asks port {port}, which the container does not have"


def _selector_findings(rendered: Manifests) -> Iterator[str]:
    """Selectors match pods, and those of a workload match its own pods."""
    for each in rendered.of_kind("Service", "PodMonitor", "PodDisruptionBudget", "NetworkPolicy"):
        name, spec = name_of(each), each["spec"]
        selector = spec.get("selector", spec.get("podSelector"))
        selector = {"matchLabels": selector} if each["kind"] == "Service" else selector
        taken = [pods for pods in rendered.pods() if selects(selector, pods.labels)]
        if not taken:
            yield f"{name} selects no pods"
        if each["kind"] in {"Service", "PodDisruptionBudget"} and len(taken) > 1:
            yield (
                f"{name} selects the pods of several workloads: "
                f"{', '.join(pods.owner for pods in taken)}"
            )
        yield from (f"{name}: {words}" for words in _port_findings(each, taken))
    for each in rendered.of_kind("Deployment"):
        labels = each["spec"]["template"]["metadata"]["labels"]
        own = each["spec"]["selector"].get("matchLabels")
        if not own or not selects(each["spec"]["selector"], labels):
            yield f"{name_of(each)} does not select its own pods"
        services = [service["spec"]["selector"] for service in rendered.of_kind("Service")]
        if not any(selector.items() <= labels.items() for selector in services):
            yield f"{name_of(each)} has no Service, so that nobody finds its pods"


def _port_findings(each: Object, taken: list[Pods]) -> Iterator[str]:
    """The ports of a Service or PodMonitor are ports of every pod that it selects."""
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


def _target_findings(rendered: Manifests) -> Iterator[str]:
    for each in rendered.of_kind("HorizontalPodAutoscaler", "ScaledObject"):
        target = each["spec"]["scaleTargetRef"]
        if rendered.find(target.get("kind", "Deployment"), target["name"]) is None:
            yield f"{name_of(each)} scales {target['name']}, which is missing"


def _certificate_findings(rendered: Manifests) -> Iterator[str]:
    for each in rendered.of_kind("Issuer"):
        signers = {
            c["spec"]["secretName"]
            for c in rendered.of_kind("Certificate")
            if c["spec"].get("isCA")
        }
        secret = each["spec"].get("ca", {}).get("secretName")
        if "selfSigned" not in each["spec"] and secret not in signers:
            yield f"{name_of(each)} has no certificate to sign with"
    written: dict[str, str] = {}
    for each in rendered.of_kind("Certificate"):
        secret = each["spec"]["secretName"]
        if other := written.get(secret):
            yield f"{name_of(each)} and {other} write one Secret, {secret}"
        written[secret] = name_of(each)
        issuer = each["spec"]["issuerRef"]
        if rendered.find(issuer.get("kind", "Issuer"), issuer["name"]) is None:
            yield f"{name_of(each)} has no issuer {issuer['name']}"
        if hours(each["spec"]["renewBefore"]) >= hours(each["spec"]["duration"]):
            yield f"{name_of(each)} has a renewBefore that is not shorter than its duration"
        name, usages = each["metadata"]["name"], set(each["spec"].get("usages", ()))
        needed = "server auth" if rendered.find("Service", name) else "client auth"
        if not each["spec"].get("isCA") and usages != {"digital signature", needed}:
            yield f"Certificate/{name} does not have the usages digital signature and {needed}"
        if not each["spec"].get("dnsNames") and not each["spec"].get("commonName"):
            yield f"Certificate/{name} names nobody: it has no dnsNames and no commonName"
        if needed == "server auth":
            names = {f"{name}{end}" for end in _domains(rendered)}
            for host in sorted(names - set(each["spec"].get("dnsNames", ()))):
                yield f"Certificate/{name} does not have {host}, a DNS name of Service/{name}"
        for host in each["spec"].get("dnsNames", ()):
            if rendered.find("Service", host.split(".")[0]) is None and host != FORWARDED:
                yield f"{name_of(each)} has the DNS name {host}, which is not a Service"


def _domains(rendered: Manifests) -> tuple[str, ...]:
    """What follows the name of a Service in the names by which pods may call it."""
    own = rendered.namespace
    return ("", f".{own}", f".{own}.svc", f".{own}.svc.cluster.local")


def _route_findings(rendered: Manifests, secrets: set[str]) -> Iterator[str]:
    for gateway in rendered.of_kind("Gateway"):
        for listener in gateway["spec"]["listeners"]:
            for reference in listener.get("tls", {}).get("certificateRefs", ()):
                if reference["name"] not in secrets:
                    yield f"{name_of(gateway)} refers to the missing Secret/{reference['name']}"
        parents = [p for r in rendered.of_kind("GRPCRoute") for p in r["spec"]["parentRefs"]]
        if gateway["metadata"]["name"] not in {each["name"] for each in parents}:
            yield f"{name_of(gateway)} has no route"
    for route in rendered.of_kind("GRPCRoute"):
        name = name_of(route)
        yield from (f"{name} {words}" for words in _parent_findings(rendered, route))
        yield from (f"{name} {words}" for words in _backend_findings(rendered, route))


def _parent_findings(rendered: Manifests, route: Object) -> Iterator[str]:
    for parent in route["spec"]["parentRefs"]:
        gateway = rendered.find("Gateway", parent["name"]) or {"spec": {"listeners": []}}
        listeners = {each["name"]: each for each in gateway["spec"]["listeners"]}
        listener = listeners.get(parent.get("sectionName"))
        if listener is None:
            yield f"refers to the missing listener {parent.get('sectionName')} of {parent['name']}"
        elif listener.get("hostname") not in route["spec"].get("hostnames", ()):
            yield "does not have the hostname of its listener"


def _backend_findings(rendered: Manifests, route: Object) -> Iterator[str]:
    backends = [rule.get("backendRefs") for rule in route["spec"]["rules"]]
    if not backends or not all(backends):
        yield "has a rule without backendRefs"
    for backend in (each for some in backends for each in some or ()):
        service = rendered.find("Service", backend["name"]) or {"spec": {"ports": []}}
        if backend["port"] not in {port["port"] for port in service["spec"]["ports"]}:
            yield f"sends to {backend['name']}:{backend['port']}, which is not a Service"
