"""The loss of an index: what a version no longer has of an older one.

The loss consists of three shares, each from 0 to 1:

============  ============================================================  =======================
share         what is counted                                               divided by
============  ============================================================  =======================
products      products of the older version whose id the newer one lacks    products of the older
                                                                            version
descriptions  products of both whose description is blank in the newer one  products of the older
              only                                                          version
images        catalogue rows that only the newer version has rejected,      catalogue rows of the
              because their image cannot be read                            newer version
============  ============================================================  =======================

A product whose image can no longer be read counts among the products and among the images. Only the
ids, the descriptions and the rejects are read, so the two versions may differ in profile, models,
and format of the manifest.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from retrieval_server.errors import IndexBundleError, IndexLossError
from retrieval_server.index.bundle import REJECTS_FILE
from retrieval_server.storage.arrays import REBUILD
from retrieval_server.storage.string_table import StringTable

ANY_LOSS = 1.0
DEFAULT_MAX_LOSS = 0.2


@dataclass(frozen=True)
class LostShare:
    """One share of a loss.

    Attributes:
        what: what is lost, such as "products are missing".
        count: how many are lost.
        total: how many there are.
        first: the first one that is lost, for a person; empty if there is none.
    """

    what: str
    count: int
    total: int
    first: str

    @property
    def share(self) -> float:
        """The share, from 0 to 1."""
        return self.count / self.total if self.total else 0.0

    def __str__(self) -> str:
        percent = f"{100 * self.share:.3g} %"
        return f"{self.count:,} of {self.total:,} {self.what} ({percent}), the first: {self.first}"


@dataclass(frozen=True)
class Loss:
    """What a version no longer has of an older one.

    Attributes:
        old: the older version's folder.
        new: the newer version's folder.
        shares: products, descriptions and images.
    """

    old: Path
    new: Path
    shares: tuple[LostShare, ...]

    def __str__(self) -> str:
        return "; ".join(str(part) for part in self.shares if part.count)

    def check(self, max_loss: float) -> None:
        """Refuse the newer version if a share is larger than a bound.

        Args:
            max_loss: the largest share that may be lost, from 0 to 1.

        Raises:
            IndexLossError: naming each share that is lost, and its first product.
        """
        if all(part.share <= max_loss for part in self.shares):
            return
        raise IndexLossError(
            f"{self.new} has lost more of {self.old.name} than --max-loss {max_loss:g} allows: "
            f"{self}. Correct the catalogue and build again. If the loss is intended, run: "
            f"beauty-export publish {shlex.quote(str(self.new.parent))} {self.new.name}"
        )


@dataclass(frozen=True)
class Contents:
    """What of a version is compared.

    Attributes:
        ids: the product ids, in UTF-8.
        blank: those of the products without a description.
        rejects: by product id, the image of each rejected row and why it could not be read.
    """

    ids: Sequence[bytes]
    blank: Set[bytes]
    rejects: Mapping[str, str]


def loss_between(old: Path, new: Path) -> Loss | None:
    """Compare two versions of an index; takes about a second for a million products.

    Args:
        old: the older version's folder.
        new: the newer version's folder.

    Returns:
        The loss; None if the older version cannot be read: there is nothing to compare with.

    Raises:
        IndexBundleError: if a file of the newer version is missing or damaged.
    """
    try:
        before = _contents(old)
    except IndexBundleError:
        return None
    after = _contents(new)
    emptied = after.blank - before.blank
    undescribed = [product for product in before.ids if product in emptied]
    rejects = [why for product, why in after.rejects.items() if product not in before.rejects]
    return Loss(
        old,
        new,
        (
            _missing(before.ids, after.ids),
            LostShare(
                "products have lost their description",
                len(undescribed),
                len(before.ids),
                _first_id(undescribed),
            ),
            LostShare(
                "images can no longer be read",
                len(rejects),
                len(after.ids) + len(after.rejects),
                rejects[0] if rejects else "",
            ),
        ),
    )


def missing_products(version: Path, product_ids: Iterable[str]) -> LostShare:
    """The products of a version that are not among some ids.

    Args:
        version: the version's folder.
        product_ids: the ids to look for.

    Raises:
        IndexBundleError: if the version's ids are missing or damaged.
    """
    ids = list(StringTable(version, "ids").raw_strings())
    return _missing(ids, {product_id.encode() for product_id in product_ids})


def missing_images(version: Path, missing: Mapping[str, str], rows: int) -> LostShare:
    """The missing image files that were not missing when a version was built.

    Args:
        version: the version's folder.
        missing: the images whose files are missing, by product id.
        rows: number of rows of the catalogue that names them.

    Raises:
        IndexBundleError: if the version's list of rejects is missing or damaged.
    """
    known = _rejects(version)
    lost = [image for product, image in missing.items() if product not in known]
    return LostShare("image files are missing", len(lost), rows, lost[0] if lost else "")


def _missing(old_ids: Sequence[bytes], new_ids: Iterable[bytes]) -> LostShare:
    known = set(new_ids)
    missing = [product for product in old_ids if product not in known]
    return LostShare("products are missing", len(missing), len(old_ids), _first_id(missing))


def _first_id(products: Sequence[bytes]) -> str:
    return repr(products[0].decode(errors="replace")) if products else ""


def _contents(version: Path) -> Contents:
    ids, descriptions = StringTable(version, "ids"), StringTable(version, "descriptions")
    if len(ids) != len(descriptions):
        raise IndexBundleError(f"{version} has not one description for each id. {REBUILD}")
    products = list(ids.raw_strings())
    blank = {
        product
        for product, description in zip(products, descriptions.raw_strings(), strict=True)
        if not description.decode(errors="replace").strip()
    }
    return Contents(products, blank, _rejects(version))


def _rejects(version: Path) -> dict[str, str]:
    path = version / REJECTS_FILE
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        rejects = [json.loads(line) for line in lines if line]
        return {
            reject["product_id"]: f"{reject['image']} {reject['reason'].rstrip('.')}"
            for reject in rejects
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise IndexBundleError(f"Cannot read {path}: {error}. {REBUILD}") from error
