"""Shops and marketplaces: their own columns, addresses of images, markup in descriptions."""

from collections.abc import Sequence
from html import escape

from tests.support.export.feeds.dialect import (
    PLAIN,
    Columns,
    Content,
    Dialect,
    Row,
    column,
    constant,
    csv_file,
    csv_text,
    edited,
    renamed,
    written,
)


def address(row: Row) -> str:
    return f"https://shop.example.com/{row['image']}?v=1700000000"


def two_addresses(row: Row) -> str:
    return f"{address(row)}, https://shop.example.com/images/back-{row['id']}.jpg"


def title(row: Row) -> str:
    return row["description"].partition(".")[0]


def handle(row: Row) -> str:
    return f"{row['brand']} {row['id']}".lower().replace(" ", "-").replace("'", "")


def markup(row: Row) -> str:
    """A description as the editor of a shop saves it; nothing where there is none."""
    text = escape(row["description"], quote=False)
    first, dot, rest = text.partition(". ")
    more = f"\n<p class='more'>{rest}</p>" if rest else ""
    return f'<p data-mce-fragment="1"><strong>{first}{dot.strip()}</strong></p>{more}' * bool(text)


SHOPIFY: Columns = {
    "Handle": handle,
    "Title": title,
    "Body (HTML)": markup,
    "Vendor": column("brand"),
    "Product Category": column("category"),
    "Tags": constant("new, sale"),
    "Published": constant("true"),
    "Option1 Name": constant("Title"),
    "Option1 Value": constant("Default Title"),
    "Variant SKU": column("id"),
    "Variant Grams": constant("50.0"),
    "Variant Price": column("price"),
    "Image Src": address,
    "Image Position": constant("1"),
    "Gift Card": constant("false"),
    "Status": constant("active"),
}
SHOPIFY_NAMES = {"Variant SKU": "id", "Image Src": "image", "Body (HTML)": "description"}
SHOPIFY_HERE = renamed({**SHOPIFY, "Image Src": column("image")}, SHOPIFY_NAMES)

WOOCOMMERCE: Columns = {
    "ID": column("id"),
    "Type": constant("simple"),
    "SKU": handle,
    "Name": title,
    "Published": constant("1"),
    "Is featured?": constant("0"),
    "Short description": constant(""),
    "Description": lambda row: markup(row).replace("\n", r"\n"),
    "In stock?": constant("1"),
    "Regular price": column("price"),
    "Categories": lambda row: f"Beauty > {row['category']}",
    "Images": two_addresses,
    "Brands": column("brand"),
    "Position": constant("0"),
}
WOOCOMMERCE_NAMES = {"ID": "id", "Images": "image", "Description": "description"}

MAGENTO: Columns = {
    "sku": column("id"),
    "store_view_code": constant(""),
    "attribute_set_code": constant("Default"),
    "product_type": constant("simple"),
    "categories": lambda row: f"Default Category/{row['category']}",
    "name": title,
    "description": markup,
    "weight": constant("0.050000"),
    "price": column("price"),
    "base_image": lambda row: "/" + row["image"],
    "small_image": lambda row: "/" + row["image"],
    "additional_images": lambda row: f"/{row['image']},/images/back-{row['id']}.jpg",
    "additional_attributes": lambda row: f"brand={row['brand']},has_options=0",
}
MAGENTO_NAMES = {"sku": "id", "base_image": "image"}

MERCHANT: Columns = {
    "id": column("id"),
    "title": title,
    "description": column("description"),
    "link": lambda row: f"https://shop.example.com/p/{handle(row)}",
    "image_link": address,
    "availability": constant("in_stock"),
    "price": lambda row: f"{row['price']} EUR" if row["price"] else "",
    "brand": column("brand"),
    "google_product_category": constant("469"),
}
MERCHANT_NAMES = {"image_link": "image"}
MERCHANT_HERE = renamed({**MERCHANT, "image_link": column("image")}, MERCHANT_NAMES)

PRESTASHOP: Columns = {
    "Product ID": column("id"),
    "Image": address,
    "Name": title,
    "Reference": handle,
    "Category": column("category"),
    "Price (tax excl.)": column("price"),
}
ETSY: Columns = {
    "TITLE": title,
    "DESCRIPTION": column("description"),
    "PRICE": column("price"),
    "CURRENCY_CODE": constant("EUR"),
    "IMAGE1": address,
    "IMAGE2": constant(""),
    "SKU": column("id"),
}
AMAZON: Columns = {
    "item_sku": column("id"),
    "item_name": title,
    "brand_name": column("brand"),
    "standard_price": column("price"),
    "main_image_url": address,
    "product_description": markup,
}


def shopify_rows(rows: Sequence[Row]) -> bytes:
    """A second row for each product's second image, which has the handle and the image only."""
    names = renamed(
        {**SHOPIFY, "Image Src": column("image")},
        {"Handle": "id", "Image Src": "image", "Body (HTML)": "description"},
    )
    lines = csv_text(names, rows).splitlines()
    second = [cell(rows[0]) if name in {"id", "image"} else "" for name, cell in names.items()]
    return "\n".join([*lines, ",".join(second), ""]).encode()


def merchant_xml(rows: Sequence[Row]) -> bytes:
    items = "\n".join(
        "<item>"
        + "".join(f"<g:{name}>{escape(cell(row))}</g:{name}>" for name, cell in MERCHANT.items())
        + "</item>"
        for row in rows
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel>'
        f"<title>Shop</title>\n{items}\n</channel></rss>\n"
    ).encode()


def flat_file(columns: Columns) -> Content:
    """A flat file of Amazon: two lines of the template before the header."""
    template = "TemplateType=beauty\tVersion=2024.0101\tThe top 3 rows are for Amazon.com use only"
    return edited(lambda text: f"{template}\nSKU\tTitle\n{text}", columns, delimiter="\t")


DIALECTS = (
    Dialect(
        name="Shopify, as exported",
        content=csv_file(SHOPIFY),
        refused=r"Rename.*'Image Src'.*'image'",
    ),
    Dialect(
        name="Shopify, columns renamed",
        content=csv_file(renamed(SHOPIFY, SHOPIFY_NAMES)),
        refused="image.*address",
    ),
    Dialect(
        name="Shopify, columns renamed, images downloaded",
        content=csv_file(SHOPIFY_HERE),
        stored=written(SHOPIFY_HERE, "description"),
    ),
    Dialect(
        name="Shopify, a row for each image",
        content=shopify_rows,
        refused=r"line \d+: the id '.*' is already in line \d+.*rename.*'id' to 'product'",
    ),
    Dialect(
        name="WooCommerce, as exported",
        content=csv_file(WOOCOMMERCE, encoding="utf-8-sig"),
        refused=r"line 2: the column 'images'.*no JSON list. Write \[\"https:",
    ),
    Dialect(
        name="WooCommerce, columns renamed",
        content=csv_file(renamed(WOOCOMMERCE, WOOCOMMERCE_NAMES), encoding="utf-8-sig"),
        refused="image.*address",
    ),
    Dialect(
        name="WooCommerce, columns renamed, images downloaded",
        content=csv_file(
            here := renamed({**WOOCOMMERCE, "Images": column("image")}, WOOCOMMERCE_NAMES),
            encoding="utf-8-sig",
        ),
        stored=written(here, "description"),
    ),
    Dialect(
        name="Magento 2, as exported",
        content=csv_file(MAGENTO),
        refused=r"Rename.*'base_image'.*'image'",
    ),
    Dialect(
        name="Magento 2, columns renamed",
        content=csv_file(renamed(MAGENTO, MAGENTO_NAMES)),
        refused="slash",
    ),
    Dialect(
        name="Google Merchant, text",
        content=csv_file(MERCHANT, delimiter="\t"),
        refused=r"Rename.*'image_link'.*'image'",
    ),
    Dialect(
        name="Google Merchant, text, columns renamed",
        content=csv_file(renamed(MERCHANT, MERCHANT_NAMES), delimiter="\t"),
        refused="image.*address",
    ),
    Dialect(
        name="Google Merchant, text, images downloaded",
        content=csv_file(MERCHANT_HERE, delimiter="\t"),
        stored=written(MERCHANT_HERE),
    ),
    Dialect(
        name="Google Merchant, names with g:",
        content=csv_file({f"g:{name}": cell for name, cell in MERCHANT.items()}),
        refused=r"Rename.*'g:image_link'.*'image'",
    ),
    Dialect(name="Google Merchant, XML as .csv", content=merchant_xml, refused=r"XML.*CSV"),
    Dialect(
        name="Google Merchant, XML",
        content=merchant_xml,
        file="feed.xml",
        refused=r"must be.*\.csv",
    ),
    Dialect(
        name="PrestaShop, as exported",
        content=csv_file(PRESTASHOP, delimiter=";"),
        refused=r"no column 'id'.*Rename",
    ),
    Dialect(name="Etsy, as exported", content=csv_file(ETSY), refused=r"Rename.*'SKU'.*'id'"),
    Dialect(
        name="Amazon, flat file",
        content=flat_file(AMAZON),
        refused=r"no column 'id'.*Rename",
    ),
    Dialect(
        name="Meta, a line of help before the header",
        content=edited(lambda text: f"# Required | A unique content ID,# Required | Image\n{text}"),
        refused=r"no column 'id'.*Rename",
    ),
    Dialect(
        name="a shop's template with all columns of the catalogue and its own",
        content=csv_file(own := {**PLAIN, "meta_title": title, "stock": constant("12")}),
        stored=written(own),
    ),
)
