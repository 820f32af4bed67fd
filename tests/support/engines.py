"""Which engines this machine can have."""

import pytest

from retrieval_server.errors import EngineError


def require_engine(name: str) -> None:
    """Skip the test of an engine whose package or processor is not there."""
    if name != "openvino":
        return
    module = pytest.importorskip(  # our module first: it imports the package without telemetry
        "retrieval_server.engines.openvino", reason="needs pip install '.[openvino]'"
    )
    try:
        module.require_bfloat16(module.openvino.Core())
    except EngineError as error:
        pytest.skip(str(error))
