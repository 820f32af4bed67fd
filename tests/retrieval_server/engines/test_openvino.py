"""What the engine ``openvino`` alone does; ``test_engines.py`` has what all engines promise."""

import subprocess
import sys
from pathlib import Path

import pytest

from retrieval_server.engines.create_engine import create_engine
from retrieval_server.errors import EngineError
from tests.retrieval_server.engines.conftest import ENSEMBLE
from tests.support.engines import require_engine


class ProcessorWithoutBfloat16:
    """What OpenVINO says of a processor of 2019."""

    def get_property(self, device: str, name: str) -> object:
        assert device == "CPU"
        return {
            "OPTIMIZATION_CAPABILITIES": ["WINOGRAD", "FP32", "INT8", "BIN", "EXPORT_IMPORT"],
            "FULL_DEVICE_NAME": "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz",
        }[name]


def test_processor_without_bfloat16_is_refused_by_name(
    tiny_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = pytest.importorskip("retrieval_server.engines.openvino")
    monkeypatch.setattr(module.openvino, "Core", ProcessorWithoutBfloat16)
    with pytest.raises(EngineError, match=r"8259CL.* no instructions for it.*engine embedded"):
        create_engine("openvino", tiny_repository, ENSEMBLE, workers=1, threads_per_image=1)


def test_missing_package_is_named_with_what_installs_it(
    tiny_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "retrieval_server.engines.openvino", raising=False)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(
        EngineError, match=r"needs openvino\. .*pip install '\.\[server,openvino\]'"
    ):
        create_engine("openvino", tiny_repository, ENSEMBLE, workers=1, threads_per_image=1)


def test_nothing_is_reported_to_the_makers_of_openvino(tmp_path: Path) -> None:
    """Its package for telemetry writes to the home folder before it calls home."""
    require_engine("openvino")
    program = (
        "import sys, retrieval_server.engines.openvino;"
        "print([name for name in sys.modules if name.startswith('openvino_telemetry.')])"
    )
    environment = {"HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
    assert not (tmp_path / "intel").exists()
