"""A program that starts a server, searches once and stops the server."""

import asyncio
import sys
from pathlib import Path

import grpc

from retrieval_server.serving.server import start_server
from retrieval_server.serving.settings import Settings
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc


async def search(index: Path, repository: Path, photo: Path) -> pb.SearchResponse:
    running = await start_server(Settings(index=index, model_repository=repository, port=0))
    async with grpc.aio.insecure_channel(running.address) as channel:
        request = pb.SearchRequest(image=photo.read_bytes())
        response = await pb_grpc.RetrievalServiceStub(channel).Search(request)
    await running.stop(0)
    return response


def search_once() -> None:
    """Print the number of results; the arguments are index, model repository and photo."""
    index, repository, photo = map(Path, sys.argv[1:])
    sys.stdout.write(f"{len(asyncio.run(search(index, repository, photo)).results)}\n")
