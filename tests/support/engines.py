"""Which engines this machine can have."""

import pytest

from retrieval_server.errors import EngineError


def require_engine(name: str) -> None:
    """Skip the test of an engine whose package or processor is not there."""
    if name != "openvino":
        return
    openvino = pytest.importorskip("openvino", reason="needs pip install '.[openvino]'")
    from retrieval_server.engines.openvino import require_bfloat16

    try:
        require_bfloat16(openvino.Core())
    except EngineError as error:
        pytest.skip(str(error))
