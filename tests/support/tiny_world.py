"""Makes the tiny world: small ONNX models, and a catalogue of coloured shapes with its queries."""

import csv
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw

from export.models.fingerprint import add_fingerprint
from export.models.model_configs import (
    backbone_config,
    ensemble_config,
    write_config,
    write_model_configs,
)
from retrieval_server.models.profile import Backbone, Profile

SIDE = 32
DIMENSIONS = {"tiny_a": 24, "tiny_b": 16}
PICTURE_SIDE = 64
TINY_PROFILE = Profile(
    name="tiny",
    side=SIDE,
    backbones=(
        Backbone(model="tiny_a", timm_name="made_for_tests_a", alpha=3.0),
        Backbone(model="tiny_b", timm_name="made_for_tests_b", alpha=1.0),
    ),
)
COLOURS = ((200, 30, 40), (30, 90, 200), (20, 140, 70), (230, 160, 20), (120, 40, 160))
SHAPES = ("lipstick", "jar", "bottle", "palette")
WORDS = ("Ruby", "Ocean", "Forest", "Amber", "Violet")
BRANDS = ("L'Oréal", "Maison Été", "Nuxe", "Bioderma")


def tiny_model(
    dimension: int, seed: int, is_bare: bool = False, side: int = SIDE
) -> onnx.ModelProto:
    """Image (B, side, side, 3) uint8 → darkness → one fixed convolution → maxima, L2-normalised.

    A bare one has no fingerprint yet.
    """
    weights = np.random.default_rng(seed).normal(size=(dimension, 3, 5, 5)).astype(np.float32)
    constants = {
        "white": np.float32(255),
        "weights": weights,
        "channels": np.array([1], np.int64),
        "smallest": np.float32(1e-12),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["white", "pixels"], ["dark"]),
        helper.make_node("Div", ["dark", "white"], ["darkness"]),
        helper.make_node("Transpose", ["darkness"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weights"], ["responses"], strides=[3, 3]),
        helper.make_node("Relu", ["responses"], ["map"]),
        helper.make_node("GlobalMaxPool", ["map"], ["maxima"]),
        helper.make_node("Flatten", ["maxima"], ["pooled"]),
        helper.make_node("ReduceL2", ["pooled", "channels"], ["norm"], keepdims=1),
        helper.make_node("Max", ["norm", "smallest"], ["divisor"]),
        helper.make_node("Div", ["pooled", "divisor"], ["descriptor"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", side, side, 3])],
        [helper.make_tensor_value_info("descriptor", TensorProto.FLOAT, ["batch", dimension])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {"weights": "made for tests"})
    if not is_bare:
        add_fingerprint(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def write_repository(root: Path) -> None:
    """Write the models of ``TINY_PROFILE``, as a folder that a server or Triton serves."""
    for seed, backbone in enumerate(TINY_PROFILE.backbones):
        dimension = DIMENSIONS[backbone.model]
        (root / backbone.model / "1").mkdir(parents=True)
        onnx.save(tiny_model(dimension, seed), root / backbone.model / "1" / "model.onnx")
        write_model_configs(root / backbone.model, backbone_config(backbone, SIDE, dimension))
    (root / TINY_PROFILE.name / "1").mkdir(parents=True)
    write_config(
        root / TINY_PROFILE.name / "config.pbtxt", ensemble_config(TINY_PROFILE, DIMENSIONS)
    )


def write_catalogue(folder: Path, families: int, members: int) -> None:
    (folder / "images").mkdir()
    (folder / "queries").mkdir()
    rows, truth = [], []
    for family in range(families):
        shape, colour = family % len(SHAPES), family % len(COLOURS)
        brand, size = BRANDS[family % len(BRANDS)], f"{10 + family}ml"
        ids = [f"p{family:02d}{member:02d}" for member in range(members)]
        for member, product_id in enumerate(ids):
            is_odd = member == members - 1  # the words of the family, but not its looks
            picture = tiny_picture(shape, (colour + 1) % len(COLOURS) if is_odd else colour, member)
            image = f"images/{product_id}.{('png', 'jpg')[member % 2]}"
            picture.save(folder / image)
            description = (
                f"{brand} {WORDS[colour]} {SHAPES[shape]} {size}, shade {family}-{member:02d}"
            )
            rows.append((product_id, image, description, brand, f"{5 + member}.99"))
        query = f"queries/q{family:02d}.jpg"
        tiny_picture(shape, colour, members).save(folder / query)
        truth.append((query, " ".join(ids)))
    write_csv(folder / "catalog.csv", ("id", "image", "description", "brand", "price"), rows)
    write_csv(folder / "ground_truth.csv", ("query_image", "ids"), truth)


def tiny_picture(shape: int, colour: int, member: int) -> Image.Image:
    """A shape on white; members of a family differ by a few pixels."""
    picture = Image.new("RGB", (PICTURE_SIDE, PICTURE_SIDE + 2 * member), "white")
    draw = ImageDraw.Draw(picture)
    left, top = 8 + member % 5, 6 + member // 5
    box = (left, top, left + 40, top + 44)
    fill = COLOURS[colour]
    if shape == 0:
        draw.rectangle((left + 14, top, left + 26, top + 44), fill=fill)
    elif shape == 1:
        draw.ellipse(box, fill=fill)
    elif shape == 2:
        draw.polygon([(left + 20, top), (left + 40, top + 44), (left, top + 44)], fill=fill)
    else:
        for column in range(3):
            draw.rectangle((left + 14 * column, top, left + 14 * column + 9, top + 44), fill=fill)
    return picture


def write_csv(path: Path, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
