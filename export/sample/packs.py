"""The packaging designs of the sample; brands that share a design are look-alikes."""

from export.sample.materials import Material, metal, recoloured
from export.sample.package_model import Pack

_GLOSS = Material(colour="#f3f1ec", roughness=0.22)
_SATIN = Material(colour="#f3f1ec", roughness=0.5)
_RUBBER = Material(colour="#17171a", roughness=0.5)
_PIANO = Material(colour="#121214", roughness=0.10, reflectance=0.07)
_CLEAR = Material(colour="#f2f5f6", roughness=0.06, reflectance=0.09, clarity=0.86)
_TINTED = Material(colour="#b8621a", roughness=0.08, reflectance=0.08, clarity=0.14)
_FROSTED = Material(colour="#e9eef0", roughness=0.55, reflectance=0.05, clarity=0.35)
_GOLD = metal("#e6c690", 0.16)
_ROSE = metal("#e2b09c", 0.18)
_SILVER = metal("#dadde0", 0.14)
_COPPER = metal("#c98a63", 0.2)
_GUNMETAL = metal("#5a5c62", 0.22)
_CREAM = "#f6f1e6"


def _pack(
    name: str,
    form: str,
    size: tuple[float, float],
    finish: tuple[Material, Material, Material],
    ink: str,
    paper: str | None = None,
    *,
    foil: bool = False,
    section: tuple[float, float] = (2.0, 1.0),
) -> Pack:
    """Make a design from `finish` (body, cap, trim) and `section` (exponent and depth)."""
    body, cap, trim = finish
    return Pack(
        name=name,
        form=form,
        width=size[0],
        height=size[1],
        body=body,
        cap=cap,
        trim=trim,
        ink=ink,
        paper=paper,
        foil=foil,
        square=section[0],
        depth=section[1],
    )


def _dyed(colour: str, base: Material = _SATIN) -> Material:
    return recoloured(base, colour)


_CONTENT_GLOSS = _dyed("content", _GLOSS)
_CONTENT_SATIN = _dyed("content", _SATIN)

PACKS: dict[str, Pack] = {
    pack.name: pack
    for pack in (
        _pack(
            "amber-dropper", "dropper", (3.4, 10.2), (_TINTED, _RUBBER, _RUBBER), "#2b2622", _CREAM
        ),
        _pack("frosted-dropper", "dropper", (3.6, 10.0), (_FROSTED, _GLOSS, _GOLD), "#5b4a3a"),
        _pack(
            "cobalt-dropper",
            "dropper",
            (3.3, 10.6),
            (_dyed("#1d3f93", _TINTED), _RUBBER, _SILVER),
            "#eef2f8",
        ),
        _pack(
            "foundation-pump",
            "pump",
            (3.4, 11.6),
            (_CLEAR, _PIANO, _PIANO),
            "#fdfbf7",
            section=(5.0, 0.7),
        ),
        _pack("frosted-foundation-pump", "pump", (3.8, 11.0), (_FROSTED, _GLOSS, _GOLD), "#3b2c25"),
        _pack(
            "apothecary-pump", "pump", (6.6, 17.5), (_TINTED, _RUBBER, _RUBBER), "#2d2a26", _CREAM
        ),
        _pack("white-pump", "pump", (6.4, 17.0), (_GLOSS, _RUBBER, _RUBBER), "#2a2a2a"),
        _pack(
            "pastel-pump",
            "pump",
            (6.8, 16.6),
            (_CONTENT_SATIN, _GLOSS, _GLOSS),
            "#34424a",
            section=(2.8, 0.66),
        ),
        _pack(
            "oval-shampoo",
            "bottle",
            (7.2, 20.0),
            (_CONTENT_GLOSS, _GLOSS, _GLOSS),
            "#fffdf8",
            section=(2.4, 0.56),
        ),
        _pack("clear-toner", "bottle", (4.8, 16.5), (_CLEAR, _SILVER, _SILVER), "#22323a"),
        _pack("white-tube", "tube", (4.4, 14.0), (_SATIN, _GLOSS, _SILVER), "#2f3b44"),
        _pack("pastel-tube", "tube", (4.6, 14.4), (_CONTENT_SATIN, _GLOSS, _GLOSS), "#3c332e"),
        _pack(
            "charcoal-tube", "tube", (4.4, 15.0), (_dyed("#26282b"), _RUBBER, _SILVER), "#eceae4"
        ),
        _pack(
            "foil-hand-tube",
            "tube",
            (3.6, 11.5),
            (metal("#cfd2d4", 0.34), _RUBBER, _SILVER),
            "#20201f",
        ),
        _pack("white-gold-jar", "jar", (6.6, 5.0), (_GLOSS, _GOLD, _GOLD), "#b08d45", foil=True),
        _pack("frosted-jar", "jar", (6.4, 4.6), (_FROSTED, _GLOSS, _SILVER), "#33414a"),
        _pack("amber-jar", "jar", (6.8, 5.4), (_TINTED, _RUBBER, _RUBBER), "#2d2a26", _CREAM),
        _pack(
            "black-lipstick", "lipstick", (1.9, 8.0), (_PIANO, _PIANO, _GOLD), "#e6c690", foil=True
        ),
        _pack("rose-lipstick", "lipstick", (1.9, 7.8), (_ROSE, _ROSE, _ROSE), "#5a2b26"),
        _pack(
            "ivory-lipstick",
            "lipstick",
            (2.0, 7.6),
            (_GLOSS, _GLOSS, _GOLD),
            "#b08d45",
            foil=True,
            section=(7.0, 1.0),
        ),
        _pack(
            "gold-gloss", "wand", (1.8, 11.0), (_CLEAR, _GOLD, _GOLD), "#fffaf5", section=(5.0, 1.0)
        ),
        _pack("black-gloss", "wand", (1.8, 10.6), (_CLEAR, _PIANO, _SILVER), "#fffaf5"),
        _pack("black-mascara", "wand", (1.7, 12.2), (_PIANO, _PIANO, _GOLD), "#e6c690", foil=True),
        _pack("rose-mascara", "wand", (1.8, 12.0), (_ROSE, _ROSE, _SILVER), "#3d2020"),
        _pack("black-cap-polish", "polish", (3.0, 7.4), (_CLEAR, _RUBBER, _RUBBER), "#ffffff"),
        _pack(
            "square-polish",
            "polish",
            (2.8, 7.6),
            (_CLEAR, _SILVER, _SILVER),
            "#ffffff",
            section=(6.0, 0.9),
        ),
        _pack(
            "slab-flacon",
            "flacon",
            (5.8, 10.4),
            (_CLEAR, _GOLD, _GOLD),
            "#40302a",
            section=(8.0, 0.45),
        ),
        _pack(
            "round-flacon",
            "flacon",
            (6.2, 9.6),
            (_CLEAR, _SILVER, _SILVER),
            "#332a38",
            section=(2.0, 0.7),
        ),
        _pack(
            "noir-flacon",
            "flacon",
            (5.2, 11.2),
            (_PIANO, _COPPER, _COPPER),
            "#d9a27c",
            foil=True,
            section=(10.0, 0.6),
        ),
        _pack("black-palette", "palette", (12.0, 8.4), (_PIANO, _PIANO, _GUNMETAL), "#e6c690"),
        _pack("rose-palette", "palette", (13.0, 7.0), (_ROSE, _ROSE, _ROSE), "#5a2b26"),
        _pack("black-compact", "compact", (7.4, 7.4), (_PIANO, _PIANO, _GOLD), "#e6c690"),
        _pack("ivory-compact", "compact", (7.2, 7.2), (_GLOSS, _GLOSS, _GOLD), "#8a6a3a"),
        _pack(
            "pearl-sachet", "sachet", (10.5, 14.0), (_CONTENT_SATIN, _SILVER, _SILVER), "#2b3640"
        ),
        _pack(
            "wrapped-soap",
            "soap",
            (8.4, 5.6),
            (_CONTENT_SATIN, _SATIN, _SATIN),
            "#3a3129",
            "#e9dfcb",
        ),
    )
}
