"""Policy "environment": each variable is known, set once, and names a file that is there.

Files of Secrets are compared by their keys: those that cert-manager writes, and those that people
make as ``deploy/README.md`` says.
"""

from __future__ import annotations

from collections.abc import Iterator

from deploy.policies.fields.schema import load, problems
from deploy.policies.rendering import Manifests, Object, Pods, name_of

OF_A_CERTIFICATE = {"ca.crt", "tls.crt", "tls.key"}
# Secrets that people create, as deploy/README.md explains, with their keys.
MADE_BY_HAND = {
    "gateway-tls": {"tls.crt", "tls.key"},
    "retrieval-tokens": {"tokens", "smoke-test", "web"},
    "milvus-access": {"ca.crt", "token"},
}
# The key that a variable or an argument with some ending names.
FILES = {
    "_CA": "ca.crt",
    "_CERT": "tls.crt",
    "_KEY": "tls.key",
    "-root-cert": "ca.crt",
    "-server-cert": "tls.crt",
    "-server-key": "tls.key",
}
PUBLIC = {"ca.crt", "tls.crt"}
ENGINE = "triton"  # what answers has to be what described the catalogue


def variables_that_fit(rendered: Manifests) -> Iterator[str]:
    """Variables are known and set once; the files that they name are keys of their Secret."""
    keys = keys_of_secrets(rendered)
    for pods in rendered.pods():
        for container in pods.containers:
            name = f"{pods.owner}, container {container['name']},"
            yield from (f"{name} {words}" for words in _variable_findings(rendered, container))
            yield from (f"{name} {words}" for words in _file_findings(rendered, pods, container))
        yield from _item_findings(pods, keys)


def keys_of_secrets(rendered: Manifests) -> dict[str, set[str]]:
    """The keys of every Secret that a Certificate or a person makes, by its name."""
    made = {each["spec"]["secretName"] for each in rendered.of_kind("Certificate")}
    return dict.fromkeys(made, OF_A_CERTIFICATE) | MADE_BY_HAND


def _variable_findings(rendered: Manifests, container: Object) -> Iterator[str]:
    own = {each["name"]: each["value"] for each in container.get("env", ()) if "value" in each}
    yield from problems(load("settings"), own, "env")
    shared: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        config = source["configMapRef"]["name"]
        for variable in (rendered.find("ConfigMap", config) or {"data": {}})["data"]:
            if variable in shared:
                yield f"gets {variable} of two ConfigMaps, {shared[variable]} and {config}"
            shared[variable] = config
    for each in container.get("env", ()):
        key = each.get("valueFrom", {}).get("configMapKeyRef", {}).get("key", each["name"])
        if key != each["name"]:
            yield f"takes {each['name']} from {key}"
        if each["name"] in shared:
            yield f"sets {each['name']}, which hides that of ConfigMap/{shared[each['name']]}"
    if rendered.environment_of(container).get("RETRIEVAL_ENGINE", ENGINE) != ENGINE:
        yield f"has another RETRIEVAL_ENGINE than {ENGINE}, whose descriptors the server compares"


def _file_findings(rendered: Manifests, pods: Pods, container: Object) -> Iterator[str]:
    """A path into a Secret leads to the file that it should, and no key is there unread."""
    named = rendered.environment_of(container)
    named |= dict(each.split("=", 1) for each in container.get("args", ()) if "=" in each)
    secrets = {each["name"]: each["secret"] for each in pods.volumes if "secret" in each}
    mounts = [each for each in container.get("volumeMounts", ()) if each["name"] in secrets]
    for mount in mounts:
        folder, secret = f"{mount['mountPath']}/", secrets[mount["name"]]
        items = {each["path"] for each in secret.get("items", ())}
        files = items or keys_of_secrets(rendered).get(secret["secretName"], set())
        read = {
            name: path.removeprefix(folder)
            for name, path in named.items()
            if path.startswith(folder)
        }
        for name, file in read.items():
            if file not in files:
                yield f"reads {folder}{file}, which the volume {mount['name']} does not have"
            for ending, key in FILES.items():
                if name.endswith(ending) and file != key:
                    yield f"has {folder}{file} for {name}, not {key}"
        for file in sorted(files - set(read.values()) - (set() if items else PUBLIC)):
            yield f"has the file {folder}{file} of a Secret and does not read it (items)"
        for name, file in read.items():
            if file == "tls.key":
                yield from _owner_findings(rendered, pods, name, secret["secretName"])


def _owner_findings(rendered: Manifests, pods: Pods, variable: str, secret: str) -> Iterator[str]:
    """The key of a server is read by that server, the key of Triton's clients by those."""
    is_for_server = "TRITON_TLS" not in variable
    for each in rendered.of_kind("Certificate"):
        if each["spec"]["secretName"] == secret:
            is_server = "server auth" in each["spec"].get("usages", ())
            is_own = pods.owner.split("/")[1] == each["metadata"]["name"]
            if is_server is not is_for_server or (is_server and not is_own):
                yield f"reads the key of {name_of(each)} for {variable}"


def _item_findings(pods: Pods, keys: dict[str, set[str]]) -> Iterator[str]:
    for volume in pods.volumes:
        secret = volume.get("secret", {})
        known = keys.get(secret.get("secretName", ""), set())
        for item in secret.get("items", ()):
            if item["key"] != item["path"]:
                yield f"{pods.owner} mounts the key {item['key']} of a Secret as {item['path']}"
            if known and item["key"] not in known:
                yield (
                    f"{pods.owner} mounts the key {item['key']} of Secret/{secret['secretName']}, "
                    f"which has {', '.join(sorted(known))}"
                )
