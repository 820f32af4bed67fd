"""Mistakes in expressions of rules: Prometheus takes them all, and each computes something else."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RuleMistake:
    """A changed rule.

    Attributes:
        name: what a reviewer would call it.
        rule: the alert, or the metric that is recorded.
        old: part of its expression, or of its ``for``.
        new: what stands there by mistake.
    """

    name: str
    rule: str
    old: str
    new: str


R = RuleMistake
RULE_MISTAKES = [
    R("a twentieth is free", "BeautyIndexVolumeFull", "< 0.1", "< 0.05"),
    R("every volume", "BeautyIndexVolumeFull", ', persistentvolumeclaim="index"', ""),
    R("a retry counts", "BeautyJobFailed", "kube_job_failed", "kube_job_status_failed"),
    R("after a success alone", "BeautyJobFailed", "unless", "and"),
    R("a later run does not end it", "BeautyJobFailed", "< on", "> on"),
    R("compactions fail for ever", "BeautyJobFailed", r"\(rebuild\|compact\)", "rebuild"),
    R("fires while all is well", "BeautyRetrievalNotReady", "== 0", "== 1"),
    R("absent in any namespace", "BeautyRetrievalAbsent", "beauty_ready{.*}", "beauty_ready"),
    R("present, not absent", "BeautyTritonAbsent", "absent", "sum"),
    R("share in percent", "BeautySearchErrors", "0.02", "2"),
    R("share of success", "BeautySearchErrors", "> 0.02", "< 0.02"),
    R("milliseconds", "BeautySearchSlow", "> 1$", "> 1000"),
    R("waits a day", "BeautySearchErrors", "5m$", "1d"),
    R("fires at once", "BeautyTritonQueue", "5m$", "0s"),
    R("three seconds, not three days", "BeautyIndexStale", r"3 \* 24 \* 3600", "3"),
    R("causes the other way round", "BeautyIndexRefused", "!=", "="),
    R("one version is one too many", "BeautyIndexesDiffer", "> 1", ">= 1"),
    R("counts servers, not versions", "BeautyIndexesDiffer", "namespace, version",
      "namespace, pod"),
    R("one restart is enough", "BeautyPodRestarts", "> 2", "> 0"),
    R("the writer is a server of the searches", "BeautyRetrievalAbsent",
      ', container!="writer"', ""),
    R("minutes behind in milliseconds", "BeautyChangesUnseen", "> 60", "> 60000"),
    R("the servers together", "BeautyChangesUnseen", "max by .*? \\(", "avg by (namespace) ("),
    R("at the first attempt that fails", "BeautyCompactionFails", "30m$", "1m"),
    R("compactions that succeed", "BeautyCompactionFails", "== 1", "== 0"),
    R("any Deployment", "BeautyWriterMissing", ', deployment="writer"', ""),
    R("at each restart of the writer", "BeautyWriterMissing", "10m$", "1m"),
    R("below the maximum", "BeautyAutoscalerAtMax", ">=", "<"),
    R("all models together", "BeautyTritonFailures", "namespace, model", "namespace"),
    R("a volume full at the last moment", "BeautyIndexVolumeFull", "< 0.1", "< 0.05"),
    R("any volume", "BeautyIndexVolumeFull", ', persistentvolumeclaim="index"', ""),
    R("a retry that succeeded", "BeautyJobFailed", "kube_job_failed{", "kube_job_status_failed{"),
    R("only after a success", "BeautyJobFailed", "unless", "and"),
    R("the runs before the last success", "BeautyJobFailed", "< on", "> on"),
    R("microseconds as milliseconds", "beauty:triton_queue_seconds:mean5m", "1e6", "1e3"),
    R("99th percentile of the median", "beauty:search_seconds:p99_5m", "0.99", "0.5"),
    R("a bad image is our fault", "beauty:searches_failed:rate5m", "UNKNOWN", "INVALID_ARGUMENT"),
    R("health checks are searches", "beauty:searches:rate5m", ', method="Search"', ""),
    R("the youngest index", "beauty:index_age_seconds", "min", "max"),
    R("turned round", "beauty:triton_batch_images:mean5m", "nv_inference_count",
      "nv_inference_exec_count"),
    R("other namespaces", "autoscaler:triton", "{.*}", ""),
    R("an image counted in each model", "autoscaler:triton", r"max by \(pod\) ", ""),
    R("health checks scale the servers", "autoscaler:retrieval", ', method="Search"', ""),
]  # fmt: skip
