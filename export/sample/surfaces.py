"""Procedural surfaces for backgrounds: wood, marble, tile, fabric, terrazzo, plaster."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from export.sample.materials import linear

FloatArray = NDArray[np.float32]
Shape = tuple[int, int]


def cloud(
    shape: tuple[int, ...], cell_px: float, rng: np.random.Generator, octaves: int = 3
) -> FloatArray:
    """Smooth noise (H, W) in about [-1, 1]; `cell_px` is the size of its largest blobs."""
    total = np.zeros(shape[:2], dtype=np.float32)
    for octave in range(octaves):
        cell = max(2.0, cell_px / 2**octave)
        coarse = rng.standard_normal(
            (int(shape[0] / cell) + 3, int(shape[1] / cell) + 3), dtype=np.float32
        )
        total += resized(coarse, (shape[0], shape[1])) * np.float32(0.5**octave)
    return total / np.float32(1.6)


def resized(values: FloatArray, shape: Shape) -> FloatArray:
    """Bicubic resize of one channel to (H, W)."""
    picture = Image.fromarray(values).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(picture, dtype=np.float32)


def _grid(shape: Shape) -> tuple[FloatArray, FloatArray]:
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32) / np.float32(max(shape))
    return x, y


def _mixed(low: str, high: str, share: FloatArray) -> FloatArray:
    weight = np.clip(share, 0, 1)[..., None]
    return linear(low) * (1 - weight) + linear(high) * weight


def wood(shape: Shape, rng: np.random.Generator) -> FloatArray:
    """Planks with grain along x."""
    pairs = (
        ("#6b4426", "#a9764a"),
        ("#b28a5c", "#dcbc90"),
        ("#3d281a", "#6e4a30"),
        ("#c9b08c", "#e6d5ba"),
    )
    low, high = pairs[int(rng.integers(len(pairs)))]
    x, y = _grid(shape)
    planks = float(rng.uniform(4, 7))
    plank = np.floor(y * planks)
    tone = rng.uniform(-0.18, 0.18, 64).astype(np.float32)[plank.astype(np.intp) % 64]
    start = rng.uniform(0, 9, 64).astype(np.float32)[plank.astype(np.intp) % 64]
    long_noise = cloud((shape[0], max(8, shape[1] // 12)), shape[0] / 26, rng, 4)
    grain = resized(long_noise, shape)
    rings = np.sin((y * 60 + 2.6 * grain + 1.5 * np.sin(x * 5 + start * 3) + start) * 2.2)
    share = 0.5 + 0.16 * rings + 0.30 * grain + tone
    seam = np.abs(y * planks - plank - 0.5) > 0.488
    return _mixed(low, high, share) * np.where(seam, 0.45, 1.0)[..., None].astype(np.float32)


def marble(shape: Shape, rng: np.random.Generator) -> FloatArray:
    """White or dark stone with soft veins."""
    dark = rng.random() < 0.3
    x, y = _grid(shape)
    slope = float(rng.uniform(0.5, 1.4))
    bend = cloud(shape, max(shape) / 3, rng, 5)
    vein = np.abs(np.sin((x + slope * y) * 6 + 2.3 * bend))
    thin = np.exp(-vein * 16) * np.clip(0.7 + cloud(shape, max(shape) / 4, rng), 0, 1)
    haze = 0.5 + 0.35 * cloud(shape, max(shape) / 3, rng, 4)
    base = _mixed("#26282b", "#3a3d42", haze) if dark else _mixed("#d9d9d8", "#f2f1ef", haze)
    ink = linear("#cfc6b5" if dark else "#8d9096")
    weight = (0.75 * np.clip(thin, 0, 1))[..., None]
    stone: FloatArray = (base * (1 - weight) + ink * weight).astype(np.float32)
    return stone


def tile(shape: Shape, rng: np.random.Generator) -> FloatArray:
    """Glazed tiles with grout."""
    colours = ("#e9ebe8", "#b9d0cf", "#dcd2c4", "#8fa7b5", "#e3c9c0")
    colour = colours[int(rng.integers(len(colours)))]
    x, y = _grid(shape)
    rows = float(rng.uniform(5, 9))
    brick = bool(rng.random() < 0.6)
    row = np.floor(y * rows)
    columns = x * rows / (2 if brick else 1) + (0.5 * (row % 2) if brick else 0)
    inside_x = np.abs(columns % 1 - 0.5) * (2 if brick else 1)
    edge = np.maximum(inside_x - (0.5 if brick else 0.0), np.abs(y * rows - row - 0.5))
    number = (row * 31 + np.floor(columns) * 17).astype(np.intp) % 97
    tone = rng.normal(1.0, 0.05, 97).astype(np.float32)[number]
    glaze = 1 + 0.10 * np.clip((edge - 0.40) / 0.07, 0, 1) + 0.05 * cloud(shape, 60, rng)
    body = linear(colour) * (tone * glaze)[..., None]
    grout = np.clip((edge - 0.472) / 0.012, 0, 1)[..., None]
    tiles: FloatArray = body * (1 - grout) + linear("#bdb8ae") * 0.8 * grout
    return tiles.astype(np.float32)


def fabric(shape: Shape, rng: np.random.Generator) -> FloatArray:
    """Woven cloth with soft folds."""
    colours = ("#cfc4b4", "#8b98a6", "#e8e2d8", "#c79a8d", "#6f7d6b")
    x, y = _grid(shape)
    folds = cloud(shape, max(shape) / 2.2, rng, 3)
    count = float(rng.uniform(110, 160))
    weave = np.sin(x * count * 2 * np.pi + folds * 5) * np.sin(y * count * 2 * np.pi + folds * 5)
    threads = rng.standard_normal(shape, dtype=np.float32)
    crease = np.sin((x * 0.7 + y) * 5 + folds * 4)
    level = 0.86 + 0.09 * weave + 0.035 * threads + 0.10 * crease + 0.12 * folds
    cloth: FloatArray = linear(colours[int(rng.integers(len(colours)))]) * level[..., None]
    return cloth.astype(np.float32)


def terrazzo(shape: Shape, rng: np.random.Generator) -> FloatArray:
    """Stone chips in cement."""
    ground = linear("#e7e2da") * (1 + 0.04 * cloud(shape, 40, rng))[..., None]
    for colour, level in (("#9c8f84", 1.25), ("#c98f74", 1.4), ("#6d7f84", 1.45)):
        chips = np.clip((cloud(shape, max(shape) / 34, rng, 2) - level * 0.62) * 12, 0, 1)
        ground = ground * (1 - chips[..., None]) + linear(colour) * chips[..., None]
    return ground.astype(np.float32)


def plaster(shape: Shape, rng: np.random.Generator) -> FloatArray:
    """A painted wall."""
    colours = ("#dcd6cc", "#c9cfd2", "#e7dcd3", "#b8c2b6", "#d8c7c3", "#9aa7b0")
    level = 1 + 0.05 * cloud(shape, max(shape) / 3, rng) + 0.02 * cloud(shape, 6, rng, 1)
    return (linear(colours[int(rng.integers(len(colours)))]) * level[..., None]).astype(np.float32)


TABLES: dict[str, Callable[[Shape, np.random.Generator], FloatArray]] = {
    "wood": wood,
    "marble": marble,
    "tile": tile,
    "fabric": fabric,
    "terrazzo": terrazzo,
}
WALLS: dict[str, Callable[[Shape, np.random.Generator], FloatArray]] = {
    "plaster": plaster,
    "tile": tile,
    "wood": wood,
}
