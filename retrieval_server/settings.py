"""The server's settings: each has one default, here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from retrieval_server.retriever import DEFAULT_KEEP, DEFAULT_TOP_K


def available_cores() -> int:
    """Cores this process may use, which in a container is fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the server serves, and how.

    Attributes:
        index: a version's folder, or the folder whose ``current`` names the version.
        model_repository: the folder with the models the index was built with.
        engine: what computes the descriptors of a query.
        host: address to listen on; 0.0.0.0 for every interface.
        port: port to listen on; 0 takes a free one.
        address_file: where to write ``host:port`` once the server answers; None for nowhere.
        workers: searches and decodings that go on side by side.
        max_image_bytes: largest image accepted.
        max_concurrent_requests: searches in progress at most; further ones are refused.
        default_top_k: results for a request that does not say.
        default_keep: the paper's k for a request that does not say.
        drain_s: seconds that requests in progress get at shutdown.
    """

    index: Path
    model_repository: Path = Path("model_repository")
    engine: str = "embedded"
    host: str = "127.0.0.1"
    port: int = 50051
    address_file: Path | None = None
    workers: int = available_cores()
    max_image_bytes: int = 20 * 2**20
    max_concurrent_requests: int = 64
    default_top_k: int = DEFAULT_TOP_K
    default_keep: int = DEFAULT_KEEP
    drain_s: float = 10.0
