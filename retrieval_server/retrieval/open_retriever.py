"""Opens an index for searching: the one way in which a server, its watch and the evaluation do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from retrieval_server.engines.engine import Engine
from retrieval_server.exact_search.parallelism import IntraQueryParallelism
from retrieval_server.index.searched_index import SearchedIndex, require_models
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.retrieval.retriever import Retriever


async def open_retriever(
    bundle: SearchedIndex,
    repository: ModelRepository,
    open_engine: Callable[[], Engine],
    parallelism: IntraQueryParallelism | None = None,
    *,
    owns_engine: bool = True,
) -> Retriever:
    """Make an index ready to be searched: models compared, search compiled, engine verified.

    The levels are copied to memory in another thread: the event loop answers meanwhile, from the
    version before.

    Args:
        bundle: the index.
        repository: the model repository that the engine serves.
        open_engine: returns the engine; called once the digests of the models agree.
        parallelism: divides a search among idle cores; None keeps each search on its own core.
        owns_engine: whether to close the engine if it is refused; False for one that serves
            another index already.

    Raises:
        ModelMismatchError: if the models are not those that the index was built with.
        ModelRepositoryError: if a model is missing.
        EngineError: if the engine cannot be opened or does not answer.
    """
    members = repository.ensemble(bundle.profile.name)
    require_models(bundle, {member.name: member.digest for member in members})
    engine = open_engine()
    try:
        retriever = await asyncio.to_thread(Retriever, bundle, engine, parallelism)
        await asyncio.to_thread(retriever.warm_up)
        await retriever.check_engine()
    except BaseException:
        if owns_engine:
            await engine.close()
        raise
    return retriever
