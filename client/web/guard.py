"""Which requests are answered, and what a browser may do with the answer.

The page has no password: on loopback, only programs on this machine can open it. What remains are
other web sites open in the same browser. A site could name this machine under its own name (DNS
rebinding): so the Host header must be an address, ``localhost`` or a name that was allowed. It
could send requests here without reading the answer: so the calls must come from the page itself.
"""

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECURITY_HEADERS = {
    "content-security-policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob:",  # blob: the preview of the person's own photo
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_CALLS = ("/api/", "/pictures")  # the page's own; its files may be opened from anywhere


class Guard:
    """Refuses foreign hosts and foreign callers, and adds the security headers to every answer.

    Args:
        app: what to guard.
        allowed_hosts: names, besides localhost and every address, under which it may be called.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: Collection[str] = ()) -> None:
        self._app = app
        self._names = {"localhost", *(name.lower() for name in allowed_hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(SECURITY_HEADERS)
                # Nobody may cache an answer; files and pictures are revalidated by their ETag.
                is_answer = scope["path"].startswith("/api/")
                headers["cache-control"] = "no-store" if is_answer else "no-cache"
            await send(message)

        app = self._app if (refusal := self._refusal(scope)) is None else refusal
        await app(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_ours(host):
            return PlainTextResponse(
                f"This page does not answer to the name {host!r}. "
                "Allow it with: beauty-search web --allowed-host NAME\n",
                status_code=421,
            )
        origin = headers.get("origin")
        is_foreign = origin is not None and urlsplit(origin).netloc != host
        is_foreign |= headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}
        if is_foreign and scope["path"].startswith(_CALLS):
            return PlainTextResponse("Only the page itself may ask.\n", status_code=403)
        return None

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header is an address or one of the allowed names."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
            if name in self._names:
                return True
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
