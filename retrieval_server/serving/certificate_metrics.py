"""Metrics of the certificates that the server shows, which are read with each scrape."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from retrieval_server.access.expiry import expires_at
from retrieval_server.errors import RetrievalError
from retrieval_server.serving.settings import Settings

log = logging.getLogger(__name__)

SERVER, TRITON_CLIENT = "server", "triton_client"
OPTIONS = {SERVER: "--tls-cert", TRITON_CLIENT: "--triton-tls-cert"}


def certificates_of(settings: Settings) -> dict[str, Path]:
    """The files of the server's certificates, by what it shows them as; empty without TLS."""
    shown = {SERVER: settings.tls_cert, TRITON_CLIENT: settings.triton_tls_cert}
    return {name: path for name, path in shown.items() if path is not None}


class CertificateState(Collector):
    """When each certificate expires.

    Args:
        files: by name, as ``certificates_of`` has them.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    def collect(self) -> Iterable[Metric]:
        """Read the files now; one that cannot be read has no value."""
        family = GaugeMetricFamily(
            "beauty_certificate_expiry_timestamp_seconds",
            "When the certificate in the file expires, in seconds since 1970.",
            labels=("certificate",),
        )
        for name, path in self._files.items():
            try:
                family.add_metric((name,), expires_at(path, OPTIONS[name]))
            except RetrievalError as error:
                log.error("%s", error)
        yield family
