"""Writes the sample catalogue: listings, pictures, query photos, ground truth.

Layout of the folder:
    catalog.csv        id, image, description, brand, category, price
    ground_truth.csv   query_image, ids (space separated, all listings of the same item)
    images/            s0001.jpg ..., a few PNG and WebP
    queries/           q0001.jpg ..., some with an EXIF orientation
    sample.json        marker of a complete sample: version, seed, counts
    README.md          description of the sample

The same seed and package versions give byte-identical files.
"""

import csv
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

from PIL import Image

from export.sample.item_sprite import generator
from export.sample.items import Item, sample_items
from export.sample.listing_image import listing_image
from export.sample.phone_photo import phone_photo
from export.sample.wording import descriptions

SAMPLE_VERSION = 1
QUERIES = 60
# How many items have 2, 3, ... 6 listings; dealt out at random, so the total never changes.
LISTINGS_PER_ITEM = {2: 22, 3: 28, 4: 21, 5: 10, 6: 6}
OTHER_FORMATS = {41: ".png", 118: ".webp", 203: ".webp"}
CLUTTER = 6
_EXIF_ORIENTATION = 274
_README = """# Sample catalogue

{listings} listings of {items} invented cosmetic products and {queries} phone photos of them.
Everything is rendered by `export/sample` (seed {seed}, version {version}); no brand is real.
Several brands share a packaging design on purpose: such look-alikes are what text must tell apart.

- `catalog.csv`: `id`, `image` (path relative to this folder), `description`, `brand`, `category`,
  `price`. An item is listed by 2 to 6 sellers, each with an own picture and own words.
- `ground_truth.csv`: `query_image` (path relative to this folder), `ids` (space separated ids of
  all listings that show the same item).
- `images/`, `queries/`: JPEG, a few PNG and WebP. Some queries rely on their EXIF orientation.
- `sample.json`: marks the folder as complete.
"""


@dataclass(frozen=True)
class Listing:
    """One row of the catalogue."""

    product_id: str
    image: str
    item: Item
    number: int
    description: str
    price: str


def write_sample(
    output: Path, *, seed: int = 0, on_progress: Callable[[int, int], None] | None = None
) -> Path:
    """Render the sample catalogue into `output`.

    The files are written to a temporary folder next to `output`, which is renamed when it is
    complete; an interrupted run removes it. A complete sample of this version and seed is kept.
    Spawned processes render the pictures, so a script that calls this function needs
    `if __name__ == "__main__":`.

    Args:
        output: folder to create; may exist only if it is empty or contains this sample.
        seed: seed of every random choice.
        on_progress: called with the number of finished pictures and their total.

    Returns:
        `output`.

    Raises:
        FileExistsError: if `output` contains anything else.
    """
    if _is_complete(output, seed):
        return output
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    try:
        _write(partial, seed, on_progress or (lambda done, total: None))
        partial.chmod(0o755)
        if output.exists():
            output.rmdir()
        partial.rename(output)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return output


def _is_complete(output: Path, seed: int) -> bool:
    """Whether `output` contains this sample; raises FileExistsError for any other content."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return False
    marker = output / "sample.json"
    found = json.loads(marker.read_text()) if marker.is_file() else {}
    if (found.get("version"), found.get("seed")) == (SAMPLE_VERSION, seed):
        return True
    what = (
        f"sample version {found.get('version')} with seed {found.get('seed')}"
        if found
        else "files that are not a sample"
    )
    raise FileExistsError(
        f"{output} already holds {what}; wanted version {SAMPLE_VERSION} with seed {seed}. "
        "Choose another folder or delete this one."
    )


def _write(folder: Path, seed: int, on_progress: Callable[[int, int], None]) -> None:
    items = sample_items()
    listings = sample_listings(items, seed)
    queried = queried_items(items, seed)
    (folder / "images").mkdir()
    (folder / "queries").mkdir()
    _render(folder, listings, queried, seed, on_progress)
    _write_tables(folder, listings, queried)
    counts = {"listings": len(listings), "items": len(items), "queries": len(queried)}
    facts = {"version": SAMPLE_VERSION, "seed": seed, **counts}
    (folder / "README.md").write_text(_README.format(**facts), encoding="utf-8")
    (folder / "sample.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _render(
    folder: Path,
    listings: Sequence[Listing],
    queried: Sequence[Item],
    seed: int,
    on_progress: Callable[[int, int], None],
) -> None:
    """Render all pictures on all cores, each with its own random generator."""
    # Spawned, not forked: the caller may hold threads (torch, gRPC) that a fork would break.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(save_listing, folder, listing, seed) for listing in listings]
        for row, item in enumerate(queried):
            futures.append(pool.submit(save_query, folder / query_name(row), item, seed))
        try:
            for done, future in enumerate(as_completed(futures)):
                future.result()
                on_progress(done + 1, len(futures))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def sample_listings(items: Sequence[Item], seed: int) -> list[Listing]:
    """All listings in catalogue order: shuffled, with no two neighbours of the same item."""
    rng = generator(seed, "listings")
    sellers = [count for count, times in LISTINGS_PER_ITEM.items() for _ in range(times)]
    rng.shuffle(sellers)
    offers = [
        (item, number, words)
        for item, count in zip(items, sellers, strict=True)
        for number, words in enumerate(
            descriptions(item, count, generator(seed, "words", item.key))
        )
    ]
    order = list(range(len(offers)))
    while any(offers[a][0] == offers[b][0] for a, b in pairwise(order)):
        rng.shuffle(order)
    listings = []
    for row, (item, number, words) in enumerate(offers[index] for index in order):
        product_id = f"s{row + 1:04d}"
        image = f"images/{product_id}{OTHER_FORMATS.get(row, '.jpg')}"
        price = f"{item.price * float(rng.uniform(0.82, 1.2)):.2f}"
        listings.append(Listing(product_id, image, item, number, words, price))
    return listings


def queried_items(items: Sequence[Item], seed: int) -> list[Item]:
    """The items that have a query photo, in the order of the photos."""
    order = generator(seed, "queries").permutation(len(items))
    return [items[index] for index in order[:QUERIES]]


def query_name(row: int) -> str:
    """Path of a query photo in the sample."""
    return f"queries/q{row + 1:04d}.jpg"


def save_listing(folder: Path, listing: Listing, seed: int) -> None:
    """Render the picture of a listing to the path in `folder` that the catalogue names."""
    picture = listing_image(listing.item, seed, listing.number)
    quality = int(generator(seed, "quality", listing.product_id).integers(80, 93))
    picture.save(folder / listing.image, quality=quality)


def save_query(path: Path, item: Item, seed: int) -> None:
    """Render the query photo of an item, with other items around it, to `path`."""
    rng = generator(seed, "clutter", item.key)
    rest = [other for other in sample_items() if other.line != item.line]
    chosen = rng.choice(len(rest), CLUTTER, replace=False)
    photo = phone_photo(item, tuple(rest[index] for index in chosen), seed)
    exif = Image.Exif()
    if photo.orientation != 1:
        exif[_EXIF_ORIENTATION] = photo.orientation
    photo.picture.save(path, quality=int(rng.integers(62, 88)), exif=exif)


def _write_tables(folder: Path, listings: Sequence[Listing], queried: Sequence[Item]) -> None:
    with (folder / "catalog.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("id", "image", "description", "brand", "category", "price"))
        for row in listings:
            item = row.item
            facts = (row.description, item.brand.name, item.category, row.price)
            table.writerow((row.product_id, row.image, *facts))
    with (folder / "ground_truth.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("query_image", "ids"))
        for row_number, item in enumerate(queried):
            ids = [listing.product_id for listing in listings if listing.item == item]
            table.writerow((query_name(row_number), " ".join(ids)))
