"""The forms of packages (bottle, tube, jar, ...): one function for each form, in cm."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from export.sample.artwork import Copy
from export.sample.materials import Material
from export.sample.package_model import Model, Pack, Part, Print
from export.sample.solids import Profile, profile, superellipse

Corner = tuple[float, float, float]


def _round(material: Material, *corners: Corner, x: float = 0.0) -> Part:
    return Part(superellipse(1.0, 1.0), profile(*corners), material, x)


def _cylinder(
    material: Material, radius: float, bottom: float, top: float, bevel: float = 0.08, x: float = 0
) -> Part:
    return _round(
        material,
        (radius - bevel, bottom, 0.0),
        (radius, bottom + bevel, bevel),
        (radius, top, bevel * 1.6),
        (0.0, top, 0.0),
        x=x,
    )


def _vessel(
    pack: Pack, copy: Copy, content: str, yaw: float, top: float, neck: float, shoulder: float
) -> list[Part]:
    """A filled body with a printed front: liquid and glass, or one opaque wall."""
    radius = pack.width / 2
    section = superellipse(1.0, pack.depth, pack.square, yaw)
    outer = profile(
        (radius * 0.9, 0.0, 0.0),
        (radius, 0.0, 0.12 * radius),
        (radius, top, shoulder),
        (neck, top, 0.04),
        (neck, top + 0.15, 0.0),
        (0.0, top + 0.15, 0.0),
    )
    tall = top - shoulder * 0.45
    low, high = (0.10, 0.93) if pack.form != "jar" else (0.04, 0.96)
    span = min(1.75, 1.5 + 0.2 * (pack.square > 3)) * radius * (1.0 if pack.square < 3 else 0.92)
    area = (-span / 2 * 1.05, span / 2 * 1.05, low * tall, high * tall)
    if pack.paper:
        area = (area[0], area[1], 0.12 * tall, 0.86 * tall)
    printed = Print(copy, area, pack.foil)
    body = pack.body
    wall = Part(section, outer, body, 0.0, (printed,))
    if not body.clarity:
        return [wall]
    base = 0.14 * radius if pack.form != "flacon" else 0.38 * radius
    inner = profile(
        (radius * 0.80, base, 0.0),
        (radius * 0.90, base, 0.1 * radius),
        (radius * 0.90, tall * 0.94, 0.2 * shoulder),
        (0.0, tall * 0.94, 0.0),
    )
    thin = pack.form in {"flacon", "bottle"}  # perfume and toner let the background through
    liquid = Material(colour=content, roughness=0.4, reflectance=0.0, clarity=0.35 if thin else 0.0)
    return [Part(section, inner, liquid), wall]


def dropper(pack: Pack, copy: Copy, content: str, yaw: float) -> list[Part]:
    """Pipette bottle: glass body, collar, rubber bulb."""
    radius, height = pack.width / 2, pack.height
    top, neck = 0.60 * height, 0.42 * radius
    body = _vessel(pack, copy, content, yaw, top, neck, 0.55 * radius)
    collar = _cylinder(pack.trim, 0.56 * radius, top + 0.05, top + 0.13 * height, 0.05)
    start = top + 0.13 * height
    bulb = _round(
        pack.cap,
        (0.44 * radius, start, 0.0),
        (0.46 * radius, start + 0.04 * height, 0.1),
        (0.36 * radius, start + 0.08 * height, 0.3),
        (0.33 * radius, height, 0.33 * radius),
        (0.0, height, 0.0),
    )
    return [*body, collar, bulb]


def pump(pack: Pack, copy: Copy, content: str, yaw: float) -> list[Part]:
    """Bottle with a dispenser pump, its spout to the left."""
    radius, height = pack.width / 2, pack.height
    top = 0.74 * height
    body = _vessel(pack, copy, content, yaw, top, 0.42 * radius, 0.34 * radius)
    side = min(0.5 * radius, 1.15)
    collar = _cylinder(pack.trim, side, top + 0.1, top + 0.09 * height, 0.06)
    stem = _cylinder(pack.cap, 0.32 * side, top + 0.09 * height, 0.93 * height, 0.02)
    head = superellipse(1.0, 0.62, 2.6)
    spout = Part(
        head,
        profile(
            (1.15 * side, 0.935 * height, 0.0),
            (1.25 * side, 0.95 * height, 0.1),
            (1.25 * side, height, 0.12),
            (0.0, height, 0.0),
        ),
        pack.cap,
        -0.5 * side,
    )
    neck = _cylinder(pack.cap, 0.62 * side, 0.905 * height, 0.95 * height, 0.05)
    return [*body, collar, stem, neck, spout]


def bottle(pack: Pack, copy: Copy, content: str, yaw: float) -> list[Part]:
    """Shampoo or toner bottle with a plain cap."""
    radius, height = pack.width / 2, pack.height
    top = 0.82 * height
    body = _vessel(pack, copy, content, yaw, top, 0.5 * radius * pack.depth, 0.5 * radius)
    cap = _cylinder(pack.cap, 0.62 * radius * max(pack.depth, 0.7), top + 0.05, height, 0.08)
    ring = _cylinder(pack.trim, 0.64 * radius * max(pack.depth, 0.7), top + 0.02, top + 0.22, 0.03)
    return [*body, ring, cap]


def flacon(pack: Pack, copy: Copy, content: str, yaw: float) -> list[Part]:
    """Perfume: thick glass, metal collar, heavy cap."""
    radius, height = pack.width / 2, pack.height
    top = 0.66 * height
    body = _vessel(pack, copy, content, yaw, top, 0.3 * radius, 0.22 * radius)
    collar = _cylinder(pack.trim, 0.30 * radius, top + 0.1, top + 0.10 * height, 0.03)
    start = top + 0.08 * height
    section = superellipse(1.0, min(1.0, pack.depth * 1.5), pack.square, yaw)
    cap = profile(
        (0.40 * radius, start, 0.0),
        (0.44 * radius, start, 0.05),
        (0.44 * radius, height, 0.12),
        (0.0, height, 0.0),
    )
    return [*body, collar, Part(section, cap, pack.cap)]


def tube(pack: Pack, copy: Copy, content: str, yaw: float) -> list[Part]:
    """Squeeze tube standing on its cap, flat and crimped at the top."""
    radius, height = pack.width / 2, pack.height
    start = 0.17 * height
    cap = _cylinder(pack.cap, 0.86 * radius, 0.0, start, 0.06)
    along = np.linspace(0, 1, 48, dtype=np.float32)
    swell = 1.0 + 0.10 * along
    flat = np.maximum(1 - along**1.35, 0.015)
    body_top = 0.955 * height
    rise = np.float32(start) + along * np.float32(body_top - start)
    lead_in = np.minimum(1.0, 0.86 + along * 4)
    no_shear = np.zeros(48, dtype=np.float32)
    wall = Profile(radius * swell * lead_in, radius * flat * lead_in, rise, no_shear)
    area = (-0.95 * radius, 0.95 * radius, start + 0.06 * height, 0.90 * height)
    section = superellipse(1.0, 1.0)
    crimp = profile(
        (radius * 1.1, body_top - 0.02, 0.0), (radius * 1.1, height, 0.0), (0.0, height, 0.0)
    )
    seam = Part(superellipse(1.0, 0.02, 8.0), crimp, pack.trim)
    return [cap, Part(section, wall, pack.body, 0.0, (Print(copy, area, pack.foil),)), seam]


def jar(pack: Pack, copy: Copy, content: str, yaw: float) -> list[Part]:
    """Cream jar with a screw lid."""
    radius, height = pack.width / 2, pack.height
    top = 0.60 * height
    body = _vessel(pack, copy, content, yaw, top, 0.88 * radius, 0.18 * radius)
    lid = _cylinder(pack.cap, 0.99 * radius, top + 0.12, height, 0.12)
    ring = _cylinder(pack.trim, 0.92 * radius, top, top + 0.14, 0.02)
    return [*body, ring, lid]


def lipstick(pack: Pack, copy: Copy, content: str, yaw: float) -> list[Part]:
    """Open lipstick with its cap standing beside it."""
    radius, height = pack.width / 2, pack.height
    case = superellipse(1.0, 1.0, pack.square, yaw)
    shift = -1.35 * radius
    base = profile((radius, 0.0, 0.0), (radius, 0.42 * height, 0.06), (0.0, 0.42 * height, 0.0))
    inner = _cylinder(pack.trim, 0.82 * radius, 0.42 * height, 0.60 * height, 0.04, shift)
    tip = profile(
        (0.66 * radius, 0.60 * height, 0.0),
        (0.66 * radius, 0.90 * height, 0.30 * radius),
        (0.0, 0.92 * height, 0.0),
        slant=0.75,
    )
    wax = Material(colour=content, roughness=0.42, reflectance=0.05)
    bullet = Part(superellipse(1.0, 1.0), tip, wax, shift)
    cover = profile(
        (1.02 * radius, 0.0, 0.0), (1.02 * radius, 0.62 * height, 0.08), (0.0, 0.62 * height, 0.0)
    )
    area = (-0.55 * radius, 0.55 * radius, 0.04 * height, 0.58 * height)
    cap = Part(case, cover, pack.cap, 1.2 * radius, (Print(copy, area, pack.foil),))
    seat = Part(case, base, pack.body, shift)
    return [cap, seat, inner, bullet]


def wand(pack: Pack, copy: Copy, content: str, yaw: float) -> list[Part]:
    """Lip gloss or mascara: a slim vessel and a long cap that holds the wand."""
    radius, height = pack.width / 2, pack.height
    top = 0.56 * height
    body = _vessel(pack, copy, content, yaw, top, 0.5 * radius, 0.12 * radius)
    ring = _cylinder(pack.trim, 0.72 * radius, top, top + 0.03 * height, 0.03)
    section = superellipse(1.0, pack.depth, pack.square, yaw)
    cap = profile(
        (0.98 * radius, top + 0.03 * height, 0.0),
        (0.98 * radius, height, 0.22 * radius),
        (0.0, height, 0.0),
    )
    return [*body, ring, Part(section, cap, pack.cap)]


def polish(pack: Pack, copy: Copy, content: str, yaw: float) -> list[Part]:
    """Nail polish: thick coloured glass and a tall brush cap."""
    radius, height = pack.width / 2, pack.height
    top = 0.50 * height
    body = _vessel(pack, copy, content, yaw, top, 0.45 * radius, 0.4 * radius)
    cap = _round(
        pack.cap,
        (0.56 * radius, top + 0.06, 0.0),
        (0.58 * radius, top + 0.12, 0.05),
        (0.46 * radius, height, 0.16 * radius),
        (0.0, height, 0.0),
    )
    return [*body, cap]


FORMS: dict[str, Callable[[Pack, Copy, str, float], list[Part]]] = {
    "dropper": dropper,
    "pump": pump,
    "bottle": bottle,
    "flacon": flacon,
    "tube": tube,
    "jar": jar,
    "lipstick": lipstick,
    "wand": wand,
    "polish": polish,
}


def dyed(pack: Pack, content: str) -> Pack:
    """The pack with the colour "content" replaced by the colour of the content."""
    if pack.body.colour != "content":
        return pack
    return replace(pack, body=replace(pack.body, colour=content))


def upright(pack: Pack, copy: Copy, content: str, yaw: float) -> Model:
    """Build a standing package; `content` is the hex colour of its content."""
    return Model(tuple(FORMS[pack.form](dyed(pack, content), copy, content, yaw)))


def carton(pack: Pack, copy: Copy, yaw: float, face: str) -> Model:
    """The folding box of an item, with the label on its front; `face` is its hex colour."""
    width, height = pack.width * 1.12, pack.height * 1.06
    depth = min(width, pack.width * max(pack.depth, 0.35) * 1.05)
    section = superellipse(width / 2, depth / 2, 60.0, yaw)
    box = profile((1.0, 0.0, 0.0), (1.0, height, 0.02), (0.0, height, 0.0))
    area = (-0.44 * width, 0.44 * width, 0.06 * height, 0.94 * height)
    board = Material(colour=face, roughness=0.55, reflectance=0.04)
    return Model((Part(section, box, board, 0.0, (Print(copy, area, pack.foil),)),))
