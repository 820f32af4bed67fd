"""The guide's commands for upgrades, rollbacks, many images and Secrets, with pods that run."""

import base64
import json
import re

import pytest
import yaml

from tests.control_plane.conftest import NewOverlay
from tests.support.control_plane.guide import GUIDE, Operator, commands_of
from tests.support.patience import eventually

pytestmark = pytest.mark.control_plane

APPLY = "kubectl apply -k deploy/overlays/gpu-prod"
CONFIG_OF = (
    "kubectl -n beauty-retrieval get deployment/retrieval "
    "--output jsonpath='{..envFrom[*].configMapRef.name}'"
)
EXISTS = "kubectl -n beauty-retrieval get configmap"


def test_the_first_deployment_becomes_complete(operator: Operator, new_overlay: NewOverlay) -> None:
    _, apply, wait = commands_of("From nothing to a served catalogue")
    overlay = new_overlay("cpu-dev")
    operator.do(apply, overlay)
    assert operator.do(wait) == "job.batch/smoke-test condition met\n"


def test_an_upgrade_can_be_rolled_back(operator: Operator, new_overlay: NewOverlay) -> None:
    operator.do(APPLY, new_overlay("gpu-prod"))
    before = operator.do(CONFIG_OF)
    changed = new_overlay("gpu-prod", settings={"retrieval": "RETRIEVAL_DRAIN_S=21"})
    for command in commands_of("Upgrade and rollback"):
        operator.do(command, changed)
    assert operator.do(CONFIG_OF) != before

    operator.do(".venv/bin/python -m deploy.leftovers deploy/overlays/gpu-prod", changed)
    operator.do("kubectl -n beauty-retrieval rollout undo deployment/retrieval")
    operator.do("kubectl -n beauty-retrieval rollout status deployment/retrieval")
    assert operator.do(CONFIG_OF) == before
    for name in before.split():
        operator.do(f"{EXISTS} {name}")
    operator.do("kubectl -n beauty-retrieval rollout restart deployment/retrieval")


def test_jobs_for_many_images_find_the_settings_that_changed(
    operator: Operator, new_overlay: NewOverlay
) -> None:
    operator.do(APPLY, new_overlay("gpu-prod"))
    changed = new_overlay("gpu-prod", settings={"index-build": "SHARDS=32"})
    delete, first, wait, second = commands_of("Many new images")
    operator.do(delete)
    operator.do(first, changed)
    jobs = "kubectl -n beauty-retrieval get jobs --output name"
    assert operator.do(jobs) == "job.batch/extract-descriptors\n"
    read = operator.do(f"{jobs.replace('name', 'yaml')}")
    for name in set(re.findall(r"name: (index-build-\w+|triton-\w{10})\n", read)):
        operator.do(f"{EXISTS} {name}")
    operator.do(wait)
    operator.do(second, changed)
    assert operator.do(jobs).split() == [
        "job.batch/extract-descriptors",
        "job.batch/merge-index",
        "job.batch/smoke-test",
    ]


def test_the_index_is_loaded_into_the_store_after_it_is_merged(
    operator: Operator, new_overlay: NewOverlay
) -> None:
    overlay = new_overlay("gpu-prod", ("many-nodes", "scale-out"))
    operator.do(APPLY, overlay)
    delete, first, wait, second = commands_of("A catalogue beyond one machine")
    operator.do(delete)
    operator.do(first, overlay)
    jobs = "kubectl -n beauty-retrieval get jobs --output name"
    made = {f"job.batch/{name}" for name in ("extract-descriptors", "fit-texts", "join-texts")}
    assert set(operator.do(jobs).split()) == {*made, "job.batch/merge-index"}
    operator.do(wait)
    operator.do(second, overlay)
    assert "job.batch/load-index" in operator.do(jobs).split()


def test_a_namespace_may_connect_to_the_writer(operator: Operator, new_overlay: NewOverlay) -> None:
    operator.do(APPLY, new_overlay("gpu-prod", ("tls", "client-tls", "changes")))
    operator.do("kubectl -n beauty-retrieval rollout status deployment/writer")
    office = f"{operator.namespace}-office"
    operator.do(f"kubectl create namespace {office}")
    label, _upsert = commands_of("A catalogue that changes")
    operator.do(label.replace("namespace office", f"namespace {office}"))
    policy = operator.do("kubectl -n beauty-retrieval get networkpolicy/writer -o json")
    (peer,) = json.loads(policy)["spec"]["ingress"][0]["from"]
    (allowed,) = peer["namespaceSelector"]["matchLabels"].items()
    selected = operator.do(f"kubectl get namespaces -l {'='.join(allowed)} -o name").split()
    assert f"namespace/{office}" in selected


def test_every_pod_can_use_the_pull_secret_of_the_guide(
    operator: Operator, new_overlay: NewOverlay
) -> None:
    written = commands_of("Images")
    (create,) = [each for each in written if "create secret" in each]
    patches = yaml.safe_load("\n".join(written[written.index("patches:") :]))
    operator.do(APPLY, new_overlay("gpu-prod", ("web",), **patches))
    operator.do(create)
    names = ("retrieval", "triton", "web", "extract-descriptors", "merge-index", "smoke-test")
    for name in names:
        pods = f"kubectl -n beauty-retrieval get pods -l app.kubernetes.io/name={name} --output "
        eventually(lambda shown=f"{pods} name": operator.do(shown))
        for pod in json.loads(operator.do(f"{pods} json"))["items"]:
            assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]


def test_secrets_of_the_guide_can_be_created(operator: Operator, new_overlay: NewOverlay) -> None:
    operator.do(APPLY, new_overlay("gpu-prod", ("tls", "client-tls")))
    certificate = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=a -keyout KEY -out CERT"
    operator.do(certificate)
    (gateway,) = re.findall(r"`(kubectl [^`]*gateway-tls[^`]*)`", GUIDE.read_text("utf-8"))
    operator.do(gateway.replace("cert=FILE", "cert=CERT").replace("key=FILE", "key=KEY"))
    make, create, more, join, replace, read, *_ = commands_of("Certificates and tokens")
    for command in (make, create, more, join, replace):
        operator.do(command)
    data = "kubectl -n beauty-retrieval get secret retrieval-tokens -o jsonpath='{.data.tokens}'"
    first, second = base64.b64decode(operator.do(data)).decode().splitlines()
    assert (operator.folder / "token").read_text() == f"{first}\n"
    assert (operator.folder / "change-token").read_text() == second.replace(" change", "\n")
    operator.do(
        "kubectl -n beauty-retrieval create secret generic retrieval-tls --from-file=ca.crt=token"
    )
    operator.do(read)
    assert (operator.folder / "ca.crt").read_text() == (operator.folder / "token").read_text()
