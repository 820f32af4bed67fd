"""The items of the sample: product lines of invented brands, with shades, scents and sizes.

Every shade, scent and size is a separate item, as in a real catalogue.
"""

from dataclasses import dataclass
from zlib import crc32

from export.sample.assortment import ASSORTMENT
from export.sample.brands import BRANDS, Brand
from export.sample.package_model import Pack
from export.sample.packs import PACKS


@dataclass(frozen=True, kw_only=True)
class Item:
    """One distinct product.

    Attributes:
        key: stable name, e.g. "Velmora/Midnight Repair/-/30 ml".
        brand: brand of the item.
        line: product line.
        category: coarse group, the catalogue's category column.
        kind: product type in the words of the label, a key of `product_kinds.KINDS`.
        variant: shade (with its number) or scent, or "".
        size: number and unit, e.g. "30 ml".
        content: hex colour of the content (or of the package, if it is dyed).
        pack: packaging design, which look-alikes share.
        price: list price.
    """

    key: str
    brand: Brand
    line: str
    category: str
    kind: str
    variant: str
    size: str
    content: str
    pack: Pack
    price: float


def sample_items() -> tuple[Item, ...]:
    """Every distinct item, in the order of the assortment."""
    items: list[Item] = []
    line: list[str] = []
    for row in ASSORTMENT.strip().splitlines():
        fields = [field.strip() for field in row.split("|")]
        if row.startswith(" "):
            items.append(_item(line, *fields))
        else:
            line = fields
    return tuple(items)


def _item(line: list[str], shade: str, size: str, content: str) -> Item:
    brand, name, category, kind, pack, price = line
    key = f"{brand}/{name}/{shade}/{size}"
    variant = "" if shade == "-" else shade
    if variant and category in {"makeup", "nails"}:
        variant = f"{shade} {crc32(key.encode()) % 900 + 100}"
    return Item(
        key=key,
        brand=BRANDS[brand],
        line=name,
        category=category,
        kind=kind,
        variant=variant,
        size=size,
        content=content,
        pack=PACKS[pack],
        price=float(price),
    )


def imperial(size: str) -> str:
    """The same size in ounces, e.g. "50 ml" -> "1.7 fl oz"."""
    amount, unit = size.split()
    if unit == "ml":
        return f"{float(amount) / 29.574:.1f} fl oz"
    return f"{float(amount) / 28.35:.2f} oz"
