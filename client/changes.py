"""Changes to the catalogue, and what becomes of them, as plain frozen Python values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc


@dataclass(frozen=True, kw_only=True)
class CatalogueProduct:
    """A product as it is to be from now on; it has an image or descriptors.

    Attributes:
        product_id: its id; a product of the catalogue with this id is replaced as a whole.
        image: an encoded image, or the path of one.
        descriptors: the values by model name, computed by the models of the index.
        description: its description.
        image_path: where the image is, for those who show it; relative to the catalogue file.
        attributes: values of the catalogue's further columns.
    """

    product_id: str
    image: bytes | Path | None = None
    descriptors: Mapping[str, Sequence[float]] | None = None
    description: str = ""
    image_path: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Upserted:
    """What has become of a product that was sent.

    Attributes:
        product_id: its id.
        code: 0 if the change is durable, else the number of a gRPC status.
        message: why it was refused, in one line.
        change_position: its number; a search at this position or a later one sees it.
        index_version: the version that was changed.
    """

    product_id: str
    code: int
    message: str
    change_position: int
    index_version: str

    @classmethod
    def refused(cls, product_id: str, message: str) -> "Upserted":
        """A product that was not sent.

        Args:
            product_id: its id.
            message: why.
        """
        code: int = grpc.StatusCode.INVALID_ARGUMENT.value[0]
        return cls(product_id, code, message, 0, "")

    @property
    def is_durable(self) -> bool:
        """Whether the change is durable, and found by searches."""
        return self.code == 0


@dataclass(frozen=True)
class Deleted:
    """What has become of products that were to be removed, and the ids that are not there."""

    deleted_count: int
    missing_ids: tuple[str, ...]
    change_position: int
    index_version: str
    request_id: str
