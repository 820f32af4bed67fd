"""Shading: studio light on plastic, metal, glass and paper, in linear light.

Colours are linear RGB in [0, 1] with gamma 2.0 (square to decode, square root to encode). This is
close enough to sRGB for a sample, and much cheaper than the exact curve.
"""

from dataclasses import dataclass, replace
from math import cos, sin

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Material:
    """The reflection and transmission of light at a surface.

    Attributes:
        colour: hex body colour; for metals, the colour of the reflection.
        roughness: 0 for a mirror, 1 for chalk; widens the reflections of the lights.
        metallic: whether all light comes from reflection.
        reflectance: share of mirrored light at normal incidence, for non-metals.
        clarity: share of light that passes at normal incidence; 0 is opaque.
    """

    colour: str
    roughness: float = 0.25
    metallic: bool = False
    reflectance: float = 0.045
    clarity: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Studio:
    """A set of lights around the product; azimuths in radians, 0 faces the product.

    Attributes:
        key_azimuth: direction of the main strip light.
        key_width: half-width of the main strip light.
        key_level: brightness of the main strip light.
        fill_azimuth: direction of the second strip light.
        fill_level: brightness of the second strip light.
        floor_level: brightness of the floor below the product.
        ambient_level: brightness of the light from all directions.
    """

    key_azimuth: float = -0.95
    key_width: float = 0.26
    key_level: float = 1.9
    fill_azimuth: float = 1.15
    fill_level: float = 1.0
    floor_level: float = 0.62
    ambient_level: float = 0.36


def metal(colour: str, roughness: float = 0.18) -> Material:
    """A metal, or plastic metallised to look like one."""
    return Material(colour=colour, roughness=roughness, metallic=True)


def recoloured(material: Material, colour: str) -> Material:
    """The same finish in another colour."""
    return replace(material, colour=colour)


def linear(colour: str) -> FloatArray:
    """Decode '#rrggbb' into (3,) float32 linear RGB."""
    shares = np.array([int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    return (shares**2).astype(np.float32)


def encoded(light: FloatArray) -> NDArray[np.uint8]:
    """Encode linear light (..., 3) as uint8, with a soft shoulder above 0.8 instead of clipping."""
    shoulder = np.where(light > 0.8, 1.0 - 0.2 * np.exp(-(light - 0.8) / 0.2), light)
    pixels: NDArray[np.uint8] = np.rint(np.sqrt(np.clip(shoulder, 0, 1)) * 255).astype(np.uint8)
    return pixels


def _strip(azimuth: FloatArray, centre: float, half_width: float, softness: float) -> FloatArray:
    edge = np.clip((half_width + softness - np.abs(azimuth - centre)) / (2 * softness), 0, 1)
    smooth: FloatArray = edge * edge * (3 - 2 * edge)
    return smooth


def environment(direction: FloatArray, roughness: float, studio: Studio) -> FloatArray:
    """Brightness (N,) that a mirror of this roughness sees along the unit `direction` (3, N)."""
    azimuth = np.arctan2(direction[0], direction[2])
    up = direction[1]
    softness = 0.04 + 0.75 * roughness
    falloff = np.clip(1.3 - 1.1 * np.abs(up), 0, 1)
    key = studio.key_level * _strip(azimuth, studio.key_azimuth, studio.key_width, softness)
    fill = studio.fill_level * _strip(azimuth, studio.fill_azimuth, 0.16, softness)
    kicker = 0.8 * studio.fill_level * _strip(azimuth, -studio.key_azimuth * 2.3, 0.1, softness)
    flag = 1 - 0.8 * (1 - roughness) * np.clip((np.abs(azimuth) - 1.9) / 0.5, 0, 1)
    sky = np.clip((up - 0.2) / (0.3 + roughness), 0, 1) * 0.95
    floor = np.clip((-up - 0.1) / (0.3 + roughness), 0, 1) * studio.floor_level
    toward_key = np.cos((azimuth - studio.key_azimuth) * 0.5)
    room = 0.12 + 0.22 * roughness + 0.34 * toward_key * toward_key
    seen: FloatArray = (key + fill + kicker) * falloff + (room + sky + floor) * flag
    return seen


def diffuse_light(normal: FloatArray, studio: Studio) -> FloatArray:
    """Light (N,) that falls on matt surfaces with unit `normal` (3, N)."""
    key = _wrapped(normal, studio.key_azimuth * 0.8, 0.35) * 0.36 * studio.key_level
    fill = _wrapped(normal, studio.fill_azimuth * 0.8, 0.25) * 0.17 * studio.fill_level
    above = np.clip(normal[1], 0, 1) * 0.22
    below = np.clip(-normal[1], 0, 1) * 0.2 * studio.floor_level
    ambient = studio.ambient_level * (0.45 + 0.55 * normal[2])
    light: FloatArray = ambient + key + fill + above + below
    return light


def _wrapped(normal: FloatArray, azimuth: float, elevation: float) -> FloatArray:
    # math, not numpy: a numpy float64 scalar would turn the float32 arrays into float64.
    flat = cos(elevation)
    cosine = (
        normal[0] * (sin(azimuth) * flat)
        + normal[1] * sin(elevation)
        + normal[2] * (cos(azimuth) * flat)
    )
    wrapped: FloatArray = np.clip((cosine + 0.2) / 1.2, 0, 1)
    return wrapped


@dataclass(frozen=True, eq=False)
class Shading:
    """Light that leaves surface points, in layers.

    Attributes:
        front: (3, N) light of the opaque surface, print and reflections; added on top.
        glass: (3, N) premultiplied colour of a clear wall, visible if no part is behind it.
        alpha: (N,) coverage.
        filtering: (3, N) share of the light of a part behind that passes through.
    """

    front: FloatArray
    glass: FloatArray
    alpha: FloatArray
    filtering: FloatArray

    def over(self, below: FloatArray) -> FloatArray:
        """Composite over premultiplied RGBA (N, 4)."""
        behind, covered = below[:, :3].T, below[:, 3]
        light = self.front + behind * self.filtering + self.glass * (1 - covered)
        alpha = 1 - (1 - covered) * (1 - self.alpha)
        return np.concatenate([light, alpha[None]]).T.astype(np.float32)


def shade(
    material: Material,
    normal: FloatArray,
    mirror_shift: FloatArray,
    pitch: float,
    studio: Studio,
    ink: FloatArray | None = None,
    *,
    foil: bool = False,
) -> Shading:
    """Shade surface points.

    Args:
        material: the surface below any print.
        normal: (3, N) unit normals.
        mirror_shift: (2, N) change of the mirrored direction's x and y with the position on the
            object, as for a camera at a finite distance; gives flat metal a varied reflection.
        pitch: angle by which the camera looks down, in radians.
        studio: the lights.
        ink: (4, N) linear RGB and coverage of the print, or None.
        foil: whether the print is metal foil instead of ink.
    """
    view_y, view_z = np.float32(np.sin(pitch)), np.float32(np.cos(pitch))
    facing = np.clip(normal[1] * view_y + normal[2] * view_z, 0, 1)
    mirror = 2 * facing * normal
    mirror[1] -= view_y
    mirror[2] -= view_z
    mirror[:2] += mirror_shift
    shine = environment(mirror, material.roughness, studio)
    light = diffuse_light(normal, studio)
    front, glass, alpha, filtering = _body(material, facing, shine, light)
    if ink is not None:
        printed = ink[:3] * (shine * 1.15 if foil else light)
        bare = 1 - ink[3]
        front = front * bare + printed * ink[3]
        glass, filtering, alpha = glass * bare, filtering * bare, alpha * bare + ink[3]
    if not material.metallic:
        gloss = material.reflectance + (1 - material.reflectance) * 0.5 * (1 - facing) ** 5
        gloss = gloss * (1 - 0.6 * material.roughness) * shine
        alpha = np.maximum(alpha, np.clip(gloss, 0, 1))
        front = front + gloss
    return Shading(front, glass, alpha, filtering)


def _body(
    material: Material, facing: FloatArray, shine: FloatArray, light: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Opaque light (3, N), glass light (3, N), coverage (N,) and filtering (3, N)."""
    colour = linear(material.colour)[:, None]
    nothing = np.zeros_like(colour * facing)
    if not material.clarity:
        return colour * (shine if material.metallic else light), nothing, facing * 0 + 1, nothing
    # Light crosses more glass near the silhouette: darker, more saturated and less clear there.
    wall = (1 - facing) ** 1.6
    alpha = 1 - material.clarity * (1 - 0.8 * wall)
    glass = colour * (0.95 - 0.75 * wall) * (0.4 + 0.6 * light) * alpha
    filtering = colour ** (0.35 + 0.9 * wall) * (0.97 - 0.5 * wall)
    return nothing, glass, alpha, filtering
