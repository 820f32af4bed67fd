"""A small gRPC server that records what it is asked, and refuses when it is told to."""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc

from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc
from tests.support.patience import PATIENCE_S

MODELS = ("densenet201_grmac", "seresnet152_grmac")
INITIAL_IDS = ("1001", "1002", "1003", "1004")
LIMITS = pb.Limits(
    max_image_bytes=20 * 2**20,
    max_request_bytes=21 * 2**20,
    max_top_k=100,
    max_alpha=1e6,
    max_concurrent_requests=64,
    max_image_pixels=2**26,
    max_words_characters=10_000,
    max_text_weight=100,
    max_photos=8,
    max_product_ids=1_000,
    max_exclude_ids=1000,
    max_filter_depth=16,
    max_filter_conditions=100,
    max_filter_values=1000,
    max_group_by_characters=1000,
    max_streams=32,
    max_stream_requests=16,
    max_image_side=65_535,
    max_decoding_bytes=21 * 2**26,
    max_metadata_bytes=2**14,
    max_stream_upserts=1000,
    max_upsert_images=32,
    max_id_characters=1000,
    max_description_characters=100_000,
    max_value_characters=10_000,
)

_QUALITY = pb.Quality(auroc=0.931, auroc_low=0.88, auroc_high=0.97, brier=0.1, base_brier=0.25)
CALIBRATION = pb.Calibration(
    product_count=1_298,
    kinds=[
        pb.CalibratedKind(
            name="photo with read words", query_count=60, in_catalogue=_QUALITY, confidence=_QUALITY
        )
    ],
)


def match(rank: int, product_id: str, stage: pb.Stage, **fields: object) -> pb.Match:
    return pb.Match(
        rank=rank,
        product_id=product_id,
        description=f"Velvet lipstick [red]no {product_id}[/red]\n\x1b[31m with a long description",
        image=f"images/{product_id}.jpg",
        attributes={"brand": "Example"},
        similarity=6.5 - rank,
        cosines=[
            pb.BackboneCosine(model=model, cosine=cosine)
            for model, cosine in zip(MODELS, (0.91, -0.25), strict=True)
        ],
        stage=stage,
        **fields,
    )


def words_response() -> pb.SearchResponse:
    """Two products found by words alone, one that resembles them and one that hardly does."""
    similar = pb.MatchedWord(word="nuxe", share=1), pb.MatchedWord(word="huile", share=0.2)
    return pb.SearchResponse(
        results=[
            pb.Match(
                rank=rank,
                product_id=product_id,
                similarity=1 + cosine,
                stage=pb.STAGE_INITIAL,
                words=pb.WordsEvidence(cosine=cosine, matched=matched),
            )
            for rank, (product_id, cosine, matched) in enumerate(
                [("1001", 0.75, similar), ("1002", 0.25, ())], start=1
            )
        ],
        index_version="2026-11-23",
        models=[pb.Model(name=name, dimension=1920) for name in MODELS],
    )


def search_response() -> pb.SearchResponse:
    """Two kept, one brought by text in place of 1003 and 1004, one that filled up."""
    text = pb.TextEvidence(seed_product_id="1001", seed_rank=1, cosine=0.834)
    return pb.SearchResponse(
        results=[
            match(1, "1001", pb.STAGE_INITIAL),
            match(2, "1002", pb.STAGE_INITIAL),
            match(3, "2001", pb.STAGE_REFINED, text=text),
            match(4, "1003", pb.STAGE_FILLED),
        ],
        initial_results=[
            match(rank, product_id, pb.STAGE_INITIAL)
            for rank, product_id in enumerate(INITIAL_IDS, start=1)
        ],
        subset_size=1,
        timings=pb.Timings(decode_us=5_000, encode_us=30_000, rank_us=8_000, total_us=45_000),
        index_version="2026-11-23",
        models=[pb.Model(name=name, dimension=1920) for name in MODELS],
        request_id="r-1",
    )


def status_response() -> pb.GetStatusResponse:
    return pb.GetStatusResponse(
        server_version="0.1.0",
        engine="embedded",
        index_version="2026-11-23",
        profile="paper",
        product_count=500_000,
        models=[
            pb.Model(name=name, digest="ab" * 32, dimension=1920, alpha=3, descriptor_bytes=10**9)
            for name in MODELS
        ],
        text_index=pb.TextIndex(document_count=400_000, pair_count=9_000_000, threshold=0.5),
        default_top_k=7,
        default_keep=3,
        default_text_weight=1,
        search_levels=[
            pb.SearchLevel(name="coarse", bytes=66_000_000, resident=True),
            pb.SearchLevel(name="originals", bytes=7_900_000_000),
        ],
        columns=[
            pb.CatalogueColumn(
                name="brand", kind=pb.COLUMN_KIND_TEXT, distinct_count=1_234, missing_count=5_678
            ),
            pb.CatalogueColumn(name="price", kind=pb.COLUMN_KIND_NUMBER, distinct_count=99),
        ],
        word_index=pb.WordIndex(
            columns=["brand", "category"],
            text_count=499_000,
            reader="ppocr",
            reader_digest="cd" * 32,
            read_image_count=321_000,
        ),
    )


class Servicer(pb_grpc.RetrievalServiceServicer):
    """Answers every query alike; images that begin with ``bad`` are refused."""

    def __init__(self) -> None:
        self.requests: list[pb.SearchRequest] = []
        self.ids_asked_for: list[list[str]] = []
        self.refusals: list[tuple[grpc.StatusCode, str]] = []  # for the next calls, one each
        self.warnings: list[str] = []
        self.further_columns: list[pb.CatalogueColumn] = []
        self.trailing_metadata: tuple[tuple[str, str], ...] = ()
        self.limits: pb.Limits | None = LIMITS
        self.in_catalogue_probability: float | None = None  # as an index without calibration
        self.groups = True  # False is a server that is older than group_by
        self.last_arrived = threading.Event()
        self.held_arrived = threading.Event()
        self.release = threading.Event()

    def Search(self, request, context):  # noqa: N802, the proto's name
        self.requests.append(request)
        context.set_trailing_metadata(self.trailing_metadata)
        if self.refusals:
            context.abort(*self.refusals.pop(0))
        if request.image.startswith(b"bad"):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "image: cannot be decoded")
        if request.image == b"last":
            self.last_arrived.set()
        if request.image == b"after the last":
            assert self.last_arrived.wait(PATIENCE_S)
        if request.image == b"held":
            self.held_arrived.set()
            self.release.wait(PATIENCE_S)
        response = search_response() if request.WhichOneof("query") else words_response()
        response.warnings.extend(self.warnings)
        if self.in_catalogue_probability is not None:
            response.in_catalogue_probability = self.in_catalogue_probability
            for match in (*response.results, *response.initial_results):
                match.confidence = self.in_catalogue_probability / match.rank
        if request.group_by and self.groups:
            for match in (*response.results, *response.initial_results):
                match.group_size = 1000 * match.rank
        return response

    def GetProducts(self, request, context):  # noqa: N802, the proto's name
        self.ids_asked_for.append(list(request.product_ids))
        if self.refusals:
            context.abort(*self.refusals.pop(0))
        return pb.GetProductsResponse(
            products=[
                pb.Product(
                    product_id=product_id,
                    description="Velvet [red]lipstick\x1b[31m",
                    image=f"images/{product_id}.jpg",
                    attributes={"brand": "Example", "price": "12.50"},
                )
                for product_id in request.product_ids
                if product_id in INITIAL_IDS
            ],
            missing_ids=[each for each in request.product_ids if each not in INITIAL_IDS],
            index_version="2026-11-23",
            request_id="r-2",
        )

    def GetStatus(self, request, context):  # noqa: N802, the proto's name
        if self.refusals:
            context.abort(*self.refusals.pop(0))
        response = status_response()
        if self.limits is None:
            response.ClearField("limits")
        else:
            response.limits.CopyFrom(self.limits)
        response.columns.extend(self.further_columns)
        if self.in_catalogue_probability is not None:
            response.calibration.CopyFrom(CALIBRATION)
        response.warnings.extend(self.warnings)
        return response


def started(
    servicer: Servicer, credentials: grpc.ServerCredentials | None = None, socket: str = ""
):
    options = [("grpc.max_receive_message_length", 32 * 1024 * 1024)]
    server = grpc.server(ThreadPoolExecutor(8), options=options)
    pb_grpc.add_RetrievalServiceServicer_to_server(servicer, server)
    if credentials is None:
        port = server.add_insecure_port("localhost:0")
    else:
        port = server.add_secure_port("localhost:0", credentials)
    if socket:
        server.add_insecure_port(socket)
    server.start()
    return server, f"localhost:{port}"
