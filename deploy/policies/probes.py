"""What a probe asks: by the kubelet itself, or by curl in a command of the container."""

from __future__ import annotations

import re

from deploy.policies.rendering import Object

ASKED_BY_CURL = re.compile(r"\bcurl\b[^\n|;&]* http://localhost:(\d+)(/\S*)")


def http_request(probe: Object) -> tuple[int | str | None, str]:
    """The port, by name or number, and the path that a probe asks by HTTP; None where it does not.

    Args:
        probe: of a container.
    """
    if "exec" in probe:
        found = ASKED_BY_CURL.search(" ".join(probe["exec"].get("command", ())))
        return (int(found[1]), found[2]) if found else (None, "nothing")
    request = probe.get("httpGet", {})
    return request.get("port"), str(request.get("path", "nothing"))
