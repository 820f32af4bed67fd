"""Label layouts: the positions of a brand's mark, its name, the product and the size."""

from collections.abc import Callable

from PIL import Image

from export.sample.artwork import Copy, Sheet, logo_text, mark

SMALL_PRINT = (
    "Apply to clean skin, morning and evening.",
    "Avoid contact with eyes. Keep out of reach",
    "of children. Store below 25 C.",
)


def label(copy: Copy, width: int, height: int) -> Image.Image:
    """Typeset a label of `width` x `height` pixels; transparent where the copy has no paper."""
    sheet = Sheet(max(16, width), max(16, height), copy.ink, copy.paper)
    if height < 0.62 * width:
        _wide(sheet, copy)
    elif height > 3.3 * width:
        _tall(sheet, copy)
    else:
        LAYOUTS[copy.brand.layout](sheet, copy)
    return sheet.image


def _logo(sheet: Sheet, copy: Copy, y: float, size: float, ink: str | None = None) -> None:
    brand = copy.brand
    sheet.text(
        logo_text(brand),
        brand.font,
        size,
        (0.5, y),
        tracking=brand.tracking,
        span=0.88,
        ink=ink,
    )


def _centred(sheet: Sheet, copy: Copy) -> None:
    font = copy.brand.text_font
    sheet.stamp(mark(copy.brand.mark, int(sheet.unit * 0.17)), (0.5, 0.14))
    _logo(sheet, copy, 0.30, 0.15)
    sheet.text(copy.brand.tagline, font, 0.05, (0.5, 0.385))
    sheet.rule(0.45, 0.36, 0.64)
    sheet.text(copy.line, font, 0.125, (0.5, 0.54))
    sheet.text(copy.kind, font, 0.085, (0.5, 0.635))
    sheet.text(copy.variant, font, 0.085, (0.5, 0.725))
    sheet.text(copy.size, font, 0.064, (0.5, 0.91))


def _framed(sheet: Sheet, copy: Copy) -> None:
    font = copy.brand.text_font
    for y, inset in ((0.025, 0.04), (0.975, 0.04), (0.045, 0.06), (0.955, 0.06)):
        sheet.rule(y, inset, 1 - inset, copy.brand.accent if copy.paper else None)
    sheet.stamp(
        mark(copy.brand.mark, int(sheet.unit * 0.2)),
        (0.5, 0.17),
        copy.brand.accent if copy.paper else None,
    )
    _logo(sheet, copy, 0.36, 0.19)
    sheet.text(copy.brand.tagline, font, 0.055, (0.5, 0.46))
    sheet.text(copy.line, font, 0.12, (0.5, 0.59))
    sheet.text(copy.kind, font, 0.085, (0.5, 0.69))
    sheet.text(copy.variant, font, 0.075, (0.5, 0.775))
    sheet.text(copy.size, font, 0.064, (0.5, 0.885))


def _stacked(sheet: Sheet, copy: Copy) -> None:
    font = copy.brand.text_font
    _logo(sheet, copy, 0.12, 0.2)
    sheet.rule(0.205, 0.06, 0.94)
    for row, (words, size) in enumerate(
        ((copy.line, 0.13), (copy.kind, 0.095), (copy.variant, 0.095))
    ):
        sheet.text(words, font, size, (0.5, 0.31 + 0.1 * row))
    sheet.stamp(mark(copy.brand.mark, int(sheet.unit * 0.26)), (0.5, 0.70))
    sheet.rule(0.85, 0.06, 0.94)
    sheet.text(copy.size, font, 0.06, (0.5, 0.92))


def _banded(sheet: Sheet, copy: Copy) -> None:
    font = copy.brand.text_font
    reverse = copy.paper or "#fbf8f2"
    sheet.block(0.14, 0.42, copy.brand.accent)
    _logo(sheet, copy, 0.28, 0.17, reverse)
    sheet.stamp(mark(copy.brand.mark, int(sheet.unit * 0.1)), (0.5, 0.07))
    sheet.text(copy.line, font, 0.125, (0.5, 0.55))
    sheet.text(copy.kind, font, 0.088, (0.5, 0.65))
    sheet.text(copy.variant, font, 0.088, (0.5, 0.74))
    sheet.text(copy.size, font, 0.064, (0.5, 0.90))


def _technical(sheet: Sheet, copy: Copy) -> None:
    font = copy.brand.text_font
    sheet.rule(0.04, 0.04, 0.96)
    _logo(sheet, copy, 0.12, 0.15)
    sheet.rule(0.2, 0.04, 0.96)
    sheet.text(copy.line, font, 0.095, (0.5, 0.30), span=0.94)
    sheet.text(copy.kind, font, 0.068, (0.5, 0.39))
    sheet.text(copy.variant, font, 0.075, (0.5, 0.48))
    sheet.rule(0.56, 0.04, 0.96)
    for row, words in enumerate(SMALL_PRINT):
        sheet.text(words, font, 0.04, (0.5, 0.62 + 0.055 * row), span=0.94)
    sheet.stamp(mark(copy.brand.mark, int(sheet.unit * 0.09)), (0.14, 0.91))
    sheet.text(copy.size, font, 0.055, (0.6, 0.91), span=0.7)
    sheet.rule(0.975, 0.04, 0.96)


def _vertical(sheet: Sheet, copy: Copy) -> None:
    """The name runs upwards on the left side; the product is next to it."""
    side = Sheet(sheet.height, sheet.width, copy.ink, None)
    brand = copy.brand
    size = 0.25 * sheet.unit / sheet.width
    side.text(logo_text(brand), brand.font, size, (0.5, 0.17), tracking=brand.tracking, span=0.92)
    sheet.image = Image.alpha_composite(sheet.image, side.image.rotate(90, expand=True))
    font = brand.text_font
    sheet.stamp(mark(brand.mark, int(sheet.unit * 0.2)), (0.64, 0.13))
    sheet.text(copy.line, font, 0.13, (0.64, 0.42), span=0.62)
    sheet.text(copy.kind, font, 0.09, (0.64, 0.51), span=0.62)
    sheet.text(copy.variant, font, 0.09, (0.64, 0.61), span=0.62)
    sheet.text(copy.size, font, 0.066, (0.64, 0.92), span=0.62)


def _wide(sheet: Sheet, copy: Copy) -> None:
    """Jar fronts and palette lids: three centred lines, for every layout of the brand."""
    unit = 1.4
    font = copy.brand.text_font
    if copy.brand.layout == "banded":
        sheet.block(0.06, 0.48, copy.brand.accent)
        _logo(sheet, copy, 0.27, 0.25 * unit, copy.paper or "#fbf8f2")
    else:
        _logo(sheet, copy, 0.26, 0.28 * unit)
    sheet.text(copy.line, font, 0.15 * unit, (0.5, 0.56))
    sheet.text(f"{copy.kind}  {copy.variant}".strip(), font, 0.11 * unit, (0.5, 0.73))
    sheet.text(copy.size, font, 0.09 * unit, (0.5, 0.90))


def _tall(sheet: Sheet, copy: Copy) -> None:
    """Slim tubes and lipstick cases: all text runs upwards."""
    side = Sheet(sheet.height, sheet.width, copy.ink, copy.paper)
    unit = 1.25
    slim = sheet.width / sheet.height
    brand = copy.brand
    side.stamp(mark(brand.mark, int(sheet.width * 0.5)), (0.07 + 0.2 * slim, 0.5))
    side.text(
        logo_text(brand),
        brand.font,
        0.46 * unit,
        (0.42, 0.48),
        tracking=brand.tracking,
        span=0.46,
    )
    side.text(copy.line, brand.text_font, 0.26 * unit, (0.82, 0.32), span=0.3)
    side.text(copy.variant or copy.kind, brand.text_font, 0.22 * unit, (0.82, 0.68), span=0.3)
    sheet.image = side.image.rotate(90, expand=True)


LAYOUTS: dict[str, Callable[[Sheet, Copy], None]] = {
    "centred": _centred,
    "framed": _framed,
    "stacked": _stacked,
    "banded": _banded,
    "technical": _technical,
    "vertical": _vertical,
}
