"""Opening an index for searching, beside a server that answers from the one before."""

import asyncio
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from retrieval_server.engines.create_engine import create_engine
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import open_index
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.retrieval.open_retriever import open_retriever
from tests.support.patience import PATIENCE_S


def test_the_event_loop_goes_on_while_an_index_is_read(
    tiny_index: Path, tiny_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, loop_went_on = IndexBundle.open_search, threading.Event()

    def read_once_the_loop_went_on(bundle: IndexBundle, *arguments: Any) -> Any:
        assert loop_went_on.wait(PATIENCE_S)
        return read(bundle, *arguments)

    async def open_beside_other_work() -> str:
        bundle, repository = open_index(tiny_index), ModelRepository(tiny_repository)
        engine = partial(
            create_engine,
            "embedded",
            tiny_repository,
            bundle.profile.name,
            workers=1,
            threads_per_image=1,
        )
        opening = asyncio.create_task(open_retriever(bundle, repository, engine))
        await asyncio.sleep(0)
        loop_went_on.set()
        retriever = await opening
        await retriever.engine.close()
        return retriever.bundle.version

    monkeypatch.setattr(IndexBundle, "open_search", read_once_the_loop_went_on)

    assert asyncio.run(open_beside_other_work()) == open_index(tiny_index).version
