"""Synthetic listings of a beauty shop, in any number, with the similarities of real listings.

A family (a line of a brand) has products (shades, scents, sizes), and a product has listings by
several sellers. All three numbers have heavy-tailed distributions. Most names of brands and lines
are invented, so that the vocabulary grows with the catalogue. One family in twelve is in another
language.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from export.sample.product_kinds import KINDS

FOREIGN_SHARE = 1 / 12
TYPO_SHARE = 0.015
LARGEST_FAMILY = 150


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split("|"))


_ONSETS = _split("b|br|c|ch|d|dr|f|fl|g|gr|h|j|k|kl|l|m|n|p|pr|qu|r|s|sh|st|t|tr|v|w|z")
_VOWELS = _split("a|e|i|o|u|ae|ea|ie|ou")
_CODAS = ["", "", "l", "n", "r", "s", "x", "nd", "lle", "tte", "ra", "na", "ra", "vi", "mo"]
_KNOWN = (
    "L'Oréal Paris", "Lancôme", "Kérastase", "Estée Lauder", "Shu Uemura", "Maybelline", "Nivea",
    "Garnier", "Clinique", "MAC", "NYX", "Revlon", "Dove", "Olay", "Neutrogena", "CeraVe", "Vichy",
    "La Roche-Posay", "Shiseido", "Dior", "Chanel", "OPI", "Essie", "Pantene", "Aveeno", "Bioderma",
)  # fmt: skip
_LINE_WORDS = _split(
    "Velvet|Pure|Glow|Silk|Radiant|Botanic|Ultra|Aqua|Rose|Midnight|Golden|Fresh|Soft|True|Deep|"
    "Lumi|Nutri|Hydra|Color|Perfect|Miracle|Royal|Crystal|Wild|Secret|Infinite|Bare|Power|Calm|Bright"
)
_SHADES = _split(
    "Nude Beige|Ruby Red|Coral|Rosewood|Berry|Mauve|Ivory|Porcelain|Sand|Honey|Caramel|Espresso|"
    "Black|Brown|Plum|Fuchsia|Peach|Taupe|Champagne|Bronze|Navy|Emerald|Silver|Copper|Light Medium|"
    "Terracotta|Raspberry|Cinnamon|Almond|Mocha|Blush Pink|Burgundy|Cherry|Apricot|Amber|Pearl|"
    "Lilac|Mint|Sky Blue|Charcoal|Gold|Rose Gold|Cocoa|Hazelnut|Toffee|Bare|Pomegranate|Neroli|"
    "01 Fair|02 Light|03 Medium|04 Tan|05 Deep|Lavender|Vanilla|Coconut|Jasmine|Green Tea|Citrus"
)
_SIZES = _split(
    "1 oz|1.7 oz|3.4 oz|8 oz|12 fl oz|30ml|50 ml|50ml|100 ml|200ml|250 ml|400ml|0.12 oz|15 g|75g|"
    "6.7 Fl. Oz.|1.7 oz / 50 ml|3.4 fl oz/100 ml|Pack of 2|Pack of 3|2 x 50 ml"
)
_BENEFITS = _split(
    "for Dry Skin|for All Skin Types|for Women|for Men|Long Lasting|Anti-Aging|with Vitamin C|"
    "Hydrating|Fragrance Free|Oil Free|Matte Finish|Waterproof|with Hyaluronic Acid|Sulfate Free|"
    "Cruelty Free|SPF 30|for Curly Hair|Color Safe|Repairing|Gentle|Daily|Intense|Natural|Vegan|"
    "Lightweight|Non Greasy|Dermatologist Tested|Paraben Free|Volumizing|Smoothing|Brightening|"
    "Firming|Soothing|Refillable|Travel Size|Limited Edition|Dewy|Buildable|Ultra Light|Unscented"
)
_SELLERS = _split(
    "Free Shipping|New|Brand New|100% Authentic|Sealed|In Box|Fast Dispatch|US Seller|Sale|Genuine|"
    "(Packaging May Vary)|by Beauty|Best Price|Full Size|Exp 2027|Gift"
)
_TEMPLATES = (
    "{brand} {line} {kind} {variant} {size}",
    "{brand} {line} {variant} {kind}, {benefit}, {size}",
    "{brand} {line} {kind} - {variant} {size} {seller}",
    "{line} {kind} by {brand}, {variant}, {size}",
    "{seller} {brand} {line} {kind} {benefit} {variant} ({size})",
    "{brand} {line} {kind} {variant}",
    "{kind} {brand} {line} {benefit} {variant} {size} {seller}",
)
_FOREIGN_TEMPLATE = "{brand} {line} {kind} {variant} {size}"


def listings(count: int, seed: int = 0) -> Iterator[str]:
    """Generate descriptions; those of a family follow each other until the caller shuffles them."""
    rng = random.Random(seed)
    brands = [*_KNOWN, *(_invented_name(rng).title() for _ in range(40 + count // 200))]
    generated = 0
    while generated < count:
        for text in _family(rng, brands):
            if generated == count:
                return
            generated += 1
            yield text


def _family(rng: random.Random, brands: list[str]) -> Iterator[str]:
    brand = brands[_zipf(rng, len(brands), 10)]
    line = " ".join(
        [
            rng.choice(_LINE_WORDS),
            *(_invented_name(rng).title() for _ in range(rng.choice((0, 1, 1)))),
        ]
    )
    kind = KINDS[rng.choice(tuple(KINDS))]
    is_foreign = rng.random() < FOREIGN_SHARE
    kinds = (rng.choice(kind.foreign),) if is_foreign else kind.synonyms
    variants = [_variant(rng) for _ in range(min(80, int(rng.paretovariate(0.6))))]
    sizes = [_SIZES[_zipf(rng, len(_SIZES), 3)] for _ in range(2)]
    for _ in range(min(LARGEST_FAMILY, int(rng.paretovariate(0.95)))):
        template = _FOREIGN_TEMPLATE if is_foreign else rng.choice(_TEMPLATES)
        text = template.format(
            brand=brand,
            line=line,
            kind=kinds[_zipf(rng, len(kinds), 1)].title(),
            variant=variants[_zipf(rng, len(variants), 1)],
            size=sizes[_zipf(rng, 2, 1)] if rng.random() < 0.7 else "",
            benefit=rng.choice(_BENEFITS),
            seller=rng.choice(_SELLERS),
        )
        text = " ".join(text.replace("()", "").split()).strip(" ,-")
        yield _with_typo(rng, text) if rng.random() < TYPO_SHARE else text


def _variant(rng: random.Random) -> str:
    shade = rng.choice(_SHADES)
    return f"{shade} No {rng.randrange(1, 400)}" if rng.random() < 0.3 else shade


def _zipf(rng: random.Random, count: int, flat: int) -> int:
    """A random rank below count; about the first `flat` ranks are equally likely."""
    return min(count - 1, int(flat * ((count + flat) / flat) ** rng.random()) - flat)


def _invented_name(rng: random.Random) -> str:
    syllables = rng.choice((2, 2, 3))
    return "".join(
        rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(syllables)
    )


def _with_typo(rng: random.Random, text: str) -> str:
    position = rng.randrange(len(text) - 1)
    return text[:position] + text[position + 1] + text[position] + text[position + 2 :]
