"""The policies find what they are meant to find: seeded faults, one at a time."""

from dataclasses import replace

import pytest

from deploy.policies.checkers import KUBERNETES, validate
from deploy.policies.registry import POLICIES, findings
from deploy.policies.rendering import manifests
from tests.support.deploy.defects import ALL, BEYOND, CHANGING, DEFECTS, INSIDE, LOCAL
from tests.support.deploy.operator_mistakes import OPERATOR_MISTAKES
from tests.support.deploy.seeded_defect import Defect

IN_PYTHON = [each for each in DEFECTS if each.found_by != "schema"]
IN_SCHEMAS = [each for each in DEFECTS if each.found_by == "schema"]


@pytest.mark.parametrize("defect", IN_PYTHON, ids=lambda defect: defect.name)
def test_a_seeded_fault_is_found_where_it_is(defect: Defect) -> None:
    assert findings(defect.sound()) == []
    found = findings(defect.damaged())

    policy, name = str(defect.found_by), defect.named or defect.target
    assert [each for each in found if each.policy == policy and name in each.problem], found


def test_every_seeded_fault_of_form_is_found_by_the_schemas() -> None:
    damaged = [next(each for each in defect.damaged().objects if is_target(each, defect))
               for defect in IN_SCHEMAS]  # fmt: skip
    found = validate(damaged, KUBERNETES[0])

    unnoticed = [d.name for d, words in zip(IN_SCHEMAS, found, strict=True) if not words]
    assert unnoticed == []


def is_target(each: dict[str, object], defect: Defect) -> bool:
    name = f"{each['kind']}/{each['metadata']['name']}"
    return name == (defect.named or defect.target)


@pytest.mark.parametrize(
    "parts",
    [ALL, INSIDE, ("web", *LOCAL), BEYOND, CHANGING],
    ids=["gateway", "inside", "web", "beyond one machine", "changes"],
)
def test_an_object_that_is_missing_is_noticed(parts: tuple[str, ...]) -> None:
    whole = manifests("gpu-prod", parts)

    unnoticed = [
        f"{missing['kind']}/{missing['metadata']['name']}"
        for missing in whole.objects
        if not findings(replace(whole, objects=[o for o in whole.objects if o is not missing]))
    ]
    assert unnoticed == []


def test_every_policy_has_a_fault_to_find_and_every_fault_a_name_of_its_own() -> None:
    meant = {str(each.found_by) for each in (*DEFECTS, *OPERATOR_MISTAKES)}
    names = [each.name for each in (*DEFECTS, *OPERATOR_MISTAKES)]

    assert meant | {"cases"} == {*POLICIES, "schema"}  # test_manifest_mistakes has that one's
    assert sorted(set(names)) == sorted(names)
