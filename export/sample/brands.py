"""Invented brands: each has a typeface, a logo mark, a label layout and a tagline.

All names are invented for this sample. None refers to a real brand.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Brand:
    """A brand identity.

    Attributes:
        name: name of the brand, as sellers write it.
        font: typeface of the logo, a file that ships with matplotlib.
        text_font: typeface of all other text on the packaging.
        mark: logo mark, a key of `artwork.MARKS`.
        layout: label layout, a key of `labels.LAYOUTS`.
        capitals: whether the logo is set in capitals.
        tracking: space between the letters of the logo, in ems.
        accent: hex colour of cartons, badges and rules.
        tagline: small print under the logo.
    """

    name: str
    font: str
    text_font: str
    mark: str
    layout: str
    capitals: bool
    tracking: float
    accent: str
    tagline: str


def _brand(
    name: str,
    fonts: tuple[str, str],
    mark: str,
    layout: str,
    logo: tuple[bool, float],
    accent: str,
    tagline: str,
) -> Brand:
    return Brand(
        name=name,
        font=fonts[0],
        text_font=fonts[1],
        mark=mark,
        layout=layout,
        capitals=logo[0],
        tracking=logo[1],
        accent=accent,
        tagline=tagline,
    )


_SANS, _SANS_BOLD = "DejaVuSans.ttf", "DejaVuSans-Bold.ttf"
_SERIF, _SERIF_BOLD, _SERIF_ITALIC = (
    "DejaVuSerif.ttf",
    "DejaVuSerif-Bold.ttf",
    "DejaVuSerif-Italic.ttf",
)
_TIMES, _TIMES_BOLD = "STIXGeneral.ttf", "STIXGeneralBol.ttf"
_TIMES_ITALIC, _TIMES_BOLD_ITALIC = "STIXGeneralItalic.ttf", "STIXGeneralBolIta.ttf"
_ROMAN, _GROTESQUE, _TYPEWRITER = "cmr10.ttf", "cmss10.ttf", "cmtt10.ttf"
_MONO = "DejaVuSansMono.ttf"

BRANDS: dict[str, Brand] = {
    brand.name: brand
    for brand in (
        _brand(
            "Velmora",
            (_TIMES, _GROTESQUE),
            "moon",
            "centred",
            (True, 0.30),
            "#2b2f4a",
            "Paris, Lisbon",
        ),
        _brand(
            "Éclat d'Or",
            (_TIMES_ITALIC, _TIMES),
            "sun",
            "framed",
            (False, 0.02),
            "#a8842c",
            "maison de beauté",
        ),
        _brand(
            "Kindroot",
            (_SANS_BOLD, _SANS),
            "leaf",
            "stacked",
            (False, -0.02),
            "#4d6b45",
            "plants, kindly",
        ),
        _brand(
            "Halden Vey",
            (_ROMAN, _ROMAN),
            "ring",
            "centred",
            (True, 0.22),
            "#33373b",
            "est. in the north",
        ),
        _brand(
            "Solvanne",
            (_GROTESQUE, _GROTESQUE),
            "wave",
            "stacked",
            (True, 0.16),
            "#2d6f86",
            "marine skin science",
        ),
        _brand(
            "Tindra Lab",
            (_MONO, _MONO),
            "cross",
            "technical",
            (False, 0.0),
            "#1f1f1f",
            "formula no. 14",
        ),
        _brand(
            "Orrinsby",
            (_SERIF_BOLD, _SERIF),
            "diamond",
            "banded",
            (True, 0.08),
            "#6e3b2a",
            "apothecary goods",
        ),
        _brand(
            "Kaolune",
            (_GROTESQUE, _SANS),
            "drop",
            "centred",
            (False, 0.10),
            "#b98a7a",
            "soft clay care",
        ),
        _brand(
            "Fennowick",
            (_SERIF_ITALIC, _SERIF),
            "flower",
            "framed",
            (False, 0.0),
            "#5c6f3a",
            "garden made",
        ),
        _brand(
            "Noctaire",
            (_TIMES_BOLD, _TIMES),
            "star",
            "centred",
            (True, 0.34),
            "#15151c",
            "after dark",
        ),
        _brand(
            "Pomelora",
            (_SANS_BOLD, _SANS),
            "sun",
            "banded",
            (True, 0.02),
            "#e0763a",
            "bright every day",
        ),
        _brand(
            "Mirabethe",
            (_TIMES_BOLD_ITALIC, _TIMES),
            "flower",
            "centred",
            (False, 0.0),
            "#a63d5c",
            "beauty in bloom",
        ),
        _brand(
            "Yukiora",
            (_GROTESQUE, _GROTESQUE),
            "ring",
            "vertical",
            (True, 0.26),
            "#c0283a",
            "made in small batches",
        ),
        _brand(
            "Quillaby",
            (_TYPEWRITER, _TYPEWRITER),
            "leaf",
            "technical",
            (False, 0.0),
            "#6b5a3e",
            "simple soaps & balms",
        ),
        _brand(
            "D'Avernay",
            (_TIMES, _TIMES_ITALIC),
            "diamond",
            "framed",
            (True, 0.18),
            "#4a2540",
            "parfumeur",
        ),
        _brand(
            "Marisalt", (_SANS, _SANS), "wave", "vertical", (True, 0.24), "#2f8f8a", "from the sea"
        ),
        _brand(
            "Zephrine",
            (_ROMAN, _GROTESQUE),
            "drop",
            "stacked",
            (False, 0.04),
            "#7d6aa8",
            "light as air",
        ),
        _brand(
            "Cassavelle",
            (_SERIF, _SANS),
            "star",
            "banded",
            (True, 0.14),
            "#8c2f39",
            "colour without rules",
        ),
        _brand(
            "Brindlehart",
            (_SANS_BOLD, _MONO),
            "cross",
            "stacked",
            (True, 0.06),
            "#2f4858",
            "honest grooming",
        ),
        _brand(
            "Lumoselle",
            (_GROTESQUE, _SANS),
            "moon",
            "centred",
            (True, 0.40),
            "#c58f9f",
            "glow edit",
        ),
    )
}
