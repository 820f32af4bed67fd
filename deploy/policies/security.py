"""Policies 9, 11 and 12, on security: pods, Triton's administration, TLS, images, secrets."""

import re
from collections.abc import Iterator

from deploy.policies.gateway import gateway_findings
from deploy.policies.rendering import Manifests, Object, Pods, name_of
from deploy.policies.rendering.quantities import flag, hours, number

LEVELS = ("enforce", "warn", "audit")
# Volumes that the profile "restricted" allows.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image"}
VOLUMES |= {"persistentVolumeClaim", "projected", "secret"}
ADMIN = {"shared-memory", "model-config", "model-repository", "statistics", "trace", "logging"}
HTTP_LOCKED = ADMIN | {"metadata", "inference"}
TLS_FLAGS = ("--grpc-server-cert", "--grpc-server-key", "--grpc-root-cert")
NEEDED_BY_CLIENTS = {
    "RETRIEVAL_TLS_CERT": "BEAUTY_SEARCH_TLS_CA",
    "RETRIEVAL_TOKEN_FILE": "BEAUTY_SEARCH_TOKEN_FILE",
}
TLS_SETTINGS = {f"RETRIEVAL_TRITON_TLS_{each}" for each in ("CA", "CERT", "KEY")}
SECRET_NAMES = re.compile(r"(TOKEN|PASSWORD|SECRET|ACCESS_KEY|CREDENTIAL|API_KEY)S?$")


def restricted_pods(rendered: Manifests) -> Iterator[str]:
    """9: the namespace enforces the profile "restricted", and every pod is stricter than it."""
    for namespace in rendered.of_kind("Namespace"):
        labels = namespace["metadata"].get("labels", {})
        for level in LEVELS:
            if labels.get(f"pod-security.kubernetes.io/{level}") != "restricted":
                yield f"{name_of(namespace)} does not {level} the profile restricted"
    if not rendered.of_kind("Namespace"):
        yield "The Namespace is missing"
    for account in rendered.of_kind("ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield f"{name_of(account)} does not set automountServiceAccountToken to false"
    for each in rendered.of_kind("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"):
        yield f"{name_of(each)} gives rights on the API server, which no pod needs"
    accounts = [pods.spec.get("serviceAccountName", "default") for pods in rendered.pods()]
    for pods, account in zip(rendered.pods(), accounts, strict=True):
        yield from _pod_findings(pods)
        yield from (words for each in pods.containers for words in _container_findings(pods, each))
        if account == "default" or accounts.count(account) > 1:
            yield f"{pods.owner} has no service account of its own ({account})"


def _pod_findings(pods: Pods) -> Iterator[str]:
    spec, security = pods.spec, pods.spec.get("securityContext", {})
    for field in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
        if spec.get(field):
            yield f"{pods.owner} sets {field}"
    if security.get("runAsNonRoot") is not True or not security.get("runAsUser"):
        yield f"{pods.owner} may run as root"
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield f"{pods.owner} has no seccomp profile"
    if "fsGroup" in security and security.get("fsGroupChangePolicy") != "OnRootMismatch":
        yield f"{pods.owner} changes the owner of all files at each start (fsGroupChangePolicy)"
    for field in ("sysctls", "seLinuxOptions", "windowsOptions", "appArmorProfile"):
        if security.get(field):
            yield f"{pods.owner} sets {field}"
    kinds = {"persistentVolumeClaim", "secret"}
    claims = {each["name"] for each in spec.get("volumes", ()) if kinds & set(each)}
    mounts = [mount for each in pods.containers for mount in each.get("volumeMounts", ())]
    if not security.get("fsGroup") and any(mount["name"] in claims for mount in mounts):
        yield f"{pods.owner} has no fsGroup, so that it cannot read its volumes"
    if spec.get("automountServiceAccountToken") is not False:
        yield f"{pods.owner} mounts a token of the API server (automountServiceAccountToken)"
    if spec.get("enableServiceLinks") is not False:
        yield f"{pods.owner} gets variables of other services (enableServiceLinks)"
    for volume in spec.get("volumes", ()):
        if not set(volume) - {"name"} <= VOLUMES:
            yield (
                f"{pods.owner}'s volume {volume['name']} is of a kind that the profile "
                "restricted refuses"
            )


def _container_findings(pods: Pods, container: Object) -> Iterator[str]:
    name = f"{pods.owner}, container {container['name']},"
    security = container.get("securityContext", {})
    if security.get("allowPrivilegeEscalation") is not False or security.get("privileged"):
        yield f"{name} may gain privileges (allowPrivilegeEscalation)"
    if security.get("capabilities", {}).get("drop") != ["ALL"]:
        yield f"{name} does not drop ALL capabilities"
    if security.get("capabilities", {}).get("add"):
        yield f"{name} adds capabilities"
    if security.get("readOnlyRootFilesystem") is not True:
        yield f"{name} can write its root file system (readOnlyRootFilesystem)"
    if security.get("runAsNonRoot") is False or security.get("runAsUser") == 0:
        yield f"{name} runs as root"
    if security.get("seccompProfile", {"type": "RuntimeDefault"})["type"] != "RuntimeDefault":
        yield f"{name} has another seccomp profile than RuntimeDefault"
    for field in ("procMount", "seLinuxOptions", "windowsOptions", "appArmorProfile"):
        if security.get(field):
            yield f"{name} sets {field}"
    for port in container.get("ports", ()):
        if port.get("hostPort"):
            yield f"{name} uses a port of the node (hostPort)"
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        if container.get(kind, {}).get("httpGet", {}).get("host"):
            yield f"{name} has a {kind} that asks another host"


def locked_triton(rendered: Manifests) -> Iterator[str]:
    """11: the administration of Triton is restricted; TLS to Triton is mutual."""
    (triton,) = rendered.pods("triton")
    arguments = triton.main["args"]
    for name, wanted in (
        ("--grpc-restricted-protocol", ADMIN),
        ("--http-restricted-api", HTTP_LOCKED),
    ):
        protocols, _, key = (flag(arguments, name) or "").partition(":")
        if missing := wanted - set(protocols.split(",")):
            yield f"Deployment/triton does not restrict {', '.join(sorted(missing))} ({name})"
        elif not re.fullmatch(r"[a-z-]+=\$\([A-Z_]+\)", key):
            yield f"Deployment/triton has the key of {name} in its arguments"
    if flag(arguments, "--allow-client-shm") == "true":
        yield "Deployment/triton lets clients register shared memory (--allow-client-shm)"
    has_tls = rendered.find("Certificate", "triton") is not None
    if has_tls and flag(arguments, "--grpc-use-ssl-mutual") != "true":
        yield (
            "Deployment/triton does not require a certificate of its clients "
            "(--grpc-use-ssl-mutual)"
        )
    yield from _restart_findings(rendered) if has_tls else ()
    for name in TLS_FLAGS if has_tls else ():
        if not flag(arguments, name):
            yield f"Deployment/triton has no {name}"
    for pods in rendered.pods():
        if pods.labels.get("beauty-retrieval/asks-triton") != "true":
            continue
        asking = [rendered.environment_of(each) for each in pods.containers]
        asking = [each for each in asking if "RETRIEVAL_ENGINE" in each]
        if not asking:
            yield f"{pods.owner} asks Triton but has no RETRIEVAL_ENGINE"
        has_files = all(set(each) >= TLS_SETTINGS for each in asking)
        if has_tls is not has_files:
            yield f"{pods.owner} uses TLS to Triton where Triton has none, or the reverse"
    yield from _client_findings(rendered)
    if (
        "RETRIEVAL_TOKEN_FILE" in rendered.settings()
        and "RETRIEVAL_TLS_CERT" not in rendered.settings()
    ):
        yield "ConfigMap/retrieval: clients send tokens without TLS"
    yield from gateway_findings(rendered)


def _client_findings(rendered: Manifests) -> Iterator[str]:
    """Our own clients of the server have the authority and the token that it wants."""
    for pods in rendered.pods():
        if pods.labels.get("beauty-retrieval/client") == "true":
            given = rendered.environment_of(pods.main)
            for asked, needed in NEEDED_BY_CLIENTS.items():
                if (asked in rendered.settings()) is not (needed in given):
                    yield f"{pods.owner} has {needed} and the server no {asked}, or the reverse"


def _restart_findings(rendered: Manifests) -> Iterator[str]:
    """Triton reads its certificate when it starts, and starts again before that one expires."""
    env = rendered.environment_of(rendered.pods("triton")[0].main)
    oldest_h = sum(number(env.get(f"RESTART_{each}_S")) for each in ("AFTER", "SPREAD")) / 3600
    valid_h = hours(rendered.get("Certificate/triton")["spec"]["renewBefore"])
    if not 0 < oldest_h < valid_h:
        yield (
            f"Deployment/triton starts again after {oldest_h:g} h (RESTART_AFTER_S), and its "
            f"certificate may expire after {valid_h:g} h"
        )


def pinned_images_and_no_secrets(rendered: Manifests) -> Iterator[str]:
    """12: images have a version, in production a digest; secrets are referred to."""
    for pods in rendered.pods():
        for container in pods.containers:
            name, image = f"{pods.owner}, container {container['name']},", container["image"]
            has_digest = re.search(r"@sha256:[0-9a-f]{64}$", image) is not None
            has_tag = re.search(r":[0-9][\w.-]*$", image) is not None
            if rendered.is_production and not has_digest:
                yield f"{name} runs {image}, which has no digest"
            elif not has_digest and not has_tag:
                yield f"{name} runs {image}, which names no version"
            if container.get("imagePullPolicy") != "IfNotPresent":
                yield f"{name} does not have the imagePullPolicy IfNotPresent"
            for each in container.get("env", ()):
                if SECRET_NAMES.search(each["name"]) and "value" in each:
                    yield f"{name} has the value of a secret in {each['name']}"
    for each in rendered.of_kind("ConfigMap"):
        for key in each.get("data", {}):
            if SECRET_NAMES.search(key):
                yield f"{name_of(each)} has the value of a secret in {key}"
    for each in rendered.of_kind("Secret"):
        yield f"{name_of(each)} is in the manifests, with its values"
