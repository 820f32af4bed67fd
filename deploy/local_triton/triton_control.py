"""The few calls of Triton's HTTP protocol that this folder needs, by the standard library."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

from errors import TritonCallError

Json = Any
CALL_TIMEOUT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One line of the repository's index.

    Attributes:
        model: name.
        version: as Triton writes it; empty for a model that never loaded.
        state: READY, UNAVAILABLE, LOADING, UNLOADING or empty.
        reason: why it is not ready.
    """

    model: str
    version: str
    state: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class TritonControl:
    """Triton's HTTP port.

    Attributes:
        host: address to connect to.
        port: its HTTP port.
    """

    host: str
    port: int

    def is_ready(self) -> bool:
        """Whether the server and all of its models are ready; False if nothing listens."""
        try:
            self._call("GET", "/v2/health/ready")
        except TritonCallError:
            return False
        return True

    def index(self) -> list[ModelVersion]:
        """Every version of every model that Triton knows of.

        Returns:
            One entry per version.

        Raises:
            TritonCallError: if Triton does not answer.
        """
        entries = self._call("POST", "/v2/repository/index", {})
        return [
            ModelVersion(
                model=entry["name"],
                version=entry.get("version", ""),
                state=entry.get("state", ""),
                reason=entry.get("reason", ""),
            )
            for entry in entries
        ]

    def config(self, model: str) -> dict[str, Json]:
        """A loaded model's configuration, completed by Triton.

        Args:
            model: its name.

        Returns:
            The configuration.

        Raises:
            TritonCallError: if Triton does not answer or the model is not ready.
        """
        return dict(self._call("GET", f"/v2/models/{model}/config"))

    def reload(self, model: str, *, nonce: int, timeout_s: float) -> None:
        """Load a model anew, though none of its files changed.

        Triton loads a model again only if something differs, so the configuration is sent along
        with one more parameter that does. The old version answers until the new one is ready.

        Args:
            model: its name.
            nonce: any number that was not sent for this model before.
            timeout_s: for the whole of it.

        Raises:
            TritonCallError: if it cannot be loaded.
        """
        config = self.config(model)
        config.setdefault("parameters", {})["reload_nonce"] = {"string_value": str(nonce)}
        body = {"parameters": {"config": json.dumps(config)}}
        self._call("POST", f"/v2/repository/models/{model}/load", body, timeout_s=timeout_s)

    def _call(
        self, method: str, path: str, body: Json = None, *, timeout_s: float = CALL_TIMEOUT_S
    ) -> Json:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout_s)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            answer = response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise TritonCallError(f"{path}: {error or type(error).__name__}") from error
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise TritonCallError(answer.strip() or f"{path}: HTTP {response.status}")
        return json.loads(answer) if answer else None
