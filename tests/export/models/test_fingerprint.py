"""Every answer of a model proves which weights computed it."""

import numpy as np
import onnx
import onnxruntime
import pytest

from export.models.fingerprint import add_fingerprint
from tests.support.tiny_world import tiny_model


def fingerprints(model: onnx.ModelProto, images: int) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    assert names == ["descriptor", "fingerprint"]
    (answer,) = session.run(["fingerprint"], {"image": np.zeros((images, 32, 32, 3), np.uint8)})
    return answer


@pytest.mark.parametrize("images", [1, 5])
def test_every_row_of_an_answer_has_the_same_fingerprint(images: int) -> None:
    answer = fingerprints(tiny_model(24, seed=0), images)
    assert (answer.dtype, answer.shape) == (np.int32, (images, 8))
    assert (answer == answer[0]).all()


def test_same_weights_have_the_same_fingerprint_and_others_another() -> None:
    first, again, other = (fingerprints(tiny_model(24, seed), 1) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def test_one_changed_weight_changes_the_fingerprint() -> None:
    def with_weights(change: float) -> onnx.ModelProto:
        model = tiny_model(24, seed=0, is_bare=True)
        (weights,) = (entry for entry in model.graph.initializer if entry.name == "weights")
        values = onnx.numpy_helper.to_array(weights).copy()
        values.flat[7] += np.float32(change)
        weights.CopyFrom(onnx.numpy_helper.from_array(values, "weights"))
        add_fingerprint(model)
        return model

    assert (fingerprints(with_weights(0), 1) != fingerprints(with_weights(1e-6), 1)).any()


def test_a_fixed_batch_keeps_its_length() -> None:
    model = tiny_model(24, seed=0, is_bare=True)
    for tensor in (model.graph.input[0], model.graph.output[0]):
        tensor.type.tensor_type.shape.dim[0].dim_value = 2
    add_fingerprint(model)
    assert fingerprints(model, 2).shape == (2, 8)
