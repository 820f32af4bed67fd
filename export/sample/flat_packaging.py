"""Packages that lie flat, seen from above: palettes, compacts, sachets, soap bars.

Each package is a height map in cm with one material per region. The normals are computed from the
gradient. The shading is that of standing packages.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from export.sample.artwork import Copy, mark
from export.sample.forms import dyed
from export.sample.labels import label
from export.sample.materials import Material, Studio, linear, metal, shade
from export.sample.package_model import Pack
from export.sample.sprite import MARGIN_PX, OVERSAMPLING, Sprite, halved
from export.sample.surfaces import cloud

FloatArray = NDArray[np.float32]
Box = tuple[float, float, float, float]
_MIRROR = metal("#dfe6ea", 0.05)


class Relief:
    """A height map with raised and pressed regions, shaded region by region."""

    def __init__(self, width: float, height: float, pixels_per_cm: float, seed: int) -> None:
        """Make a flat map of `width` x `height` cm, with the origin in the middle and y up."""
        self.scale = pixels_per_cm * OVERSAMPLING
        margin = MARGIN_PX * OVERSAMPLING
        columns = int(width * self.scale) // 2 * 2 + 2 * margin
        rows = int(height * self.scale) // 2 * 2 + 2 * margin
        self.x = ((np.arange(columns) + 0.5 - columns / 2) / self.scale).astype(np.float32)[None]
        self.y = ((rows / 2 - np.arange(rows) - 0.5) / self.scale).astype(np.float32)[:, None]
        self.height = np.zeros((rows, columns), dtype=np.float32)
        self.light = np.zeros((rows, columns, 4), dtype=np.float32)
        self.grain = np.random.default_rng(seed)

    def inside(self, box: Box, corner: float) -> FloatArray:
        """Depth in cm (H, W) inside a rounded box (x, y, width, height); negative outside."""
        x, y, width, height = box
        corner = min(corner, width / 2, height / 2)
        across = np.abs(self.x - x) - (width / 2 - corner)
        along = np.abs(self.y - y) - (height / 2 - corner)
        outside = np.hypot(np.maximum(across, 0), np.maximum(along, 0))
        depth: FloatArray = corner - outside - np.minimum(np.maximum(across, along), 0)
        return depth

    def raised(self, depth: FloatArray, level: float, bevel: float) -> None:
        """Lift (or with a negative level press) the region where depth > 0, with a round edge."""
        t = np.clip(depth / bevel, 0, 1)
        self.height += level * np.sqrt(np.maximum(0, 1 - (1 - t) ** 2))

    def paint(
        self,
        depth: FloatArray,
        material: Material,
        studio: Studio,
        ink: FloatArray | None = None,
        occlusion: FloatArray | None = None,
    ) -> None:
        """Shade the region where depth > 0; `ink` is (H, W, 4) encoded RGBA in [0, 1]."""
        # Only the window around the region is worth a gradient: trays have many small regions.
        rows = np.flatnonzero((depth > 0).any(axis=1))
        columns = np.flatnonzero((depth > 0).any(axis=0))
        window = (
            slice(max(0, rows[0] - 1), rows[-1] + 2),
            slice(max(0, columns[0] - 1), columns[-1] + 2),
        )
        on = depth[window] > 0
        slope_y, slope_x = np.gradient(self.height[window] * np.float32(self.scale))
        normal = np.stack([-slope_x[on], slope_y[on], np.ones_like(slope_x[on])])
        normal /= np.sqrt((normal * normal).sum(axis=0))
        place = np.broadcast_arrays(self.x[:, window[1]] * 0.11, self.y[window[0]] * 0.07)
        shift = np.stack([layer[on] for layer in place]).astype(np.float32)
        printed = None
        if ink is not None:
            texels = ink[window][on].T
            printed = np.concatenate([texels[:3] ** 2, texels[3:]])
        shading = shade(material, normal.astype(np.float32), shift, 0.0, studio, printed)
        light = shading.over(np.zeros((int(on.sum()), 4), dtype=np.float32))
        light[:, :3] *= 1.12
        if occlusion is not None:
            light[:, :3] *= occlusion[window][on][:, None]
        self.light[window][on] = light

    def sheet(self, copy: Copy, box: Box) -> FloatArray:
        """The label in a box, as an (H, W, 4) ink layer for `paint`."""
        x, y, width, height = box
        artwork = label(copy, int(width * self.scale), int(height * self.scale))
        return self._placed(np.asarray(artwork, dtype=np.float32) / np.float32(255), x, y)

    def _placed(self, picture: FloatArray, x: float, y: float) -> FloatArray:
        layer: FloatArray = np.zeros((*self.height.shape, 4), dtype=np.float32)
        rows, columns = picture.shape[:2]
        top = int(self.height.shape[0] / 2 - y * self.scale - rows / 2)
        left = int(self.height.shape[1] / 2 + x * self.scale - columns / 2)
        rows, columns = min(rows, layer.shape[0] - top), min(columns, layer.shape[1] - left)
        layer[top : top + rows, left : left + columns] = picture[:rows, :columns]
        return layer

    def embossed(self, name: str, x: float, y: float, size: float, level: float) -> None:
        """Press a logo mark of `size` cm into the surface."""
        drawn = np.asarray(mark(name, int(size * self.scale)), dtype=np.float32) / 255
        self.height += level * self._placed(np.repeat(drawn[..., None], 4, axis=2), x, y)[..., 0]

    def sprite(self) -> Sprite:
        """Reduce to output resolution; the foot is the middle of the lower edge."""
        light = halved(self.light)
        return Sprite(light, (light.shape[1] / 2, light.shape[0] - MARGIN_PX))


def _hues(content: str, count: int) -> list[str]:
    """Shades that go with `content`: lighter, darker, and one metallic-looking accent."""
    base = linear(content)
    lifts = np.linspace(1.9, 0.18, count)
    turn = np.linspace(-0.10, 0.10, count)
    shades = []
    for lift, shift in zip(lifts, np.roll(turn, 2), strict=True):
        colour = np.clip(base * lift * np.array([1 + shift, 1.0, 1 - shift]) + 0.02 * lift, 0, 0.95)
        red, green, blue = (round(float(c) ** 0.5 * 255) for c in colour)
        shades.append(f"#{red:02x}{green:02x}{blue:02x}")
    return shades


def _pan(
    relief: Relief, box: Box, corner: float, colour: str, studio: Studio, emblem: str | None = None
) -> None:
    """A metal pan of pressed powder sunk into the tray."""
    rim = relief.inside(box, corner)
    relief.raised(rim, -0.12, 0.05)
    relief.paint(rim, metal("#b9bbbd", 0.3), studio)
    x, y, width, height = box
    powder = relief.inside((x, y, width - 0.14, height - 0.14), corner)
    relief.raised(powder, 0.07, 0.12)
    pressed = powder > 0
    grains = relief.grain.standard_normal(int(pressed.sum()), dtype=np.float32)
    relief.height[pressed] += np.float32(0.0035) * grains
    if emblem:
        relief.embossed(emblem, x, y, 0.42 * min(width, height), -0.035)
    shadow = np.clip((relief.inside((x + 0.1, y - 0.13, width, height), corner)) / 0.18, 0, 1)
    chalk = Material(colour=colour, roughness=0.8, reflectance=0.03)
    relief.paint(powder, chalk, studio, occlusion=0.5 + 0.5 * shadow)


def _on_mirror(copy: Copy) -> Copy:
    return replace(copy, ink="#2c2a2d")


def palette(relief: Relief, pack: Pack, copy: Copy, content: str, studio: Studio) -> None:
    """Open eyeshadow palette: mirror lid above, eight pans below."""
    width, half = pack.width, pack.height
    for y in (half / 2, -half / 2):
        shell = relief.inside((0, y, width, half * 0.995), 0.45)
        relief.raised(shell, 0.35, 0.22)
        relief.paint(shell, pack.body, studio)
    glass = (0.0, half / 2, width * 0.9, half * 0.82)
    decal = relief.sheet(_on_mirror(copy), (0.0, half / 2, width * 0.56, half * 0.42))
    relief.raised(relief.inside(glass, 0.2), -0.05, 0.05)
    relief.paint(relief.inside(glass, 0.2), _MIRROR, studio, decal)
    columns, pitch = 4, width * 0.9 / 4
    side = min(pitch, half * 0.44) * 0.9
    for index, colour in enumerate(_hues(content, 2 * columns)):
        x = (index % columns - (columns - 1) / 2) * pitch
        y = -half / 2 + (0.5 - index // columns) * half * 0.45
        emblem = copy.brand.mark if index in {2, 5} else None
        _pan(relief, (x, y, side, side), 0.14, colour, studio, emblem)


def compact(relief: Relief, pack: Pack, copy: Copy, content: str, studio: Studio) -> None:
    """Open round compact: mirror lid above, one embossed pan below."""
    size = pack.width
    hinge = relief.inside((0, 0, size * 0.34, 0.9), 0.1)
    relief.raised(hinge, 0.3, 0.15)
    relief.paint(hinge, pack.trim, studio)
    for y in (size / 2, -size / 2):
        shell = relief.inside((0, y, size * 0.985, size * 0.985), size)
        relief.raised(shell, 0.4, 0.35)
        relief.paint(shell, pack.body, studio)
        ring = relief.inside((0, y, size * 0.86, size * 0.86), size)
        relief.paint(ring, pack.trim, studio)
    glass = relief.inside((0, size / 2, size * 0.83, size * 0.83), size)
    decal = relief.sheet(_on_mirror(copy), (0, size / 2, size * 0.6, size * 0.34))
    relief.paint(glass, _MIRROR, studio, decal)
    pan = (0.0, -size / 2, size * 0.8, size * 0.8)
    _pan(relief, pan, size, content, studio, copy.brand.mark)


def sachet(relief: Relief, pack: Pack, copy: Copy, content: str, studio: Studio) -> None:
    """Sheet-mask sachet: puffed foil with crimped ends."""
    width, height = pack.width, pack.height
    body = relief.inside((0, 0, width, height), 0.08)
    across, along = np.abs(relief.x) / (width / 2), np.abs(relief.y) / (height / 2 - 1.0)
    puff = np.clip(1 - across**3, 0, 1) * np.clip(1 - along**4, 0, 1)
    wrinkle = cloud(relief.height.shape, relief.scale * 1.4, relief.grain)
    relief.height += (0.55 * puff**0.7 + 0.10 * wrinkle * (0.3 + 0.7 * puff)).astype(np.float32)
    crimp = (along > 1) * (across < 2)
    relief.height += (0.012 * np.sin(relief.y * 34) * crimp).astype(np.float32)
    foil = Material(colour=content, roughness=0.34, reflectance=0.16)
    artwork = relief.sheet(copy, (0, 0, width * 0.86, height * 0.82))
    relief.paint(body, foil, studio, artwork)


def soap(relief: Relief, pack: Pack, copy: Copy, content: str, studio: Studio) -> None:
    """Soap bar in a paper sleeve, its ends bare."""
    width, height = pack.width, pack.height
    bar = relief.inside((0, 0, width, height), 0.9)
    relief.raised(bar, 1.1, 1.0)
    relief.height += 0.02 * cloud(relief.height.shape, relief.scale * 0.5, relief.grain)
    relief.embossed("ring", -width * 0.43, 0, 0.7, -0.05)
    relief.paint(bar, Material(colour=content, roughness=0.45, reflectance=0.05), studio)
    sleeve = np.minimum(bar, relief.inside((0, 0, width * 0.70, height), 0.02))
    relief.height += 0.05 * (sleeve > 0)
    paper = Material(colour=pack.paper or content, roughness=0.8, reflectance=0.03)
    artwork = relief.sheet(copy, (0, 0, width * 0.64, height * 0.84))
    relief.paint(sleeve, paper, studio, artwork)


_Form = Callable[[Relief, Pack, Copy, str, Studio], None]
FLAT_FORMS: dict[str, tuple[_Form, float]] = {
    "palette": (palette, 2.0),
    "compact": (compact, 2.0),
    "sachet": (sachet, 1.0),
    "soap": (soap, 1.0),
}


def flat_size(pack: Pack) -> tuple[float, float]:
    """Width and height in cm of the open package."""
    return pack.width, pack.height * FLAT_FORMS[pack.form][1]


def render_flat(
    pack: Pack, copy: Copy, content: str, pixels_per_cm: float, studio: Studio, seed: int
) -> Sprite:
    """Render a lying package, seen from directly above."""
    relief = Relief(*flat_size(pack), pixels_per_cm, seed)
    FLAT_FORMS[pack.form][0](relief, dyed(pack, content), copy, content, studio)
    return relief.sprite()
