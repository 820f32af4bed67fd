"""A server that speaks Triton's protocol and does what a test tells it: for faults only.

What a Triton really computes and says is tested against a real one.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from retrieval_server.models.model_repository import ModelRepository

Fault = tuple[grpc.StatusCode, str]
DATA_TYPES = {2: "UINT8", 8: "INT32", 11: "FP32"}  # model_config.proto, message DataType


@dataclass
class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Serves a model repository with descriptors that are all zero.

    Attributes:
        repository: where its answers come from.
        faults: how the next inference requests fail, in this order.
        always: how every one fails after those; None for not at all.
        not_ready: how often it says that a model is not ready.
        hangs: whether inference requests are never answered.
        access_key: name and value of the header to ask for.
        metadata: replaces what it says about a model, by name.
        cut: how many bytes are missing at the end of a descriptor.
        lost: the output that is missing from every answer.
        fingerprint: each word of the fingerprints that it answers with.
        url: where it listens.
        requests: the inference requests that came.
        time_remaining: until the deadline of each of them, in seconds.
        headers: of each of them.
        callers: the names in the certificates that they showed; empty without TLS.
    """

    repository: ModelRepository
    faults: list[Fault] = field(default_factory=list)
    always: Fault | None = None
    not_ready: int = 0
    hangs: bool = False
    access_key: tuple[str, str] | None = None
    metadata: dict[str, service_pb2.ModelMetadataResponse] = field(default_factory=dict)
    cut: int = 0
    lost: str = ""
    fingerprint: int = 0
    url: str = ""
    requests: list[service_pb2.ModelInferRequest] = field(default_factory=list)
    time_remaining: list[float] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    callers: list[str] = field(default_factory=list)

    async def ServerLive(self, request, context):  # noqa: N802
        return service_pb2.ServerLiveResponse(live=True)

    async def ModelReady(self, request, context):  # noqa: N802
        self.not_ready -= 1
        return service_pb2.ModelReadyResponse(ready=self.not_ready < 0)

    async def ModelMetadata(self, request, context):  # noqa: N802
        if request.name in self.metadata:
            return self.metadata[request.name]
        return metadata_of(self.repository, request.name)

    async def ModelInfer(self, request, context):  # noqa: N802
        self.requests.append(request)
        self.time_remaining.append(context.time_remaining())
        headers = dict(context.invocation_metadata())
        self.headers.append(headers)
        self.callers += [
            each.decode() for each in context.auth_context().get("x509_common_name", ())
        ]
        if self.access_key is not None:
            name, value = self.access_key
            if headers.get(f"triton-grpc-protocol-{name}") != value:
                await context.abort(
                    grpc.StatusCode.UNAVAILABLE,
                    f"This protocol is restricted, expecting header 'triton-grpc-protocol-{name}'",
                )
        if self.hangs:
            await asyncio.Event().wait()
        fault = self.faults.pop(0) if self.faults else self.always
        if fault is not None:
            await context.abort(*fault)
        response = service_pb2.ModelInferResponse(model_name=request.model_name)
        rows = request.inputs[0].shape[0]
        for output in self.repository.config(request.model_name).output:
            if output.name == self.lost:
                continue
            shape = [rows, *output.dims]
            datatype = DATA_TYPES[output.data_type]
            response.outputs.add(name=output.name, datatype=datatype, shape=shape)
            numbers = np.zeros(shape, np.int32 if datatype == "INT32" else np.float32)
            if datatype == "INT32":
                numbers += self.fingerprint
            response.raw_output_contents.append(numbers.tobytes()[: numbers.nbytes - self.cut])
        return response


def metadata_of(repository: ModelRepository, name: str) -> service_pb2.ModelMetadataResponse:
    """What Triton says about a model of a repository."""
    config = repository.config(name)
    response = service_pb2.ModelMetadataResponse(name=name, versions=["1"])
    for tensors, described in ((config.input, response.inputs), (config.output, response.outputs)):
        for tensor in tensors:
            described.add(
                name=tensor.name, datatype=DATA_TYPES[tensor.data_type], shape=[-1, *tensor.dims]
            )
    return response


@contextlib.asynccontextmanager
async def fake_triton(
    repository: Path,
    credentials: grpc.ServerCredentials | None = None,
    address: str = "127.0.0.1:0",
    **behaviour: object,
) -> AsyncIterator[FakeTriton]:
    """Run one, on a free port of this machine if no other address is given."""
    fake = FakeTriton(ModelRepository(repository), **behaviour)
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(fake, server)
    if credentials is None:
        port = server.add_insecure_port(address)
    else:
        port = server.add_secure_port(address, credentials)
    fake.url = f"127.0.0.1:{port}"
    await server.start()
    try:
        yield fake
    finally:
        await server.stop(0)
