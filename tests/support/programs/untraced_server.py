"""A program with the modules of a server that traces nothing."""

import sys

import retrieval_server.serving.server  # noqa: F401 - what it imports is what is looked at
from retrieval_server.engines.triton import trace_headers


def check_nothing_is_traced() -> None:
    assert trace_headers() == {}
    assert not [name for name in sys.modules if name.startswith("opentelemetry")]
