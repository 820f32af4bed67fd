"""Numbers folded into convolutions: fewer nodes, the same results up to rounding."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.models.simplify_graph import simplify

NUMBERS = {"half": 0.5, "minus": -1.5, "three": 3.0, "zero": 0.0, "six": 6.0, "seven": 7.0}


def convolution(value: str, output: str, pad: int = 0) -> onnx.NodeProto:
    return helper.make_node("Conv", [value, "weights", "bias"], [output], pads=[pad] * 4)


def node(operator: str, *names: str) -> onnx.NodeProto:
    return helper.make_node(operator, names[:-1], names[-1:])


def hard_swish(value: str, output: str, *, shift: str = "three") -> list[onnx.NodeProto]:
    return [
        node("Add", value, shift, f"{output}_shifted"),
        node("Clip", f"{output}_shifted", "zero", "six", f"{output}_clipped"),
        node("Mul", f"{output}_clipped", value, f"{output}_product"),
        node("Div", f"{output}_product", "six", output),
    ]


def gate(value: str, output: str) -> list[onnx.NodeProto]:
    return [
        node("GlobalAveragePool", value, f"{output}_mean"),
        node("HardSigmoid", f"{output}_mean", output),
    ]


def transposed(value: str, output: str, groups: int = 1) -> onnx.NodeProto:
    weights = "weights" if groups == 1 else "grouped_weights"
    return helper.make_node("ConvTranspose", [value, weights], [output], group=groups)


def normalisation(value: str, output: str) -> onnx.NodeProto:
    statistics = ["bias", "bias", "bias", "variance"]
    return helper.make_node("BatchNormalization", [value, *statistics], [output], epsilon=0.01)


def model_of(*nodes: onnx.NodeProto, outputs: tuple[str, ...] = ("y",)) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    constants = {
        "weights": rng.normal(size=(3, 3, 3, 3)).astype(np.float32),
        "bias": rng.normal(size=3).astype(np.float32),
        "grouped_weights": rng.normal(size=(3, 1, 3, 3)).astype(np.float32),
        "channels": rng.normal(size=(1, 3, 1, 1)).astype(np.float32),
        "map": rng.normal(size=(1, 3, 14, 14)).astype(np.float32),
        "variance": np.array([0.5, 1.0, 2.0], np.float32),
    } | {name: np.array(number, np.float32) for name, number in NUMBERS.items()}
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 12, 12])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, f"{name}_h", f"{name}_w"])
            for name in outputs
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8)


def simplified(model: onnx.ModelProto) -> Counter[str]:
    """The operators that are left, after a comparison of the results."""
    before = run(model)
    simplify(model)
    onnx.checker.check_model(model, full_check=True)
    for expected, actual in zip(before, run(model), strict=True):
        assert np.abs(expected - actual).max() <= 1e-5 * max(1, np.abs(expected).max())
    return Counter(node.op_type for node in model.graph.node)


def run(model: onnx.ModelProto) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(
        None, {"x": np.random.default_rng(1).normal(size=(1, 3, 12, 12)).astype("f")}
    )


@pytest.mark.parametrize(
    ("nodes", "left"),
    [
        ([convolution("x", "a"), node("Mul", "half", "a", "y")], {"Conv": 1}),
        ([convolution("x", "a"), node("Add", "a", "minus", "y")], {"Conv": 1}),
        (
            [
                convolution("x", "a", 1),
                node("Mul", "a", "minus", "b"),
                node("Add", "b", "half", "c"),
                convolution("c", "d", 1),
                node("Mul", "d", "half", "y"),
            ],
            {"Conv": 2},
        ),
        ([convolution("x", "a"), *hard_swish("a", "y")], {"Conv": 1, "HardSigmoid": 1, "Mul": 1}),
        (
            [
                convolution("x", "a"),
                *hard_swish("a", "b"),
                node("Mul", "minus", "b", "c"),
                node("Add", "c", "half", "d"),
                convolution("d", "y"),
            ],
            {"Conv": 2, "HardSigmoid": 1, "Mul": 1},
        ),
        ([*hard_swish("x", "y")], {"HardSigmoid": 1, "Mul": 1}),
        (
            [*gate("x", "g"), node("Mul", "g", "x", "a"), node("Add", "x", "a", "y")],
            {"GlobalAveragePool": 1, "HardSigmoid": 1, "Add": 1, "Mul": 1},
        ),
        (
            [transposed("x", "a"), node("Add", "a", "channels", "b"), normalisation("b", "y")],
            {"ConvTranspose": 1},
        ),
    ],
    ids=[
        *("scale", "shift", "chain", "hard swish", "between convolutions", "of the image"),
        *("gate", "transposed convolution"),
    ],
)
def test_numbers_go_into_the_convolutions(nodes: list[onnx.NodeProto], left: dict) -> None:
    assert simplified(model_of(*nodes, node("Relu", "y", "z"), outputs=("z",))) == left | {
        "Relu": 1
    }


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([convolution("x", "y"), node("Mul", "half", "y", "z")], ("y", "z")),
        (
            [convolution("x", "y"), node("Mul", "half", "y", "a"), node("Add", "y", "a", "z")],
            ("z",),
        ),
        ([node("Add", "x", "half", "y"), convolution("y", "z", 1)], ("z",)),
        ([node("Add", "x", "half", "y"), convolution("y", "z")], ("y", "z")),
        ([*hard_swish("x", "y", shift="seven")], ("y",)),
        ([*hard_swish("x", "y")], ("y", "y_clipped")),
        ([convolution("x", "a"), node("Mul", "a", "a", "y")], ("y",)),
        ([convolution("x", "a"), node("Div", "a", "six", "y")], ("y",)),
        ([*gate("x", "g"), node("Mul", "g", "x", "y"), node("Add", "x", "y", "z")], ("y", "z")),
        ([*gate("x", "g"), node("Mul", "g", "x", "a"), node("Add", "g", "a", "y")], ("y",)),
        ([transposed("x", "y"), node("Add", "y", "channels", "z")], ("y", "z")),
        ([transposed("x", "a", 3), node("Add", "a", "channels", "y")], ("y",)),
        ([transposed("x", "a"), node("Add", "a", "map", "y")], ("y",)),
        ([convolution("x", "a"), normalisation("a", "y")], ("y",)),
    ],
    ids=[
        *("is an output", "has two users", "padded", "shifted is an output", "no hard swish"),
        *("part is an output", "square", "another quotient", "gated is an output"),
        *("another sum", "transposed is an output", "groups", "a map", "plain convolution"),
    ],
)
def test_what_others_need_stays(nodes: list[onnx.NodeProto], outputs: tuple[str, ...]) -> None:
    model = model_of(*nodes, outputs=outputs)
    before = Counter(node.op_type for node in model.graph.node)
    assert simplified(model) == before
