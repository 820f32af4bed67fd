"""The schemas of fields: what they allow, and how they name what they do not."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.policies.containers import our_commands
from deploy.policies.fields import problems_of
from deploy.policies.fields.schema import SCHEMAS, Schema, load, problems
from deploy.policies.fields.values import TYPES, allows
from deploy.policies.rendering import manifests
from deploy.policies.settings import known_settings
from deploy.policies.tracing import OF_THE_SERVER
from tests.support.deploy.defects import ALL

OF_NOBODY = {
    "CATALOGUE",
    "SHARDS",
    "TEXT_SHARDS",
    "TEXT_PAIRS",
    "INDEX_SOURCE",
    "TRITON_TRACES_URL",
}
OF_NOBODY |= {"RESTART_AFTER_S", "RESTART_SPREAD_S"}
OF_NOBODY |= {"HOME", "NUMBA_CACHE_DIR", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}


@pytest.mark.parametrize(
    ("word", "allowed", "refused"),
    [
        (True, [True], [False, 1, "true"]),
        (5, [5], [50, "5", True]),
        ("Never", ["Never"], ["Always", None, ["Never"]]),
        ("5..60", [5, 60, 7.5, "60"], [4, 61, True, "1m", None]),
        ("16Mi..1Gi", ["16Mi", "1024Mi", "20M"], ["16", "16m", "15Mi", "2Gi", "1 Gi"]),
        ("10m..64", ["10m", "64", 2, "0.5"], ["9m", "65", "2000"]),
        ("30s..5m", ["30s", "5m", "300s"], ["29s", "6m", "1d", 60, "60"]),
        ("336h..8760h", ["336h", "30d"], ["24h", "525601m"]),
        ("<port>", [1, 65535], [0, 65536, "80", True]),
        ("<name>", ["a-1"], ["", "-a", "A", 1]),
        ("<path>", ["/tls/ca.crt"], ["tls", "/", "/tls/", "/a b"]),
        ("<host>", ["search.example.com"], ["*.example.com", ""]),
        ("<text>", ["a"], ["", "  ", 1]),
        ("<time-zone>", ["Etc/UTC"], ["Europe/Nowhere", None, ["Etc/UTC"]]),
    ],
)
def test_a_word_allows_its_values_and_no_others(
    word: object, allowed: list[Any], refused: list[Any]
) -> None:
    assert [value for value in allowed if not allows(word, value)] == []
    assert [value for value in refused if allows(word, value)] == []


@pytest.mark.parametrize(
    ("content", "value", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {}, ["a is missing"]),
        ({"a?": 1}, {}, []),
        ({"a": 1}, {"a": 1, "b": 2}, ["b is 2, a field without a name in"]),
        ({"a": {"b": "1..9"}}, {"a": {"b": 10}}, ["a.b is 10, not 1..9"]),
        ({"a": {"b": 1}}, {"a": None}, ["a is None, not an object with fields"]),
        ({"a": ["x", "y"]}, {"a": ["y", "x"]}, []),
        ({"a": ["x", "y"]}, {"a": []}, ["a is [], not a list with items"]),
        ({"a": ["x", "y"]}, {"a": ["z"]}, ["a[0] is 'z', not x | y"]),
        ({"a": "0 | 1 | <path>"}, {"a": 2}, ["a is 2, not 0 | 1 | <path>"]),
        ({"a": "0 | 1 | <path>"}, {"a": "/x"}, []),
        ({"<name>": 1}, {"any": 1, "other": 2}, ["other is 2, not 1"]),
        ({"a": [{"name": "<name>"}]}, {"a": [{"name": "x"}] * 2}, ["two items of the name x"]),
        # of two alternatives, the one that fits better is named
        ({"a": [{"b": 1, "c": 2}, {"d": 3}]}, {"a": [{"b": 1, "c": 9}]}, ["a[0].c is 9, not 2"]),
    ],
)
def test_a_problem_names_field_value_and_file(content: Any, value: Any, found: list[str]) -> None:
    words = problems(Schema("example", content), value)

    assert len(words) == len(found)
    for word, expected in zip(words, found, strict=True):
        assert expected in word
        assert "schemas/example.yaml" in word or "two items" in word


def test_a_field_that_is_included_can_be_described_anew() -> None:
    container = load("server_container")

    words = problems(container, {"resources": {"requests": {"cpu": "10m"}}})

    assert any("resources.requests.cpu is '10m', not 100m..64" in each for each in words)
    assert any("image is missing" in each for each in words)


def test_an_unknown_field_names_the_files_that_could_name_it() -> None:
    target = manifests("cpu-dev").get("Deployment/retrieval")
    pod = target["spec"]["template"]["spec"]
    changed = {**target, "spec": {**target["spec"], "template": {
        **target["spec"]["template"], "spec": {**pod, "dnsPolicy": "None"}}}}  # fmt: skip

    (found,) = problems_of(changed)

    assert found.startswith("Deployment/retrieval: spec.template.spec.dnsPolicy is 'None'")
    assert "schemas/scaled_deployment.yaml" in found
    assert "schemas/pod.yaml" in found


def test_a_kind_without_a_schema_is_named_with_the_file_to_write() -> None:
    (found,) = problems_of({"kind": "DaemonSet", "metadata": {"name": "x"}})

    assert found.startswith("DaemonSet/x")
    assert "deploy/policies/fields/schemas/DaemonSet.yaml" in found


def test_every_schema_is_used_and_every_word_of_it_is_understood() -> None:
    used = {"tritonserver", "triton_of_compose", "commands", "settings", "compose", "compose_gpu"}
    used |= {each["kind"] for parts in ((), ALL) for each in manifests("cpu-dev", parts).objects}
    for path in SCHEMAS.glob("*.yaml"):
        names = set(included(yaml.safe_load(path.read_text(encoding="utf-8"))))
        assert names <= set(TYPES) | stems(), path
        used |= names
    assert stems() - used == set()
    assert len({stem.lower() for stem in stems()}) == len(stems())  # also where case is ignored


def stems() -> set[str]:
    return {path.stem for path in Path(SCHEMAS).glob("*.yaml")}


def included(content: Any) -> list[str]:
    """The names that a schema has in angle brackets, or after ``also``."""
    if isinstance(content, dict):
        own = [content["also"]] if "also" in content else []
        return own + [x for pair in content.items() for part in pair for x in included(part)]
    if isinstance(content, list):
        return [name for each in content for name in included(each)]
    words = content.split(" | ") if isinstance(content, str) else []
    return [word.strip("<>?") for word in words if word.startswith("<")]


def test_every_variable_of_the_schema_is_read_by_something() -> None:
    commands = [each for top in our_commands().values() for each in walk(top)]
    known = {name for each in commands for name in ([each.envvar] if each.envvar else [])}
    known |= set(known_settings()) | OF_THE_SERVER | OF_NOBODY

    assert {name.rstrip("?") for name in load("settings").content} - known == set()


def walk(command: Any) -> list[Any]:
    below = [each for name in getattr(command, "commands", {}).values() for each in walk(name)]
    return [*command.params, *below]
