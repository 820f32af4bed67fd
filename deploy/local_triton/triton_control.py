"""The calls of Triton's HTTP protocol that this folder needs, with the standard library only."""

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
    """One entry of the index of Triton's repository.

    Attributes:
        model: name of the model.
        version: version as Triton writes it; empty for a model that was never loaded.
        state: READY, UNAVAILABLE, LOADING, UNLOADING or empty.
        reason: reason why the version is not ready.
    """

    model: str
    version: str
    state: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class TritonControl:
    """Calls Triton's HTTP port.

    Attributes:
        host: address of Triton.
        port: HTTP port of Triton.
    """

    host: str
    port: int

    def is_ready(self) -> bool:
        """Whether the server and all its models are ready; False if there is no server."""
        try:
            self._call("GET", "/v2/health/ready")
        except TritonCallError:
            return False
        return True

    def index(self) -> list[ModelVersion]:
        """Every version of every model in Triton's repository.

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
            model: name of the model.

        Returns:
            The configuration.

        Raises:
            TritonCallError: if Triton does not answer or the model is not ready.
        """
        return dict(self._call("GET", f"/v2/models/{model}/config"))

    def reload(self, model: str, *, nonce: int, timeout_s: float) -> None:
        """Load a model again, although its files did not change.

        Triton loads a model again only if something differs. So the call sends the configuration
        with one more parameter, whose value is new. The old version answers until the new one is
        ready.

        Args:
            model: name of the model.
            nonce: a number that was not sent for this model before.
            timeout_s: limit for the whole load.

        Raises:
            TritonCallError: if the model cannot be loaded.
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
