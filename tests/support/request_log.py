"""What a server's log says of each request."""

import json

import pytest

from retrieval_server.serving.calls import request_log


def requests_in(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [
        json.loads(record.getMessage())
        for record in caplog.records
        if record.name == request_log.__name__
    ]
