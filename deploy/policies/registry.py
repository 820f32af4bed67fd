"""Every policy with its name, and all that they find in a rendering or in the sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from deploy.policies import security, sources, workloads
from deploy.policies.belonging import of_one_workload
from deploy.policies.changes import one_writer
from deploy.policies.compose import composed
from deploy.policies.environment import variables_that_fit
from deploy.policies.fields import fields_that_are_named
from deploy.policies.jobs import jobs_that_end
from deploy.policies.metrics import metrics_that_exist
from deploy.policies.monitoring import monitored
from deploy.policies.namespaces import one_namespace
from deploy.policies.references import references_that_resolve
from deploy.policies.rendering import DEPLOY, Manifests
from deploy.policies.rule_tests import untested_rules
from deploy.policies.services import balanced_connections
from deploy.policies.settings import consistent_settings
from deploy.policies.sizing import sized_by_the_rules
from deploy.policies.storage import shared_storage
from deploy.policies.traffic import traffic_as_expected

Subject = TypeVar("Subject")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        policy: name of the policy.
        problem: the object, as ``Kind/name``, and what is wrong with it.
        remedy: what to do.
    """

    policy: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        """The finding as one line."""
        return f"{self.problem}. {self.remedy} [policy {self.policy}]"


@dataclass(frozen=True)
class Policy(Generic[Subject]):
    """One thing that the manifests have to meet.

    Attributes:
        check: yields what is wrong, one line each that begins with the object.
        remedy: what to do, one sentence.
    """

    check: Callable[[Subject], Iterator[str]]
    remedy: str

    def findings(self, name: str, subject: Subject) -> list[Finding]:
        """What is wrong with a rendering or a tree.

        Args:
            name: of this policy.
            subject: the rendering or the tree.
        """
        try:
            problems = list(self.check(subject))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            problems = [f"An object is missing or has another form ({error!r})"]
        return [Finding(name, problem, self.remedy) for problem in problems]


POLICIES: dict[str, Policy[Manifests]] = {
    "1": Policy(
        workloads.separate_stateless_workloads,
        "Run Triton and the retrieval server as Deployments; mount the volumes that they read with "
        "readOnly.",
    ),
    "2": Policy(
        workloads.probes_that_tell_apart,
        "Set all three probes: a startupProbe of 120 s or more and a readinessProbe that ask for "
        "readiness, and a slower livenessProbe that asks for life alone.",
    ),
    "3": Policy(
        workloads.ends_within_its_grace,
        "Set a preStop sleep of 5 s or more, a drain time, and a terminationGracePeriodSeconds "
        "that is 5 s longer than both.",
    ),
    "4": Policy(
        workloads.rollouts_that_end,
        "Set maxSurge and maxUnavailable (1 and 0, or 0 and 1 with a GPU), minReadySeconds, "
        "progressDeadlineSeconds and revisionHistoryLimit.",
    ),
    "5": Policy(
        workloads.one_autoscaler_each,
        "Give each Deployment one autoscaler and no replicas; scale by load, not by memory, up "
        "within 60 s and down after 300 s or more.",
    ),
    "6": Policy(
        workloads.spread_and_protected,
        "Give each Deployment a PodDisruptionBudget of maxUnavailable 1, and spread its pods over "
        "zones and hosts.",
    ),
    "7": Policy(
        workloads.bounded_resources,
        "Request cpu, memory and ephemeral-storage, limit the last two but not cpu, give every "
        "emptyDir a sizeLimit, and take the number of threads from the request.",
    ),
    "8": Policy(
        workloads.models_that_stay_what_they_are,
        "Start Triton with --model-control-mode=none, name images of volumes by digest, and mount "
        "no folder of the node.",
    ),
    "9": Policy(
        security.restricted_pods,
        "Follow the Pod Security profile restricted, with a read-only root file system and a "
        "service account without a token for each workload.",
    ),
    "10": Policy(
        traffic_as_expected,
        "Change the NetworkPolicy, or the table EXPECTED_EDGES in deploy/policies/traffic.py if "
        "the connection is wanted.",
    ),
    "11": Policy(
        security.locked_triton,
        "Restrict Triton's administration with a key that is not written down, and use TLS at both "
        "ends of a connection or at none.",
    ),
    "12": Policy(
        security.pinned_images_and_no_secrets,
        "Name images by version, in production by digest, and refer to Secrets instead of writing "
        "their values.",
    ),
    "13": Policy(
        balanced_connections,
        "Keep the Services headless with named ports and their appProtocol, end connections after "
        "900 s at most, and route only the service's methods from outside.",
    ),
    "14": Policy(
        monitored,
        "Scrape every port metrics, give each alert a severity, a summary and a runbook, and let "
        "both servers send traces to one collector that they can reach.",
    ),
    "15": Policy(
        jobs_that_end,
        "Give each job a deadline, a time to live, restartPolicy Never and a podFailurePolicy that "
        "ignores evictions and stops at exit status 65.",
    ),
    "16": Policy(
        consistent_settings,
        "Make ports, probes and addresses equal to the settings, and use settings that "
        "beauty-server --help lists.",
    ),
    "17": Policy(
        metrics_that_exist,
        "Ask for metrics and labels of deploy/METRICS.md, or add the metric to the tables in "
        "deploy/policies/metrics.py if Triton or the cluster exports it.",
    ),
    "fields": Policy(
        fields_that_are_named,
        "Remove the field or correct its value; if it is right, name it in that file of "
        "deploy/policies/fields/schemas.",
    ),
    "belonging": Policy(
        of_one_workload,
        "Give the object the name of the workload that it is for, and run each program in its "
        "image.",
    ),
    "environment": Policy(
        variables_that_fit,
        "Set each variable once, and mount the keys of a Secret that the container reads.",
    ),
    "changes": Policy(
        one_writer,
        "Take changes by the one pod of the component changes, on the volume and with the settings "
        "of the retrieval server, and add changes after the components that it needs.",
    ),
    "storage": Policy(
        shared_storage,
        "Make a claim that several nodes use ReadWriteMany, and mount it with readOnly where "
        "nothing is written.",
    ),
    "sizing": Policy(
        sized_by_the_rules,
        "Follow the section Sizing of deploy/README.md.",
    ),
    "cases": Policy(
        untested_rules,
        "Add made-up series to a file of deploy/checks/rules.",
    ),
    "namespace": Policy(
        one_namespace,
        "Write NAMESPACE, and list the field in deploy/transformers/namespace.yaml; in a query, "
        "name the namespace in each selector that decides what is read.",
    ),
    "references": Policy(
        references_that_resolve,
        "Correct the name, or add the object that it refers to.",
    ),
}
SOURCE_POLICIES: dict[str, Policy[Path]] = {
    "kustomizations": Policy(
        sources.current_kustomizations,
        "List the file in kustomization.yaml or remove it, and use the fields of today's "
        "Kustomize.",
    ),
    "once": Policy(
        sources.everything_once,
        "Write an object, a setting and an image tag once, in deploy/base, and patch it elsewhere.",
    ),
    "images": Policy(
        sources.images_of_the_dockerfile,
        "Name the images after the stages of deploy/images/Dockerfile, with the version of "
        "pyproject.toml, in every overlay.",
    ),
    "compose": Policy(
        composed,
        "Correct the Compose file; if it is right, name the field in "
        "deploy/policies/fields/schemas.",
    ),
    "documented": Policy(
        sources.documented_components,
        "Add a row to the table of components in deploy/README.md.",
    ),
}


def findings(rendered: Manifests) -> list[Finding]:
    """Everything that is wrong with a rendering."""
    return [each for name, policy in POLICIES.items() for each in policy.findings(name, rendered)]


def source_findings(deploy: Path = DEPLOY) -> list[Finding]:
    """Everything that is wrong with the sources of a tree."""
    return [
        each for name, policy in SOURCE_POLICIES.items() for each in policy.findings(name, deploy)
    ]
