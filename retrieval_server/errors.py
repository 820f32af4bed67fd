"""The errors that the server and the builder raise.

::

    RetrievalError
    ├── ProfileError            a profile has a missing, unknown or invalid value
    ├── CatalogueError          the catalogue or the ground truth cannot be read
    ├── CalibrationError        a ground truth yields no probabilities that can be trusted
    ├── ShardError              a shard is missing, damaged, or of another catalogue or model
    ├── ModelRepositoryError    a model is missing, or its configuration differs from its graph
    ├── IndexBundleError        an index is missing, damaged, or of another format
    │   ├── CurrentFileError    the file ``current`` cannot be read or names no version
    │   ├── IndexLossError      a version has lost too much of the current one
    │   └── ModelMismatchError  the served models did not compute the index
    ├── ChangeLogError          the changes of an index cannot be read
    │   ├── ChangeWriteError    they cannot be written now; a retry is safe
    │   └── NotWriterError      this server takes no changes, or not now
    ├── StoreError              a store of descriptors refuses, or holds no index
    │   └── StoreUnavailableError   the store cannot be used now; a retry is safe
    ├── EngineError             descriptors cannot be computed
    │   ├── EngineUnavailableError  the engine cannot be used now; a retry is safe
    │   └── EngineDeadlineError     the engine did not answer before the deadline
    ├── OutOfMemoryError        a request needs more memory than there is now
    ├── LateError               the caller's deadline has passed before the answer was ready
    └── QueryError              the caller's query is unusable; names the field
        ├── ImageError          the query image is unusable
        └── UnknownProductError the product id is not in the index

Each message names what happened, the file or value, and what to do.
"""

from __future__ import annotations


class RetrievalError(Exception):
    """Base of all errors of this module; the message is one line for a person."""


class ProfileError(RetrievalError):
    """A profile has a missing, unknown or invalid value."""


class CatalogueError(RetrievalError):
    """The catalogue or the ground truth cannot be read."""


class CalibrationError(RetrievalError):
    """A ground truth yields no probabilities that can be trusted."""


class ShardError(RetrievalError):
    """A shard of described images or joined texts is missing, damaged, or of another catalogue."""


class ModelRepositoryError(RetrievalError):
    """A model is missing, or its configuration differs from its graph."""


class IndexBundleError(RetrievalError):
    """An index is missing, damaged, or of another format."""


class CurrentFileError(IndexBundleError):
    """The file ``current`` of an index cannot be read, or does not name a version."""


class IndexLossError(IndexBundleError):
    """A version of an index has lost more of the current one than is allowed."""


class ModelMismatchError(IndexBundleError):
    """The served models are not those that computed the descriptors of the index."""


class ChangeLogError(RetrievalError):
    """The log of the changes of an index is damaged, of a newer format, or of another version."""


class ChangeWriteError(ChangeLogError):
    """The log of the changes of an index cannot be written now; a retry is safe."""


class NotWriterError(ChangeLogError):
    """This process does not write the changes of the index."""


class StoreError(RetrievalError):
    """A store of descriptors in another engine refuses, or holds no index that can be used."""


class StoreUnavailableError(StoreError):
    """The store cannot be used now; a retry is safe."""


class EngineError(RetrievalError):
    """Descriptors cannot be computed."""


class EngineUnavailableError(EngineError):
    """Descriptors cannot be computed now; a retry is safe."""


class EngineDeadlineError(EngineError):
    """Descriptors were not computed before the deadline."""


class OutOfMemoryError(RetrievalError):
    """A request needs more memory than there is at the moment."""


class LateError(RetrievalError):
    """The caller's deadline has passed before the answer was ready."""


class QueryError(RetrievalError):
    """The caller's query is unusable.

    Attributes:
        field: the field of ``SearchRequest`` that is unusable.
        problem: what is wrong with it.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class ImageError(QueryError):
    """The image cannot be used: not an image, too large, truncated."""

    def __init__(self, problem: str) -> None:
        super().__init__("image", problem)


class UnknownProductError(QueryError):
    """The product id is not in the index."""

    def __init__(self, product_id: str) -> None:
        super().__init__("product_id", f"{product_id!r} is not in the index.")
