"""Policy 15, on jobs: they end, shards fail alone, and bad input is not tried again."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploy.policies.rendering import Manifests, Object, name_of
from deploy.policies.rendering.quantities import flag

BAD_INPUT = 65  # EX_DATAERR: the exit status of our commands where a retry does not help
JOBS = {
    "Job/extract-descriptors",
    "Job/merge-index",
    "Job/smoke-test",
    "CronJob/rebuild-index",
}
SCHEDULE = re.compile(  # minute, hour, day, month, weekday; without steps and lists
    r"([0-5]?\d) ([01]?\d|2[0-3]) (\*|[12]?\d|3[01]) (\*|[1-9]|1[0-2]) (\*|[0-6])"
)


def jobs_that_end(rendered: Manifests) -> Iterator[str]:
    """15: shards fail alone, bad input is not retried, and no job runs without end or twice."""
    jobs = {name_of(each): each["spec"] for each in rendered.of_kind("Job")}
    crons = rendered.of_kind("CronJob")
    for each in crons:
        name, spec = name_of(each), each["spec"]
        jobs[name] = spec["jobTemplate"]["spec"]
        if spec.get("concurrencyPolicy") != "Forbid":
            yield f"{name} may start before its last run ends (concurrencyPolicy)"
        if not spec.get("startingDeadlineSeconds") or not spec.get("timeZone"):
            yield f"{name} has no startingDeadlineSeconds or no timeZone"
        if not SCHEDULE.fullmatch(spec["schedule"]):
            yield f"{name} has the schedule {spec['schedule']!r}"
    for name, spec in jobs.items():
        yield from _job_findings(name, spec)
        if spec.get("completionMode") == "Indexed":
            shards = rendered.environment_of(spec["template"]["spec"]["containers"][0]).get(
                "SHARDS"
            )
            if shards != str(spec["completions"]):
                yield f"{name} has {spec['completions']} indexes for {shards} shards"
    yield from (f"{name} is missing" for name in sorted(JOBS - set(jobs)))
    smoke = rendered.pods("smoke-test")
    for option in ("--server", "--catalogue") if smoke else ():
        if not flag(smoke[0].main.get("args", ()), option):
            yield f"Job/smoke-test has no {option}"
    if jobs.get("Job/extract-descriptors", {}).get("completionMode") != "Indexed":
        yield "Job/extract-descriptors does not have the completionMode Indexed"


def _job_findings(name: str, spec: Object) -> Iterator[str]:
    pod = spec["template"]["spec"]
    if pod.get("restartPolicy") != "Never":
        yield f"{name} restarts containers, which its podFailurePolicy does not see"
    for field, lack in (
        ("activeDeadlineSeconds", "has no activeDeadlineSeconds"),
        ("ttlSecondsAfterFinished", "has no ttlSecondsAfterFinished"),
    ):
        if not spec.get(field):
            yield f"{name} {lack}"
    if spec.get("podReplacementPolicy") != "Failed":
        yield f"{name} starts a second pod before the first one has ended (podReplacementPolicy)"
    is_indexed = spec.get("completionMode") == "Indexed"
    actions = _failure_actions(spec)
    if actions.get("DisruptionTarget") != "Ignore":
        yield f"{name} counts an evicted pod as a failure (podFailurePolicy)"
    if actions.get("bad input") != ("FailIndex" if is_indexed else "FailJob"):
        yield f"{name} retries bad input, exit status {BAD_INPUT} (podFailurePolicy)"
    if is_indexed:
        if "backoffLimitPerIndex" not in spec or spec.get("maxFailedIndexes") == 0:
            yield (
                f"{name} fails as a whole because of one shard (backoffLimitPerIndex, "
                "maxFailedIndexes)"
            )
    elif "backoffLimit" not in spec:
        yield f"{name} has no backoffLimit"


def _failure_actions(spec: Object) -> dict[str, str]:
    """The actions of a job on evictions and on bad input."""
    actions = {}
    for rule in spec.get("podFailurePolicy", {}).get("rules", ()):
        for condition in rule.get("onPodConditions", ()):
            actions[condition["type"]] = rule["action"]
        if BAD_INPUT in rule.get("onExitCodes", {}).get("values", ()):
            actions["bad input"] = rule["action"]
    return actions
