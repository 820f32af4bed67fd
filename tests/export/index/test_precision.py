"""An index records what precision its descriptors were computed in, and keeps to it."""

from pathlib import Path

import pytest

from export.descriptors.engine_choice import EngineChoice
from export.evaluation.evaluate import evaluate
from retrieval_server.errors import ModelMismatchError
from retrieval_server.index.publish import open_index
from tests.support.engines import require_engine
from tests.support.export.index_builds import Build


def test_another_engine_describes_everything_again_and_is_refused_by_the_former_index(
    changed: Path, tmp_path: Path, build: Build, tiny_repository: Path
) -> None:
    require_engine("openvino")
    root, bfloat16 = tmp_path / "index", EngineChoice(tiny_repository, "openvino")
    first = build(changed, root)
    second = build(changed, root, engine=bfloat16)
    assert (first.manifest.precision, second.manifest.precision) == ("float32", "bfloat16")
    assert second.reused == 0
    assert "was described in float32, bfloat16 is wanted" in second.no_reuse
    assert build(changed, root, engine=bfloat16).manifest is None  # nothing to do

    result = evaluate(changed, open_index(root), bfloat16)
    assert result.to_json()["queries"]
    with pytest.raises(
        ModelMismatchError,
        match=r"described in bfloat16, and the engine embedded computes in float32\. "
        r"Use --engine openvino, or .*: beauty-export index --engine embedded",
    ):
        evaluate(changed, open_index(root), EngineChoice(tiny_repository))
