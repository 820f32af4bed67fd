from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Guarantee(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GUARANTEE_UNSPECIFIED: _ClassVar[Guarantee]
    GUARANTEE_EXACT: _ClassVar[Guarantee]
    GUARANTEE_EXACT_FOR_LIST: _ClassVar[Guarantee]
    GUARANTEE_NONE: _ClassVar[Guarantee]

class Stage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STAGE_UNSPECIFIED: _ClassVar[Stage]
    STAGE_INITIAL: _ClassVar[Stage]
    STAGE_REFINED: _ClassVar[Stage]
    STAGE_FILLED: _ClassVar[Stage]

class ColumnKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COLUMN_KIND_UNSPECIFIED: _ClassVar[ColumnKind]
    COLUMN_KIND_TEXT: _ClassVar[ColumnKind]
    COLUMN_KIND_NUMBER: _ClassVar[ColumnKind]
    COLUMN_KIND_TRUTH: _ClassVar[ColumnKind]
GUARANTEE_UNSPECIFIED: Guarantee
GUARANTEE_EXACT: Guarantee
GUARANTEE_EXACT_FOR_LIST: Guarantee
GUARANTEE_NONE: Guarantee
STAGE_UNSPECIFIED: Stage
STAGE_INITIAL: Stage
STAGE_REFINED: Stage
STAGE_FILLED: Stage
COLUMN_KIND_UNSPECIFIED: ColumnKind
COLUMN_KIND_TEXT: ColumnKind
COLUMN_KIND_NUMBER: ColumnKind
COLUMN_KIND_TRUTH: ColumnKind

class SearchRequest(_message.Message):
    __slots__ = ("image", "product_id", "descriptors", "top_k", "keep", "refine", "alpha", "words", "more_images", "read_words", "text_weight", "filter", "exclude_ids", "min_similarity", "group_by")
    class AlphaEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTORS_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    REFINE_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    MORE_IMAGES_FIELD_NUMBER: _ClassVar[int]
    READ_WORDS_FIELD_NUMBER: _ClassVar[int]
    TEXT_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_IDS_FIELD_NUMBER: _ClassVar[int]
    MIN_SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    image: bytes
    product_id: str
    descriptors: Descriptors
    top_k: int
    keep: int
    refine: bool
    alpha: _containers.ScalarMap[str, float]
    words: str
    more_images: _containers.RepeatedScalarFieldContainer[bytes]
    read_words: bool
    text_weight: float
    filter: Filter
    exclude_ids: _containers.RepeatedScalarFieldContainer[str]
    min_similarity: float
    group_by: str
    def __init__(self, image: _Optional[bytes] = ..., product_id: _Optional[str] = ..., descriptors: _Optional[_Union[Descriptors, _Mapping]] = ..., top_k: _Optional[int] = ..., keep: _Optional[int] = ..., refine: _Optional[bool] = ..., alpha: _Optional[_Mapping[str, float]] = ..., words: _Optional[str] = ..., more_images: _Optional[_Iterable[bytes]] = ..., read_words: _Optional[bool] = ..., text_weight: _Optional[float] = ..., filter: _Optional[_Union[Filter, _Mapping]] = ..., exclude_ids: _Optional[_Iterable[str]] = ..., min_similarity: _Optional[float] = ..., group_by: _Optional[str] = ...) -> None: ...

class SearchStreamRequest(_message.Message):
    __slots__ = ("id", "search", "timeout_ms")
    ID_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    id: int
    search: SearchRequest
    timeout_ms: int
    def __init__(self, id: _Optional[int] = ..., search: _Optional[_Union[SearchRequest, _Mapping]] = ..., timeout_ms: _Optional[int] = ...) -> None: ...

class SearchStreamResponse(_message.Message):
    __slots__ = ("id", "answer", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: int
    answer: SearchResponse
    error: SearchError
    def __init__(self, id: _Optional[int] = ..., answer: _Optional[_Union[SearchResponse, _Mapping]] = ..., error: _Optional[_Union[SearchError, _Mapping]] = ...) -> None: ...

class SearchError(_message.Message):
    __slots__ = ("code", "message", "retry_delay_ms", "request_id")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_DELAY_MS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    retry_delay_ms: int
    request_id: str
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., retry_delay_ms: _Optional[int] = ..., request_id: _Optional[str] = ...) -> None: ...

class Filter(_message.Message):
    __slots__ = ("all_of", "any_of", "none_of", "equals", "one_of", "range", "is_missing")
    ALL_OF_FIELD_NUMBER: _ClassVar[int]
    ANY_OF_FIELD_NUMBER: _ClassVar[int]
    NONE_OF_FIELD_NUMBER: _ClassVar[int]
    EQUALS_FIELD_NUMBER: _ClassVar[int]
    ONE_OF_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    IS_MISSING_FIELD_NUMBER: _ClassVar[int]
    all_of: Filters
    any_of: Filters
    none_of: Filters
    equals: Equals
    one_of: OneOf
    range: Range
    is_missing: IsMissing
    def __init__(self, all_of: _Optional[_Union[Filters, _Mapping]] = ..., any_of: _Optional[_Union[Filters, _Mapping]] = ..., none_of: _Optional[_Union[Filters, _Mapping]] = ..., equals: _Optional[_Union[Equals, _Mapping]] = ..., one_of: _Optional[_Union[OneOf, _Mapping]] = ..., range: _Optional[_Union[Range, _Mapping]] = ..., is_missing: _Optional[_Union[IsMissing, _Mapping]] = ...) -> None: ...

class Filters(_message.Message):
    __slots__ = ("filters",)
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    filters: _containers.RepeatedCompositeFieldContainer[Filter]
    def __init__(self, filters: _Optional[_Iterable[_Union[Filter, _Mapping]]] = ...) -> None: ...

class Value(_message.Message):
    __slots__ = ("text", "number", "truth")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TRUTH_FIELD_NUMBER: _ClassVar[int]
    text: str
    number: float
    truth: bool
    def __init__(self, text: _Optional[str] = ..., number: _Optional[float] = ..., truth: _Optional[bool] = ...) -> None: ...

class Equals(_message.Message):
    __slots__ = ("column", "value")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    column: str
    value: Value
    def __init__(self, column: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ...) -> None: ...

class OneOf(_message.Message):
    __slots__ = ("column", "values")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    column: str
    values: _containers.RepeatedCompositeFieldContainer[Value]
    def __init__(self, column: _Optional[str] = ..., values: _Optional[_Iterable[_Union[Value, _Mapping]]] = ...) -> None: ...

class Range(_message.Message):
    __slots__ = ("column", "at_least", "above", "at_most", "below")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    ABOVE_FIELD_NUMBER: _ClassVar[int]
    AT_MOST_FIELD_NUMBER: _ClassVar[int]
    BELOW_FIELD_NUMBER: _ClassVar[int]
    column: str
    at_least: float
    above: float
    at_most: float
    below: float
    def __init__(self, column: _Optional[str] = ..., at_least: _Optional[float] = ..., above: _Optional[float] = ..., at_most: _Optional[float] = ..., below: _Optional[float] = ...) -> None: ...

class IsMissing(_message.Message):
    __slots__ = ("column",)
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    column: str
    def __init__(self, column: _Optional[str] = ...) -> None: ...

class Descriptors(_message.Message):
    __slots__ = ("by_model",)
    class ByModelEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Descriptor
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Descriptor, _Mapping]] = ...) -> None: ...
    BY_MODEL_FIELD_NUMBER: _ClassVar[int]
    by_model: _containers.MessageMap[str, Descriptor]
    def __init__(self, by_model: _Optional[_Mapping[str, Descriptor]] = ...) -> None: ...

class Descriptor(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class SearchResponse(_message.Message):
    __slots__ = ("results", "initial_results", "subset_size", "timings", "index_version", "models", "warnings", "request_id", "read_lines", "searched_count", "in_catalogue_probability", "proof", "change_position")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    INITIAL_RESULTS_FIELD_NUMBER: _ClassVar[int]
    SUBSET_SIZE_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    INDEX_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    READ_LINES_FIELD_NUMBER: _ClassVar[int]
    SEARCHED_COUNT_FIELD_NUMBER: _ClassVar[int]
    IN_CATALOGUE_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    CHANGE_POSITION_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[Match]
    initial_results: _containers.RepeatedCompositeFieldContainer[Match]
    subset_size: int
    timings: Timings
    index_version: str
    models: _containers.RepeatedCompositeFieldContainer[Model]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    request_id: str
    read_lines: _containers.RepeatedCompositeFieldContainer[ReadLine]
    searched_count: int
    in_catalogue_probability: float
    proof: Proof
    change_position: int
    def __init__(self, results: _Optional[_Iterable[_Union[Match, _Mapping]]] = ..., initial_results: _Optional[_Iterable[_Union[Match, _Mapping]]] = ..., subset_size: _Optional[int] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., index_version: _Optional[str] = ..., models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., warnings: _Optional[_Iterable[str]] = ..., request_id: _Optional[str] = ..., read_lines: _Optional[_Iterable[_Union[ReadLine, _Mapping]]] = ..., searched_count: _Optional[int] = ..., in_catalogue_probability: _Optional[float] = ..., proof: _Optional[_Union[Proof, _Mapping]] = ..., change_position: _Optional[int] = ...) -> None: ...

class Proof(_message.Message):
    __slots__ = ("guarantee", "candidate_count", "reason")
    GUARANTEE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_COUNT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    guarantee: Guarantee
    candidate_count: int
    reason: str
    def __init__(self, guarantee: _Optional[_Union[Guarantee, str]] = ..., candidate_count: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class ReadLine(_message.Message):
    __slots__ = ("text", "confidence", "photo", "corners")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    PHOTO_FIELD_NUMBER: _ClassVar[int]
    CORNERS_FIELD_NUMBER: _ClassVar[int]
    text: str
    confidence: float
    photo: int
    corners: _containers.RepeatedCompositeFieldContainer[Point]
    def __init__(self, text: _Optional[str] = ..., confidence: _Optional[float] = ..., photo: _Optional[int] = ..., corners: _Optional[_Iterable[_Union[Point, _Mapping]]] = ...) -> None: ...

class Point(_message.Message):
    __slots__ = ("x", "y")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    x: float
    y: float
    def __init__(self, x: _Optional[float] = ..., y: _Optional[float] = ...) -> None: ...

class Match(_message.Message):
    __slots__ = ("rank", "product_id", "description", "image", "attributes", "similarity", "cosines", "stage", "text", "words", "confidence", "group_size")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    RANK_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    COSINES_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    GROUP_SIZE_FIELD_NUMBER: _ClassVar[int]
    rank: int
    product_id: str
    description: str
    image: str
    attributes: _containers.ScalarMap[str, str]
    similarity: float
    cosines: _containers.RepeatedCompositeFieldContainer[BackboneCosine]
    stage: Stage
    text: TextEvidence
    words: WordsEvidence
    confidence: float
    group_size: int
    def __init__(self, rank: _Optional[int] = ..., product_id: _Optional[str] = ..., description: _Optional[str] = ..., image: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ..., similarity: _Optional[float] = ..., cosines: _Optional[_Iterable[_Union[BackboneCosine, _Mapping]]] = ..., stage: _Optional[_Union[Stage, str]] = ..., text: _Optional[_Union[TextEvidence, _Mapping]] = ..., words: _Optional[_Union[WordsEvidence, _Mapping]] = ..., confidence: _Optional[float] = ..., group_size: _Optional[int] = ...) -> None: ...

class WordsEvidence(_message.Message):
    __slots__ = ("cosine", "matched")
    COSINE_FIELD_NUMBER: _ClassVar[int]
    MATCHED_FIELD_NUMBER: _ClassVar[int]
    cosine: float
    matched: _containers.RepeatedCompositeFieldContainer[MatchedWord]
    def __init__(self, cosine: _Optional[float] = ..., matched: _Optional[_Iterable[_Union[MatchedWord, _Mapping]]] = ...) -> None: ...

class MatchedWord(_message.Message):
    __slots__ = ("word", "share")
    WORD_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    word: str
    share: float
    def __init__(self, word: _Optional[str] = ..., share: _Optional[float] = ...) -> None: ...

class BackboneCosine(_message.Message):
    __slots__ = ("model", "cosine")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    COSINE_FIELD_NUMBER: _ClassVar[int]
    model: str
    cosine: float
    def __init__(self, model: _Optional[str] = ..., cosine: _Optional[float] = ...) -> None: ...

class TextEvidence(_message.Message):
    __slots__ = ("seed_product_id", "seed_rank", "cosine")
    SEED_PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    SEED_RANK_FIELD_NUMBER: _ClassVar[int]
    COSINE_FIELD_NUMBER: _ClassVar[int]
    seed_product_id: str
    seed_rank: int
    cosine: float
    def __init__(self, seed_product_id: _Optional[str] = ..., seed_rank: _Optional[int] = ..., cosine: _Optional[float] = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ("decode_us", "encode_us", "rank_us", "refine_us", "total_us", "read_us")
    DECODE_US_FIELD_NUMBER: _ClassVar[int]
    ENCODE_US_FIELD_NUMBER: _ClassVar[int]
    RANK_US_FIELD_NUMBER: _ClassVar[int]
    REFINE_US_FIELD_NUMBER: _ClassVar[int]
    TOTAL_US_FIELD_NUMBER: _ClassVar[int]
    READ_US_FIELD_NUMBER: _ClassVar[int]
    decode_us: int
    encode_us: int
    rank_us: int
    refine_us: int
    total_us: int
    read_us: int
    def __init__(self, decode_us: _Optional[int] = ..., encode_us: _Optional[int] = ..., rank_us: _Optional[int] = ..., refine_us: _Optional[int] = ..., total_us: _Optional[int] = ..., read_us: _Optional[int] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "digest", "dimension", "alpha", "weights", "descriptor_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTOR_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    dimension: int
    alpha: float
    weights: str
    descriptor_bytes: int
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., dimension: _Optional[int] = ..., alpha: _Optional[float] = ..., weights: _Optional[str] = ..., descriptor_bytes: _Optional[int] = ...) -> None: ...

class GetProductsRequest(_message.Message):
    __slots__ = ("product_ids",)
    PRODUCT_IDS_FIELD_NUMBER: _ClassVar[int]
    product_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, product_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class GetProductsResponse(_message.Message):
    __slots__ = ("products", "missing_ids", "index_version", "request_id", "change_position")
    PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    MISSING_IDS_FIELD_NUMBER: _ClassVar[int]
    INDEX_VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CHANGE_POSITION_FIELD_NUMBER: _ClassVar[int]
    products: _containers.RepeatedCompositeFieldContainer[Product]
    missing_ids: _containers.RepeatedScalarFieldContainer[str]
    index_version: str
    request_id: str
    change_position: int
    def __init__(self, products: _Optional[_Iterable[_Union[Product, _Mapping]]] = ..., missing_ids: _Optional[_Iterable[str]] = ..., index_version: _Optional[str] = ..., request_id: _Optional[str] = ..., change_position: _Optional[int] = ...) -> None: ...

class UpsertRequest(_message.Message):
    __slots__ = ("product_id", "image", "descriptors", "description", "image_path", "attributes")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTORS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    IMAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    image: bytes
    descriptors: Descriptors
    description: str
    image_path: str
    attributes: _containers.ScalarMap[str, str]
    def __init__(self, product_id: _Optional[str] = ..., image: _Optional[bytes] = ..., descriptors: _Optional[_Union[Descriptors, _Mapping]] = ..., description: _Optional[str] = ..., image_path: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ...) -> None: ...

class UpsertResponse(_message.Message):
    __slots__ = ("product_id", "code", "message", "change_position", "index_version")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CHANGE_POSITION_FIELD_NUMBER: _ClassVar[int]
    INDEX_VERSION_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    code: int
    message: str
    change_position: int
    index_version: str
    def __init__(self, product_id: _Optional[str] = ..., code: _Optional[int] = ..., message: _Optional[str] = ..., change_position: _Optional[int] = ..., index_version: _Optional[str] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("product_ids",)
    PRODUCT_IDS_FIELD_NUMBER: _ClassVar[int]
    product_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, product_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class DeleteResponse(_message.Message):
    __slots__ = ("deleted_count", "missing_ids", "change_position", "index_version", "request_id")
    DELETED_COUNT_FIELD_NUMBER: _ClassVar[int]
    MISSING_IDS_FIELD_NUMBER: _ClassVar[int]
    CHANGE_POSITION_FIELD_NUMBER: _ClassVar[int]
    INDEX_VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    deleted_count: int
    missing_ids: _containers.RepeatedScalarFieldContainer[str]
    change_position: int
    index_version: str
    request_id: str
    def __init__(self, deleted_count: _Optional[int] = ..., missing_ids: _Optional[_Iterable[str]] = ..., change_position: _Optional[int] = ..., index_version: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class Product(_message.Message):
    __slots__ = ("product_id", "description", "image", "attributes")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    description: str
    image: str
    attributes: _containers.ScalarMap[str, str]
    def __init__(self, product_id: _Optional[str] = ..., description: _Optional[str] = ..., image: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("server_version", "engine", "index_version", "profile", "product_count", "models", "text_index", "default_top_k", "default_keep", "warnings", "search_levels", "example", "limits", "default_text_weight", "default_read_words", "reader", "columns", "calibration", "word_index", "changes", "activity")
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    INDEX_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_COUNT_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    TEXT_INDEX_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_TOP_K_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_KEEP_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    SEARCH_LEVELS_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_TEXT_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_READ_WORDS_FIELD_NUMBER: _ClassVar[int]
    READER_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    WORD_INDEX_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_FIELD_NUMBER: _ClassVar[int]
    server_version: str
    engine: str
    index_version: str
    profile: str
    product_count: int
    models: _containers.RepeatedCompositeFieldContainer[Model]
    text_index: TextIndex
    default_top_k: int
    default_keep: int
    warnings: _containers.RepeatedScalarFieldContainer[str]
    search_levels: _containers.RepeatedCompositeFieldContainer[SearchLevel]
    example: Example
    limits: Limits
    default_text_weight: float
    default_read_words: bool
    reader: str
    columns: _containers.RepeatedCompositeFieldContainer[CatalogueColumn]
    calibration: Calibration
    word_index: WordIndex
    changes: ChangeStatus
    activity: Activity
    def __init__(self, server_version: _Optional[str] = ..., engine: _Optional[str] = ..., index_version: _Optional[str] = ..., profile: _Optional[str] = ..., product_count: _Optional[int] = ..., models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., text_index: _Optional[_Union[TextIndex, _Mapping]] = ..., default_top_k: _Optional[int] = ..., default_keep: _Optional[int] = ..., warnings: _Optional[_Iterable[str]] = ..., search_levels: _Optional[_Iterable[_Union[SearchLevel, _Mapping]]] = ..., example: _Optional[_Union[Example, _Mapping]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., default_text_weight: _Optional[float] = ..., default_read_words: _Optional[bool] = ..., reader: _Optional[str] = ..., columns: _Optional[_Iterable[_Union[CatalogueColumn, _Mapping]]] = ..., calibration: _Optional[_Union[Calibration, _Mapping]] = ..., word_index: _Optional[_Union[WordIndex, _Mapping]] = ..., changes: _Optional[_Union[ChangeStatus, _Mapping]] = ..., activity: _Optional[_Union[Activity, _Mapping]] = ...) -> None: ...

class Activity(_message.Message):
    __slots__ = ("uptime_s", "answered_count", "failed_count", "refused_count", "in_progress", "times", "index_age_s")
    UPTIME_S_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_COUNT_FIELD_NUMBER: _ClassVar[int]
    FAILED_COUNT_FIELD_NUMBER: _ClassVar[int]
    REFUSED_COUNT_FIELD_NUMBER: _ClassVar[int]
    IN_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    TIMES_FIELD_NUMBER: _ClassVar[int]
    INDEX_AGE_S_FIELD_NUMBER: _ClassVar[int]
    uptime_s: float
    answered_count: int
    failed_count: int
    refused_count: int
    in_progress: int
    times: _containers.RepeatedCompositeFieldContainer[Times]
    index_age_s: float
    def __init__(self, uptime_s: _Optional[float] = ..., answered_count: _Optional[int] = ..., failed_count: _Optional[int] = ..., refused_count: _Optional[int] = ..., in_progress: _Optional[int] = ..., times: _Optional[_Iterable[_Union[Times, _Mapping]]] = ..., index_age_s: _Optional[float] = ...) -> None: ...

class Times(_message.Message):
    __slots__ = ("name", "bounds_s", "counts", "total_s")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BOUNDS_S_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_S_FIELD_NUMBER: _ClassVar[int]
    name: str
    bounds_s: _containers.RepeatedScalarFieldContainer[float]
    counts: _containers.RepeatedScalarFieldContainer[int]
    total_s: float
    def __init__(self, name: _Optional[str] = ..., bounds_s: _Optional[_Iterable[float]] = ..., counts: _Optional[_Iterable[int]] = ..., total_s: _Optional[float] = ...) -> None: ...

class ChangeStatus(_message.Message):
    __slots__ = ("position", "lag_s", "writable", "pending_count", "compacting")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    LAG_S_FIELD_NUMBER: _ClassVar[int]
    WRITABLE_FIELD_NUMBER: _ClassVar[int]
    PENDING_COUNT_FIELD_NUMBER: _ClassVar[int]
    COMPACTING_FIELD_NUMBER: _ClassVar[int]
    position: int
    lag_s: float
    writable: bool
    pending_count: int
    compacting: bool
    def __init__(self, position: _Optional[int] = ..., lag_s: _Optional[float] = ..., writable: _Optional[bool] = ..., pending_count: _Optional[int] = ..., compacting: _Optional[bool] = ...) -> None: ...

class CatalogueColumn(_message.Message):
    __slots__ = ("name", "kind", "distinct_count", "missing_count", "values")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DISTINCT_COUNT_FIELD_NUMBER: _ClassVar[int]
    MISSING_COUNT_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: ColumnKind
    distinct_count: int
    missing_count: int
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[ColumnKind, str]] = ..., distinct_count: _Optional[int] = ..., missing_count: _Optional[int] = ..., values: _Optional[_Iterable[str]] = ...) -> None: ...

class Calibration(_message.Message):
    __slots__ = ("product_count", "kinds")
    PRODUCT_COUNT_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    product_count: int
    kinds: _containers.RepeatedCompositeFieldContainer[CalibratedKind]
    def __init__(self, product_count: _Optional[int] = ..., kinds: _Optional[_Iterable[_Union[CalibratedKind, _Mapping]]] = ...) -> None: ...

class CalibratedKind(_message.Message):
    __slots__ = ("name", "query_count", "in_catalogue", "confidence")
    NAME_FIELD_NUMBER: _ClassVar[int]
    QUERY_COUNT_FIELD_NUMBER: _ClassVar[int]
    IN_CATALOGUE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    query_count: int
    in_catalogue: Quality
    confidence: Quality
    def __init__(self, name: _Optional[str] = ..., query_count: _Optional[int] = ..., in_catalogue: _Optional[_Union[Quality, _Mapping]] = ..., confidence: _Optional[_Union[Quality, _Mapping]] = ...) -> None: ...

class Quality(_message.Message):
    __slots__ = ("auroc", "auroc_low", "auroc_high", "brier", "base_brier", "calibration_error")
    AUROC_FIELD_NUMBER: _ClassVar[int]
    AUROC_LOW_FIELD_NUMBER: _ClassVar[int]
    AUROC_HIGH_FIELD_NUMBER: _ClassVar[int]
    BRIER_FIELD_NUMBER: _ClassVar[int]
    BASE_BRIER_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_ERROR_FIELD_NUMBER: _ClassVar[int]
    auroc: float
    auroc_low: float
    auroc_high: float
    brier: float
    base_brier: float
    calibration_error: float
    def __init__(self, auroc: _Optional[float] = ..., auroc_low: _Optional[float] = ..., auroc_high: _Optional[float] = ..., brier: _Optional[float] = ..., base_brier: _Optional[float] = ..., calibration_error: _Optional[float] = ...) -> None: ...

class WordIndex(_message.Message):
    __slots__ = ("columns", "text_count", "reader", "reader_digest", "read_image_count")
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    TEXT_COUNT_FIELD_NUMBER: _ClassVar[int]
    READER_FIELD_NUMBER: _ClassVar[int]
    READER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    READ_IMAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    columns: _containers.RepeatedScalarFieldContainer[str]
    text_count: int
    reader: str
    reader_digest: str
    read_image_count: int
    def __init__(self, columns: _Optional[_Iterable[str]] = ..., text_count: _Optional[int] = ..., reader: _Optional[str] = ..., reader_digest: _Optional[str] = ..., read_image_count: _Optional[int] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_image_bytes", "max_request_bytes", "max_top_k", "max_alpha", "max_concurrent_requests", "max_image_pixels", "max_words_characters", "max_text_weight", "max_photos", "max_product_ids", "max_exclude_ids", "max_filter_depth", "max_filter_conditions", "max_filter_values", "max_group_by_characters", "max_streams", "max_stream_requests", "max_image_side", "max_decoding_bytes", "max_metadata_bytes", "max_stream_upserts", "max_upsert_images", "max_id_characters", "max_description_characters", "max_value_characters")
    MAX_IMAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_REQUEST_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_TOP_K_FIELD_NUMBER: _ClassVar[int]
    MAX_ALPHA_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    MAX_IMAGE_PIXELS_FIELD_NUMBER: _ClassVar[int]
    MAX_WORDS_CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    MAX_TEXT_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    MAX_PHOTOS_FIELD_NUMBER: _ClassVar[int]
    MAX_PRODUCT_IDS_FIELD_NUMBER: _ClassVar[int]
    MAX_EXCLUDE_IDS_FIELD_NUMBER: _ClassVar[int]
    MAX_FILTER_DEPTH_FIELD_NUMBER: _ClassVar[int]
    MAX_FILTER_CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    MAX_FILTER_VALUES_FIELD_NUMBER: _ClassVar[int]
    MAX_GROUP_BY_CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    MAX_STREAMS_FIELD_NUMBER: _ClassVar[int]
    MAX_STREAM_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    MAX_IMAGE_SIDE_FIELD_NUMBER: _ClassVar[int]
    MAX_DECODING_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_METADATA_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_STREAM_UPSERTS_FIELD_NUMBER: _ClassVar[int]
    MAX_UPSERT_IMAGES_FIELD_NUMBER: _ClassVar[int]
    MAX_ID_CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    MAX_DESCRIPTION_CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    MAX_VALUE_CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    max_image_bytes: int
    max_request_bytes: int
    max_top_k: int
    max_alpha: float
    max_concurrent_requests: int
    max_image_pixels: int
    max_words_characters: int
    max_text_weight: float
    max_photos: int
    max_product_ids: int
    max_exclude_ids: int
    max_filter_depth: int
    max_filter_conditions: int
    max_filter_values: int
    max_group_by_characters: int
    max_streams: int
    max_stream_requests: int
    max_image_side: int
    max_decoding_bytes: int
    max_metadata_bytes: int
    max_stream_upserts: int
    max_upsert_images: int
    max_id_characters: int
    max_description_characters: int
    max_value_characters: int
    def __init__(self, max_image_bytes: _Optional[int] = ..., max_request_bytes: _Optional[int] = ..., max_top_k: _Optional[int] = ..., max_alpha: _Optional[float] = ..., max_concurrent_requests: _Optional[int] = ..., max_image_pixels: _Optional[int] = ..., max_words_characters: _Optional[int] = ..., max_text_weight: _Optional[float] = ..., max_photos: _Optional[int] = ..., max_product_ids: _Optional[int] = ..., max_exclude_ids: _Optional[int] = ..., max_filter_depth: _Optional[int] = ..., max_filter_conditions: _Optional[int] = ..., max_filter_values: _Optional[int] = ..., max_group_by_characters: _Optional[int] = ..., max_streams: _Optional[int] = ..., max_stream_requests: _Optional[int] = ..., max_image_side: _Optional[int] = ..., max_decoding_bytes: _Optional[int] = ..., max_metadata_bytes: _Optional[int] = ..., max_stream_upserts: _Optional[int] = ..., max_upsert_images: _Optional[int] = ..., max_id_characters: _Optional[int] = ..., max_description_characters: _Optional[int] = ..., max_value_characters: _Optional[int] = ...) -> None: ...

class Example(_message.Message):
    __slots__ = ("product_id", "image")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    image: str
    def __init__(self, product_id: _Optional[str] = ..., image: _Optional[str] = ...) -> None: ...

class SearchLevel(_message.Message):
    __slots__ = ("name", "bytes", "resident")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    bytes: int
    resident: bool
    def __init__(self, name: _Optional[str] = ..., bytes: _Optional[int] = ..., resident: _Optional[bool] = ...) -> None: ...

class TextIndex(_message.Message):
    __slots__ = ("document_count", "pair_count", "threshold")
    DOCUMENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    PAIR_COUNT_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    document_count: int
    pair_count: int
    threshold: float
    def __init__(self, document_count: _Optional[int] = ..., pair_count: _Optional[int] = ..., threshold: _Optional[float] = ...) -> None: ...
