"""The handlers of gRPC's methods, and interceptors that wrap each once, not at each call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, TypeAlias

import grpc

# What a handler's functions are, the stubs describe for synchronous servers only.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class WrappedMethods(grpc.aio.ServerInterceptor, ABC):
    """An interceptor that wraps the handler of every method, whoever calls it."""

    def __init__(self) -> None:
        self._wrapped = cache(self.wrapped)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wrap the handler of a method; one that does not exist has none."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        return self._wrapped(handler_call_details.method.rpartition("/")[2], handler)

    @abstractmethod
    def wrapped(self, method: str, handler: Handler) -> Handler:
        """Make a handler of the same kind that does more; or return the handler itself.

        Args:
            method: its name, without the service.
            handler: what has answered it so far.
        """
