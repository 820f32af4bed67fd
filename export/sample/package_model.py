"""Packaging designs, and packages as stacks of solids.

A `Pack` is a packaging design of a factory that sells it to several brands: equal silhouettes and
colours under different names. Brands that share a pack are the sample's look-alikes.
"""

from dataclasses import dataclass

from export.sample.artwork import Copy
from export.sample.materials import Material
from export.sample.solids import Profile, Section


@dataclass(frozen=True, kw_only=True)
class Pack:
    """A packaging design.

    Attributes:
        name: name of the design, e.g. "amber-dropper".
        form: a key of `forms.FORMS`, or of `flat_packaging.FLAT_FORMS`.
        width: width in cm.
        height: height in cm, closed and standing.
        body: main surface; the colour "content" means the colour of the content.
        cap: surface of cap, lid or pump.
        trim: surface of collars and rings.
        ink: hex colour of the print.
        paper: hex colour of the label, or None for print on the body.
        foil: whether the print is metal foil.
        square: exponent of the cross-section, 2 is round.
        depth: depth of the cross-section as a share of its width.
    """

    name: str
    form: str
    width: float
    height: float
    body: Material
    cap: Material
    trim: Material
    ink: str
    paper: str | None = None
    foil: bool = False
    square: float = 2.0
    depth: float = 1.0


@dataclass(frozen=True, eq=False)
class Print:
    """Artwork on a solid: `copy` in the rectangle u0, u1, v0, v1 (cm) of its surface."""

    copy: Copy
    area: tuple[float, float, float, float]
    foil: bool


@dataclass(frozen=True, eq=False)
class Part:
    """One convex solid of a package."""

    section: Section
    shape: Profile
    material: Material
    offset_x: float = 0.0
    prints: tuple[Print, ...] = ()


@dataclass(frozen=True, eq=False)
class Model:
    """A package to render: its solids from back to front and from bottom to top, in cm."""

    parts: tuple[Part, ...]

    def extent(self) -> tuple[float, float, float]:
        """Left, right and top, in cm from the middle of the base."""
        reach = [part.section.half_width * float(part.shape.scale_x.max()) for part in self.parts]
        left = min(part.offset_x - half for part, half in zip(self.parts, reach, strict=True))
        right = max(part.offset_x + half for part, half in zip(self.parts, reach, strict=True))
        return left, right, max(float(part.shape.height.max()) for part in self.parts)
