"""The component ``local-index``: the init container copies what the server then opens."""

import subprocess
from pathlib import Path

from deploy.policies.rendering import manifests
from deploy.policies.traffic import selects
from retrieval_server.__main__ import main as server_main
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import current_version, open_index
from tests.support.deploy.kubelet import Place, command_line
from tests.support.file_server import serving_files
from tests.support.patience import PATIENCE_S
from tests.support.programs.command import command


def test_the_init_container_copies_the_index_to_the_disk_of_the_pod(
    tiny_index: Path, tmp_path: Path
) -> None:
    rendered = manifests("cpu-dev", ("local-index",))
    (pods,) = rendered.pods("retrieval")
    first = pods.spec["initContainers"][0]
    source = rendered.environment_of(first)["INDEX_SOURCE"]

    with serving_files(tiny_index) as files:
        place = Place(
            programs={"beauty-server": command(server_main)},
            paths={"/index": tmp_path},
            ports={},
            words={source: files.url},
            left_out=frozenset({"NUMBA_CACHE_DIR"}),
        )
        words, env = command_line(rendered, pods, first, place)
        done = subprocess.run(
            words, env=env, check=False, capture_output=True, text=True, timeout=PATIENCE_S
        )

    assert done.returncode == 0, done.stderr
    assert current_version(tmp_path) == current_version(tiny_index)
    IndexBundle(open_index(tmp_path).folder).verify()


def test_the_server_waits_for_the_copy_and_cannot_change_it() -> None:
    (pods,) = manifests("gpu-prod", ("local-index",)).pods("retrieval")
    mounts = {
        each["name"]: [mount.get("readOnly", False) for mount in each["volumeMounts"]
                       if mount["name"] == "index"]
        for each in pods.containers
    }  # fmt: skip

    assert [each["name"] for each in pods.spec["initContainers"]] == ["fetch-index", "await-input"]
    assert mounts == {"fetch-index": [False], "await-input": [True], "retrieval": [True]}


def test_volumes_of_one_node_are_mounted_on_one_node() -> None:
    rendered = manifests("cpu-dev", ("web", "local-index"))
    modes = {each["metadata"]["name"]: each["spec"]["accessModes"]
             for each in rendered.of_kind("PersistentVolumeClaim")}  # fmt: skip
    mounting = [pods for pods in rendered.pods()
                if any("persistentVolumeClaim" in each for each in pods.volumes)]  # fmt: skip

    assert modes == {"catalogue": ["ReadWriteOnce"], "index": ["ReadWriteOnce"]}
    assert {pods.owner for pods in mounting} == {
        "CronJob/rebuild-index", "Deployment/web", "Job/extract-descriptors", "Job/merge-index",
        "Job/sample-catalogue", "Job/smoke-test",
    }  # fmt: skip
    for pods in mounting:
        affinity = pods.spec["affinity"]["podAffinity"]
        (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]
        assert term["topologyKey"] == "kubernetes.io/hostname"
        assert selects(term["labelSelector"], pods.labels), pods.owner
