"""Policy 15, on jobs: they end, shards fail alone, and bad input is not tried again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from deploy.policies.containers import commands_of
from deploy.policies.rendering import Manifests, Object, name_of
from deploy.policies.rendering.quantities import flag, number
from deploy.policies.sizing import index_build
from deploy.policies.workloads import WRITER
from export.text_index.pair_join import shard_pairs

BAD_INPUT = 65  # EX_DATAERR: the exit status of our commands where a retry does not help
MERGES = "Job/merge-index"
LONGEST_BUILD_S = 12 * 3600  # half a million images on one core take 7 hours
JOBS = {"Job/smoke-test"}
BUILDS = {"Job/extract-descriptors", "Job/merge-index"}
OF_FILES = {"CronJob/rebuild-index"}
OF_CHANGES = {"CronJob/compact-index"}  # in place of what builds the index
OF_A_STORE = {"Job/fit-texts", "Job/join-texts", "Job/load-index"}
COUNTS = {"Job/extract-descriptors": "SHARDS", "Job/join-texts": "TEXT_PAIRS"}  # of completions
SCHEDULE = re.compile(  # minute, hour, day, month, weekday: once a day or once a week
    r"([0-5]?\d) ([01]?\d|2[0-3]) \* \* (\*|[0-6])"
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
            yield f"{name} has the schedule {spec['schedule']!r}, not one of each day or week"
    for name, spec in jobs.items():
        yield from _job_findings(name, spec)
        if spec.get("completionMode") == "Indexed":
            counted = COUNTS.get(name, "")
            main = spec["template"]["spec"]["containers"][0]
            count = (index_build(rendered) | rendered.environment_of(main)).get(counted)
            if count != str(spec["completions"]):
                yield f"{name} has {spec['completions']} indexes, but {counted} is {count}"
    wanted = JOBS | (OF_CHANGES if rendered.pods(WRITER) else _building(rendered))
    yield from (f"{name} is missing" for name in sorted(wanted - set(jobs)))
    yield from _smoke_findings(rendered, jobs)
    yield from handed_over(rendered, jobs)
    for name in COUNTS:
        if name in wanted and jobs.get(name, {}).get("completionMode") != "Indexed":
            yield f"{name} does not have the completionMode Indexed"


def _building(rendered: Manifests) -> set[str]:
    """The jobs that make an index of the catalogue's file."""
    return BUILDS | (OF_A_STORE if rendered.has_store else OF_FILES)


def _smoke_findings(rendered: Manifests, jobs: dict[str, Object]) -> Iterator[str]:
    for pods in rendered.pods("smoke-test"):
        arguments = pods.main.get("args", ())
        for option in ("--server", "--catalogue"):
            if not flag(arguments, option):
                yield f"Job/smoke-test has no {option}"
        catalogue = rendered.environment_of(pods.main).get("CATALOGUE")
        if flag(arguments, "--catalogue") not in {"$(CATALOGUE)", catalogue}:
            yield "Job/smoke-test has another --catalogue than the jobs"
        if (flag(arguments, "--server") or "").partition(":")[0] != "retrieval":
            yield f"Job/smoke-test searches at {flag(arguments, '--server')}, not at retrieval"
        deadline = jobs["Job/smoke-test"].get("activeDeadlineSeconds", 0)
        if number(flag(arguments, "--wait")) >= deadline:
            yield "Job/smoke-test waits as long as its activeDeadlineSeconds, or longer"


def handed_over(rendered: Manifests, jobs: dict[str, Object]) -> Iterator[str]:
    """What one job writes is what the next one reads, and what the server serves.

    Args:
        rendered: with the jobs.
        jobs: their specifications, by name.
    """
    extracting, indexing = _runs(rendered, "extract"), _runs(rendered, "index")
    fitting, joining = _runs(rendered, "fit-texts"), _runs(rendered, "join-texts")
    loading, compacting = _runs(rendered, "load"), _runs(rendered, "compact")
    served = rendered.settings().get("RETRIEVAL_INDEX", "")  # the index, or a version in it
    if loading:
        served = loading[0][1][2]
    written = [flag(arguments, "--output") or "" for _, arguments in indexing]
    root = next((each for each in written if each in {served, served.rpartition("/")[0]}), served)
    texts = f"{root}/.texts" if fitting else None
    build = index_build(rendered)
    shards = {"--shards": build.get("SHARDS")}
    for owner, arguments in extracting:
        wanted = {"--output": f"{root}/.shards", "--reuse": root, **shards}
        yield from _differing(owner, arguments, wanted)
    merging = {MERGES, *(owner for owner, _ in extracting)}
    for owner, arguments in indexing:
        merges = owner in merging or flag(arguments, "--from-shards")
        if merges and "--remove-shards" not in arguments:
            yield f"{owner} leaves the shards on the volume (--remove-shards)"
        wanted = {"--from-shards": f"{root}/.shards", **shards} if merges else {}
        wanted |= {"--joined-texts": texts} if merges else {}
        yield from _differing(owner, arguments, {"--output": root, **wanted})
    for owner, arguments in fitting:
        wanted = {"--output": texts, "--from-shards": f"{root}/.shards"}
        yield from _differing(owner, arguments, wanted | {"--shards": build.get("TEXT_SHARDS")})
    for owner, arguments, folder in (
        *((*each, texts) for each in joining),
        *((*each, root) for each in (*loading, *compacting)),
    ):
        if arguments[2] != folder:
            yield f"{owner} reads {arguments[2]}, not {folder}"
    for owner, arguments in (*extracting, *fitting, *indexing, *_runs(rendered, "sample")):
        if arguments[2] != build.get("CATALOGUE"):
            yield f"{owner} has the catalogue {arguments[2]}, not {build.get('CATALOGUE')}"
    yield from _pair_findings(build)
    yield from _waiting_findings(rendered)
    for owner, _ in (*extracting, *fitting, *joining, *indexing, *loading, *compacting):
        deadline = jobs[owner].get("activeDeadlineSeconds", 0)
        if deadline < LONGEST_BUILD_S:
            yield f"{owner} is stopped after {deadline} s; it may need {LONGEST_BUILD_S} s"


def _waiting_findings(rendered: Manifests) -> Iterator[str]:
    """The merge waits for each folder that it reads."""
    for pods in rendered.pods("merge-index"):
        scripts = [" ".join(each.get("args", ())) for each in pods.spec.get("initContainers", ())]
        for option in ("--from-shards", "--joined-texts"):
            folder = flag(pods.main.get("args", ()), option)
            if folder and not any(folder in script for script in scripts):
                yield f"{pods.owner} does not wait for what {option} takes from {folder}"


def _pair_findings(build: dict[str, str]) -> Iterator[str]:
    shards, pairs = build.get("TEXT_SHARDS"), build.get("TEXT_PAIRS")
    if shards is not None and str(len(shard_pairs(int(shards)))) != pairs:
        yield f"ConfigMap/index-build: {shards} TEXT_SHARDS do not make {pairs} TEXT_PAIRS"


def _runs(rendered: Manifests, verb: str) -> list[tuple[str, list[str]]]:
    """Every run of ``beauty-export VERB``: the workload, and the words of the command."""
    return [
        (pods.owner, words)
        for pods in rendered.pods()
        for container in pods.containers
        for words in commands_of(rendered, container)
        if words[:2] == ["beauty-export", verb]
    ]


def _differing(
    owner: str, arguments: Sequence[str], wanted: Mapping[str, str | None]
) -> Iterator[str]:
    for option, value in wanted.items():
        if flag(arguments, option) != value:
            yield f"{owner} has {option} {flag(arguments, option)}, not {value} as the others"


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
    if is_indexed and "parallelism" not in spec:
        yield f"{name} works at one index after the other (parallelism)"
    if spec.get("parallelism", 1) > spec.get("completions", 1):
        yield f"{name} starts more pods than it has completions (parallelism)"
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
