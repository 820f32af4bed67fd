"""The sixteen points that every rendering has to meet: nine to twelve, on security.

See ``workloads``.
"""

import re
from collections.abc import Iterator

from deploy.policies.rendering.objects import Manifests, Object, Pods
from deploy.policies.rendering.quantities import flag
from deploy.policies.traffic import edges, expected_edges
from deploy.policies.workloads import settings_of

LEVELS = ("enforce", "warn", "audit")
# Volumes that the profile "restricted" allows.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image"}
VOLUMES |= {"persistentVolumeClaim", "projected", "secret"}
ADMIN = {"shared-memory", "model-config", "model-repository", "statistics", "trace", "logging"}
HTTP_LOCKED = ADMIN | {"metadata", "inference"}
TLS_FLAGS = ("--grpc-server-cert", "--grpc-server-key", "--grpc-root-cert")
TLS_SETTINGS = {f"RETRIEVAL_TRITON_TLS_{each}" for each in ("CA", "CERT", "KEY")}
SECRET_NAMES = re.compile(r"(TOKEN|PASSWORD|SECRET|ACCESS_KEY|CREDENTIAL|API_KEY)S?$")


def restricted_pods(rendered: Manifests) -> Iterator[str]:
    """9: the namespace enforces the profile "restricted", and every pod goes beyond it."""
    for namespace in rendered.of_kind("Namespace"):
        labels = namespace["metadata"].get("labels", {})
        for level in LEVELS:
            if labels.get(f"pod-security.kubernetes.io/{level}") != "restricted":
                yield f"Namespace/{namespace['metadata']['name']} does not {level} restricted"
    if not rendered.of_kind("Namespace"):
        yield "Namespace/beauty-retrieval is missing"
    for account in rendered.of_kind("ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield f"ServiceAccount/{account['metadata']['name']} hands out its token"
    for each in rendered.of_kind("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"):
        yield f"{each['kind']}/{each['metadata']['name']} gives rights that nobody needs"
    accounts = [pods.spec.get("serviceAccountName", "default") for pods in rendered.pods()]
    for pods, account in zip(rendered.pods(), accounts, strict=True):
        yield from pod_findings(pods)
        yield from (words for each in pods.containers for words in container_findings(pods, each))
        if account == "default" or accounts.count(account) > 1:
            yield f"{pods.owner} has no service account of its own ({account})"


def pod_findings(pods: Pods) -> Iterator[str]:
    spec, security = pods.spec, pods.spec.get("securityContext", {})
    for field in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
        if spec.get(field):
            yield f"{pods.owner} sets {field}"
    if security.get("runAsNonRoot") is not True or not security.get("runAsUser"):
        yield f"{pods.owner} may run as root"
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield f"{pods.owner} has no seccomp profile"
    if "fsGroup" in security and security.get("fsGroupChangePolicy") != "OnRootMismatch":
        yield f"{pods.owner} changes the owner of whole volumes at each start"
    for field in ("sysctls", "seLinuxOptions", "windowsOptions", "appArmorProfile"):
        if security.get(field):
            yield f"{pods.owner} sets {field}"
    kinds = {"persistentVolumeClaim", "secret"}
    claims = {each["name"] for each in spec.get("volumes", ()) if kinds & set(each)}
    mounts = [mount for each in pods.containers for mount in each.get("volumeMounts", ())]
    if not security.get("fsGroup") and any(mount["name"] in claims for mount in mounts):
        yield f"{pods.owner} has no fsGroup to reach its volumes with"
    if spec.get("automountServiceAccountToken") is not False:
        yield f"{pods.owner} carries a token of the API server"
    if spec.get("enableServiceLinks") is not False:
        yield f"{pods.owner} gets the environment of other services"
    for volume in spec.get("volumes", ()):
        if not set(volume) - {"name"} <= VOLUMES:
            yield f"{pods.owner}'s volume {volume['name']} is not of a restricted kind"


def container_findings(pods: Pods, container: Object) -> Iterator[str]:
    name = f"{pods.owner}, container {container['name']},"
    security = container.get("securityContext", {})
    if security.get("allowPrivilegeEscalation") is not False or security.get("privileged"):
        yield f"{name} may gain privileges"
    if security.get("capabilities", {}).get("drop") != ["ALL"]:
        yield f"{name} keeps capabilities"
    if security.get("capabilities", {}).get("add"):
        yield f"{name} adds capabilities"
    if security.get("readOnlyRootFilesystem") is not True:
        yield f"{name} can write its root file system"
    if security.get("runAsNonRoot") is False or security.get("runAsUser") == 0:
        yield f"{name} runs as root"
    if security.get("seccompProfile", {"type": "RuntimeDefault"})["type"] != "RuntimeDefault":
        yield f"{name} drops the seccomp profile"
    for field in ("procMount", "seLinuxOptions", "windowsOptions", "appArmorProfile"):
        if security.get(field):
            yield f"{name} sets {field}"
    for port in container.get("ports", ()):
        if port.get("hostPort"):
            yield f"{name} takes a port of the node"
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        if container.get(kind, {}).get("httpGet", {}).get("host"):
            yield f"{name} has a {kind} that asks another host"


def traffic_as_expected(rendered: Manifests) -> Iterator[str]:
    """10: nobody speaks to anybody but those of the table; DNS for all."""
    denies = [
        each
        for each in rendered.of_kind("NetworkPolicy")
        if each["spec"]["podSelector"] == {}
        and set(each["spec"].get("policyTypes", ())) == {"Ingress", "Egress"}
        and not each["spec"].get("ingress")
        and not each["spec"].get("egress")
    ]
    if not denies:
        yield "NetworkPolicy/default-deny is missing: what no policy selects is open"
    for way in ("Ingress", "Egress"):
        found, expected = edges(rendered, way), expected_edges(rendered, way)
        for source, target, port in sorted(found - expected):
            yield f"NetworkPolicy: {way} from {source} to {target}:{port} is open"
        for source, target, port in sorted(expected - found):
            yield f"NetworkPolicy: {way} from {source} to {target}:{port} is refused"


def locked_triton(rendered: Manifests) -> Iterator[str]:
    """11: what administers Triton is locked; TLS is mutual where there is TLS."""
    (triton,) = rendered.pods("triton")
    arguments = triton.main["args"]
    for name, wanted in (
        ("--grpc-restricted-protocol", ADMIN),
        ("--http-restricted-api", HTTP_LOCKED),
    ):
        protocols, _, key = (flag(arguments, name) or "").partition(":")
        if missing := wanted - set(protocols.split(",")):
            yield f"Deployment/triton leaves {', '.join(sorted(missing))} open ({name})"
        elif not re.fullmatch(r"[a-z-]+=\$\([A-Z_]+\)", key):
            yield f"Deployment/triton locks {name} with a key that everybody can read"
    if flag(arguments, "--allow-client-shm") == "true":
        yield "Deployment/triton lets clients register shared memory"
    has_tls = rendered.find("Certificate", "triton") is not None
    if has_tls and flag(arguments, "--grpc-use-ssl-mutual") != "true":
        yield "Deployment/triton does not ask its clients for a certificate"
    for name in TLS_FLAGS if has_tls else ():
        if not flag(arguments, name):
            yield f"Deployment/triton has no {name}"
    for pods in rendered.pods():
        if pods.labels.get("beauty-retrieval/asks-triton") != "true":
            continue
        asking = [settings_of(rendered, each) for each in pods.containers]
        asking = [each for each in asking if "RETRIEVAL_ENGINE" in each]
        if not asking:
            yield f"{pods.owner} does not know where Triton is"
        has_files = all(set(each) >= TLS_SETTINGS for each in asking)
        if has_tls is not has_files:
            yield f"{pods.owner} and Triton disagree about TLS"
    yield from gateway_findings(rendered)


def gateway_findings(rendered: Manifests) -> Iterator[str]:
    """TLS ends once: in the Gateway, which speaks plain gRPC to the servers, or in those."""
    has_gateway = bool(rendered.of_kind("Gateway"))
    if has_gateway and "RETRIEVAL_TLS_CERT" in rendered.settings():
        yield "Gateway/beauty-retrieval speaks plain gRPC to servers that want TLS"
    for gateway in rendered.of_kind("Gateway"):
        for listener in gateway["spec"]["listeners"]:
            if listener["protocol"] != "HTTPS" or not listener.get("tls", {}).get(
                "certificateRefs"
            ):
                yield f"Gateway/{gateway['metadata']['name']} listens in the clear"
            if listener.get("allowedRoutes", {}).get("namespaces", {}).get("from") != "Same":
                yield f"Gateway/{gateway['metadata']['name']} takes routes of other namespaces"
    if (
        "RETRIEVAL_TOKEN_FILE" in rendered.settings()
        and "RETRIEVAL_TLS_CERT" not in rendered.settings()
    ):
        yield "ConfigMap/retrieval: tokens in the clear"


def pinned_images_and_no_secrets(rendered: Manifests) -> Iterator[str]:
    """12: an image says which, by digest in production; a secret is only referred to."""
    for pods in rendered.pods():
        for container in pods.containers:
            name, image = f"{pods.owner}, container {container['name']},", container["image"]
            has_digest = re.search(r"@sha256:[0-9a-f]{64}$", image) is not None
            has_tag = re.search(r":[0-9][\w.-]*$", image) is not None
            if rendered.name.startswith("gpu-prod") and not has_digest:
                yield f"{name} runs {image}, which has no digest"
            elif not has_digest and not has_tag:
                yield f"{name} runs {image}, whatever that is today"
            if container.get("imagePullPolicy") != "IfNotPresent":
                yield f"{name} has no imagePullPolicy, which then hangs on the tag"
            for each in container.get("env", ()):
                if SECRET_NAMES.search(each["name"]) and "value" in each:
                    yield f"{name} has a secret in {each['name']}"
    for each in rendered.of_kind("ConfigMap"):
        for key in each.get("data", {}):
            if SECRET_NAMES.search(key):
                yield f"ConfigMap/{each['metadata']['name']} has a secret in {key}"
    for each in rendered.of_kind("Secret"):
        yield f"Secret/{each['metadata']['name']} stands in the manifests"
