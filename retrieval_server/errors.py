"""Every error this project raises on purpose.

::

    RetrievalError
    ├── ProfileError            a profile that no stage could use
    ├── CatalogueError          the catalogue or the ground truth cannot be read
    ├── ShardError              a shard of described images is missing, damaged, or of others
    ├── ModelRepositoryError    a model is missing, or its configuration contradicts its graph
    ├── IndexBundleError        an index is missing, damaged, or of another format
    │   └── ModelMismatchError  index and served models do not belong together
    ├── EngineError             descriptors cannot be computed
    │   ├── EngineUnavailableError  ... now; a retry is safe
    │   └── EngineDeadlineError     ... within the time allowed
    └── QueryError              the caller's query is unusable; names the field
        ├── ImageError          ... because the image is
        └── UnknownProductError ... because the product id is not in the index

Each message says what happened, which file or value it was, and what to do.
"""

from __future__ import annotations


class RetrievalError(Exception):
    """Base of all of them; its text is one line for a person."""


class ProfileError(RetrievalError):
    """A profile that no stage could use."""


class CatalogueError(RetrievalError):
    """The catalogue or the ground truth cannot be read."""


class ShardError(RetrievalError):
    """A shard of described images is missing, damaged, or of another catalogue or model."""


class ModelRepositoryError(RetrievalError):
    """A model is missing, or its configuration contradicts its graph."""


class IndexBundleError(RetrievalError):
    """An index is missing, damaged, or of another format."""


class ModelMismatchError(IndexBundleError):
    """Index and served models do not belong together."""


class EngineError(RetrievalError):
    """Descriptors cannot be computed."""


class EngineUnavailableError(EngineError):
    """Descriptors cannot be computed now; a retry is safe."""


class EngineDeadlineError(EngineError):
    """Descriptors were not computed within the time allowed."""


class QueryError(RetrievalError):
    """The caller's query is unusable.

    Attributes:
        field: the field of ``SearchRequest`` at fault.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class ImageError(QueryError):
    """The image cannot be used: not an image, too large, truncated."""

    def __init__(self, problem: str) -> None:
        super().__init__("image", problem)


class UnknownProductError(QueryError):
    """The product id is not in the index."""

    def __init__(self, product_id: str) -> None:
        super().__init__("product_id", f"{product_id!r} is not in the index.")
