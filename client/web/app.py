"""The page's HTTP side: its files, its calls, the pictures."""

import itertools
import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from client.errors import RetrievalError
from client.filters import Filter, filter_of_texts
from client.retrieval_client import RetrievalClient
from client.server_status import Limits
from client.web.answers import (
    Problem,
    bad_parameter,
    problem_of,
    result_json,
    status_json,
    too_large,
    too_large_together,
)
from client.web.guard import Guard
from client.web.pictures import picture_file

PAGE = Path(__file__).with_name("page")
LONGEST_COUNT = 9  # digits of top_k and keep that are read at all
_ALPHA = "alpha."  # what the parameters of eq. (8) begin with; the model's name follows


class ProblemError(Exception):
    """Ends a call with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.title)
        self.problem = problem


def web_app(
    client: RetrievalClient, catalogue: Path | None = None, allowed_hosts: Collection[str] = ()
) -> ASGIApp:
    """Make the application that serves the page.

    ==============================  ==============================================================
    call                            answer
    ==============================  ==============================================================
    GET /                           the page; its files beside it
    GET /api/status                 what is being served
    POST /api/search                body: an encoded image, or several; ``sizes`` are their bytes,
                                    with commas. The results, as ``client.results``
    GET /api/similar?product_id=    the same for "more like this"
    GET /api/words?words=           the same for words alone
    GET /pictures?image=            a catalogue's picture by the path that a result names
    ==============================  ==============================================================

    All searches take ``words``, ``text_weight``, ``top_k``, ``keep``, ``refine`` (true or false),
    ``alpha.MODEL``, ``group_by``, and ``where``, once for each condition, as ``command_line.where``
    describes it. Those by images take ``read_words`` (true or false). One left out takes the
    server's default. What is above the server's limits is not sent to it. A failure is JSON as in
    ``answers.Problem``.

    Args:
        client: a client of the search server; the caller closes it.
        catalogue: folder of the pictures; None shows none.
        allowed_hosts: see ``Guard``.
    """
    api = _Api(client, catalogue)
    app = Starlette(
        routes=[
            Route("/api/status", _answering(api.status)),
            Route("/api/search", _answering(api.search), methods=["POST"]),
            Route("/api/similar", _answering(api.similar)),
            Route("/api/words", _answering(api.words)),
            Route("/pictures", api.picture),
            Mount("/", StaticFiles(directory=PAGE, html=True)),
        ]
    )
    return Guard(app, allowed_hosts)


class _Api:
    """The calls of the page.

    Args:
        client: a client of the search server.
        catalogue: folder of the pictures; None shows none.
    """

    def __init__(self, client: RetrievalClient, catalogue: Path | None) -> None:
        self._client = client
        self._catalogue = catalogue

    async def status(self, request: Request) -> Response:
        status = await run_in_threadpool(self._client.status)
        return JSONResponse(status_json(status, self._catalogue))

    async def search(self, request: Request) -> Response:
        limits = await self._server_limits()
        settings = _settings(request.query_params, limits)
        reads = _flag(request.query_params, "read_words")
        image, *more = await _images(request, limits)
        search = partial(self._client.search, image, more_images=more, read_words=reads, **settings)
        return JSONResponse(result_json(await run_in_threadpool(search)))

    async def similar(self, request: Request) -> Response:
        settings = _settings(request.query_params, await self._server_limits())
        product_id = request.query_params.get("product_id", "")
        result = await run_in_threadpool(self._client.similar, product_id, **settings)
        return JSONResponse(result_json(result))

    async def words(self, request: Request) -> Response:
        settings = _settings(request.query_params, await self._server_limits())
        result = await run_in_threadpool(self._client.search, **settings)
        return JSONResponse(result_json(result))

    async def picture(self, request: Request) -> Response:
        image = request.query_params.get("image", "")
        found = None
        if self._catalogue is not None:
            found = await run_in_threadpool(picture_file, self._catalogue, image)
        if found is None:
            return PlainTextResponse("No such picture.\n", status_code=404)
        path, media_type = found
        return FileResponse(path, media_type=media_type)

    async def _server_limits(self) -> Limits | None:
        """Ask for the limits of the server that runs now; it may have been restarted."""
        return (await run_in_threadpool(self._client.status)).limits


Endpoint = Callable[[Request], Awaitable[Response]]


def _answering(endpoint: Endpoint) -> Endpoint:
    """Turn the errors of an endpoint into answers; only here do the client's errors become HTTP."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except RetrievalError as error:
            problem = problem_of(error)
        except ProblemError as error:
            problem = error.problem
        except ClientDisconnect:  # the person has chosen another photo; nobody reads this answer
            return Response(status_code=400)
        return JSONResponse(problem.to_json(), status_code=problem.status)

    return answer


async def _images(request: Request, limits: Limits | None) -> list[bytes]:
    """Read the images, and no more of them than is allowed."""
    text = request.query_params.get("sizes")
    if text is None:
        return [await _body(request, limits, too_large)]
    sizes = [int(size) for size in text.split(",") if size.isascii() and size.isdecimal()]
    most = 1 if limits is None else max(1, limits.max_photos)
    if len(sizes) != text.count(",") + 1 or len(sizes) > most:
        problem = f"sizes must be 1 to {most} numbers with commas, not {text[:80]!r}."
        raise ProblemError(bad_parameter(problem))
    body = await _body(request, limits, too_large_together if len(sizes) > 1 else too_large)
    if len(body) != sum(sizes):
        raise ProblemError(bad_parameter(f"The body has {len(body):,} bytes, not {text}."))
    ends = itertools.accumulate(sizes)
    return [body[end - size : end] for size, end in zip(sizes, ends, strict=True)]


async def _body(
    request: Request, limits: Limits | None, problem: Callable[[Limits], Problem]
) -> bytes:
    """Read the body, and no more of it than is allowed."""

    def check_size(size: int) -> None:
        if limits is not None and size > limits.max_image_bytes:
            raise ProblemError(problem(limits))

    declared = request.headers.get("content-length", "")
    check_size(int(declared) if declared.isdecimal() else 0)
    body = bytearray()
    async for part in request.stream():
        body += part
        check_size(len(body))
    return bytes(body)


def _settings(parameters: QueryParams, limits: Limits | None) -> Mapping[str, Any]:
    """Read the keyword arguments of a search."""
    refine = _flag(parameters, "refine")
    words = parameters.get("words", "")
    if limits is not None and len(words) > limits.max_words_characters:
        longest = f"{limits.max_words_characters:,}"
        raise ProblemError(bad_parameter(f"words may have {longest} characters at most."))
    weight = parameters.get("text_weight")
    group_by = parameters.get("group_by")
    if group_by == "":
        raise ProblemError(bad_parameter("group_by must name a column."))
    return {
        "words": words,
        "where": _filter(parameters),
        "group_by": group_by,
        "text_weight": None if weight is None else _number("text_weight", weight),
        "top_k": _count(parameters, "top_k", limits),
        "keep": _count(parameters, "keep", limits),
        "refine": True if refine is None else refine,
        "alpha": {
            name.removeprefix(_ALPHA): _number(name, value)
            for name, value in parameters.multi_items()
            if name.startswith(_ALPHA)
        },
    }


def _filter(parameters: QueryParams) -> Filter | None:
    try:
        return filter_of_texts(parameters.getlist("where"))
    except ValueError as error:
        raise ProblemError(bad_parameter(f"where: {error}")) from error


def _flag(parameters: QueryParams, name: str) -> bool | None:
    value = parameters.get(name)
    if value not in {None, "true", "false"}:
        raise ProblemError(bad_parameter(f"{name} must be true or false, not {value!r}."))
    return None if value is None else value == "true"


def _count(parameters: QueryParams, name: str, limits: Limits | None) -> int | None:
    value = parameters.get(name)
    if value is None:
        return None
    largest = 10**LONGEST_COUNT - 1 if limits is None else limits.max_top_k
    is_count = value.isascii() and value.isdecimal() and len(value) <= LONGEST_COUNT
    if not (is_count and 1 <= int(value) <= largest):
        raise ProblemError(bad_parameter(f"{name} must be 1..{largest}, not {value!r}."))
    return int(value)


def _number(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ProblemError(bad_parameter(f"{name} must be a number, not {value!r}."))
    return number
