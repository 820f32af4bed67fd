"""Sellers' descriptions of an item, in different words, orders, units and languages."""

import numpy as np

from export.sample.items import Item, imperial
from export.sample.product_kinds import KINDS

_FOREIGN_ENDS = (
    ("livraison gratuite", "neuf, jamais ouvert", "pour tous types de peau"),
    ("envío gratis", "nuevo y original", "para todo tipo de piel"),
    ("kostenloser Versand", "neu und originalverpackt", "für jeden Tag"),
    ("送料無料", "新品 正規品", "ギフトにおすすめ"),
)
# Openings and closings of a sentence of praise; sellers combine them.
_PRAISE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "skincare": (
        (
            "Leaves skin soft and rested",
            "A calm daily step for dry complexions",
            "Light texture that sinks in fast",
            "Dermatologist tested",
            "Your new ritual",
        ),
        (
            "without a greasy film",
            "free from parabens and mineral oil",
            "for sensitive faces of every age",
            "morning or evening",
            "with visible radiance",
        ),
    ),
    "makeup": (
        (
            "Blends easily",
            "Rich pigment in a single sweep",
            "Buildable colour",
            "Never feels heavy",
            "Made for long days",
        ),
        (
            "and stays put for hours",
            "comfortable until midnight",
            "cruelty free",
            "with a smooth, even finish",
            "looks great on camera",
        ),
    ),
    "body": (
        (
            "Wraps you in a gentle scent",
            "Made in small batches",
            "A little everyday luxury",
            "Kind to dry skin",
            "Rich yet light",
        ),
        (
            "with cold pressed plant oils",
            "and keeps you supple all day",
            "biodegradable formula",
            "perfect as a gift",
            "for the whole family",
        ),
    ),
    "hair": (
        ("Cleans gently", "Adds shine and bounce", "Silicone free care", "Salon feeling at home"),
        (
            "for coloured lengths",
            "with light roots and silky ends",
            "suits every curl",
            "rinses out easily",
        ),
    ),
    "nails": (
        ("Chip resistant", "Quick drying", "Wide brush", "Mirror shine"),
        ("after two coats", "ten free formula", "for an even coat", "lasts up to a week"),
    ),
    "fragrance": (
        (
            "Opens with citrus and pepper",
            "An elegant gift",
            "Warm, intimate trail",
            "In a heavy glass bottle",
        ),
        (
            "and settles into woods",
            "for her or him",
            "that lasts until evening",
            "with notes of iris and musk",
        ),
    ),
}
_NOISE = (
    "Free Shipping",
    "100% Authentic",
    "Fast Dispatch",
    "Sealed",
    "Boxed",
    "Exp 2027",
    "Brand New",
    "Hot Sale!!",
    "US Seller",
)
_PATTERNS = (
    "{brand} {line} {kind} {variant} {size}",
    "{brand} {line} {variant} {kind} {size}",
    "{line} {kind} by {brand}, {variant}, {size}",
    "{brand} - {line} {kind}, {variant} ({size})",
    "{brand} {line} {variant} {kind}",
    "{kind} {brand} {line} {variant} {size}",
)
_TERSE = ("{line} {variant} {size}", "{brand} {line}", "{brand} {kind} {variant}")


def descriptions(item: Item, count: int, rng: np.random.Generator) -> list[str]:
    """Descriptions of an item by `count` sellers; no two are equal."""
    worded: list[str] = []
    while len(worded) < count:
        words = _description(item, rng)
        if words.casefold() not in {other.casefold() for other in worded}:
            worded.append(words)
    return worded


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def _description(item: Item, rng: np.random.Generator) -> str:
    chance = rng.random()
    if chance < 0.06:
        return _foreign(item, rng)
    if chance < 0.13:
        return _filled(_pick(rng, _TERSE), item, rng)
    words = _filled(_pick(rng, _PATTERNS), item, rng)
    if chance < 0.38:
        opening, closing = (_pick(rng, part) for part in _PRAISE[item.category])
        return f"{words}. {opening}, {closing}."
    if chance < 0.50:
        return f"{words} {_pick(rng, _NOISE)}"
    if chance < 0.56:
        return f"NEW {words}"
    return words.upper() if chance < 0.60 else words


def _filled(pattern: str, item: Item, rng: np.random.Generator) -> str:
    kind = item.kind if rng.random() < 0.55 else _pick(rng, KINDS[item.kind].synonyms)
    words = pattern.format(
        brand=item.brand.name,
        line=item.line,
        kind=_cased(kind, rng),
        variant=item.variant,
        size=_worded_size(item.size, rng),
    )
    return _tidied(words)


def _cased(words: str, rng: np.random.Generator) -> str:
    return words.title() if rng.random() < 0.6 else words


def _worded_size(size: str, rng: np.random.Generator) -> str:
    """One of the ways sellers write a size: "50 ml", "50ml", "1.7 oz", both."""
    ounces = imperial(size)
    short = ounces.replace("fl ", "")
    forms = (size, size, size.replace(" ", ""), short, ounces, f"{size} / {short}")
    return _pick(rng, forms)


def _foreign(item: Item, rng: np.random.Generator) -> str:
    language = int(rng.integers(4))
    kind = KINDS[item.kind].foreign[language]
    end = _pick(rng, _FOREIGN_ENDS[language])
    return _tidied(f"{item.brand.name} {item.line} {kind} {item.variant}, {item.size}, {end}")


def _tidied(words: str) -> str:
    """Remove the gaps that an empty variant leaves."""
    for gap, closed in (("  ", " "), (" ,", ","), (", ,", ","), (",,", ","), (", (", " (")):
        words = words.replace(gap, closed)
    return words.strip(" ,")
