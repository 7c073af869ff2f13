"""Serve the page of `nono top --web` on 127.0.0.1, only to whoever has the link.

Other users and the pages of other sites can reach the port. The link therefore holds a token in its fragment,
which no browser sends by itself. The page exchanges the token, once, for a key that it sends with each
request and that no other site can read. There is no cookie. A request from another site, or under another
name (DNS rebinding), is refused.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.resources import files

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from nono.cli.commands.top import acts
from nono.cli.text import top_text
from nono.cli.text.top_text import Watched
from nono.clock import unix_ms
from nono.errors import NonoError

ADDRESS = "127.0.0.1"
BODY_BYTES_MAX = 4096
FRESH_S = 0.5  # several windows together do not look more often than this
FILES = {
    "/": ("page.html", "text/html"),
    "/top.css": ("top.css", "text/css"),
    "/top.js": ("top.js", "text/javascript"),
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script';"
        " trusted-types 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def serve(
    look: Callable[[], list[Watched]],
    environ: Mapping[str, str],
    port: int,
    *,
    has_all: bool,
    is_silent: bool,
) -> int:
    """Serve the page until interrupted. Returns the exit code. Raises NonoError."""
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(look, environ, port, has_all=has_all, is_silent=is_silent))
    return 0


async def _serve(
    look: Callable[[], list[Watched]],
    environ: Mapping[str, str],
    port: int,
    *,
    has_all: bool,
    is_silent: bool,
) -> None:
    page = Page(look, environ, has_all=has_all)
    runner = web.AppRunner(page.application(), access_log=None, logger=_logger(), shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, ADDRESS, port).start()
        except OSError as error:
            raise NonoError(
                f"the page cannot be served on {ADDRESS}:{port}: {error.strerror}",
                hint="--port names another one",
            ) from error
        page.port = runner.addresses[0][1]
        print(f"http://{ADDRESS}:{page.port}/#{page.token}", flush=True)
        if not is_silent:
            print("The link opens the page once, in one window. Ctrl-C ends it.", file=sys.stderr)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def _logger() -> logging.Logger:
    """Return a logger for mistakes of this program alone: what is no HTTP, any user of this machine sends."""
    logger = logging.Logger("nono.top")  # standard error is a person's terminal
    logger.addHandler(logging.StreamHandler())
    logger.addFilter(
        lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
    )
    return logger


class Page:
    """The page and the requests it sends. Everything runs on one event loop."""

    def __init__(
        self, look: Callable[[], list[Watched]], environ: Mapping[str, str], *, has_all: bool
    ) -> None:
        """look: returns the state of the sessions; runs in a thread."""
        self._look = look
        self._environ = environ
        self._has_all = has_all
        self._looking = asyncio.Lock()
        self._seen: list[Watched] = []
        self._seen_at_s = float("-inf")
        self.port = 0
        self.token: str | None = secrets.token_urlsafe(32)  # None once it has been exchanged
        self._key = secrets.token_urlsafe(32)

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._guarded], client_max_size=BODY_BYTES_MAX)
        application.on_response_prepare.append(_with_headers)
        application.add_routes([web.get(path, _file(*file)) for path, file in FILES.items()])
        application.add_routes(
            [
                web.post("/v1/open", self.open),
                web.get("/v1/sessions", self.sessions),
                web.post("/v1/sessions/{session}/approvals/{question}", self.answer),
            ]
        )
        return application

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse requests from another site or under another name, and those without the key."""
        names = [f"{ADDRESS}:{self.port}", f"localhost:{self.port}"]
        host = request.headers.getall("Host", [])
        if len(host) != 1 or host[0] not in names:
            raise web.HTTPMisdirectedRequest(text="this is not a name of the page")
        if request.headers.get("Origin", f"http://{host[0]}") != f"http://{host[0]}":
            raise web.HTTPForbidden(text="another site asks")
        # A link on another site may lead to the page, which contains no data.
        is_link = request.path == "/" and request.headers.get("Sec-Fetch-Mode") == "navigate"
        if not is_link and request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise web.HTTPForbidden(text="another site asks")
        if request.path not in FILES:
            expected = self.token if request.path == "/v1/open" else self._key
            if expected is None or not _shows(request, expected):
                raise web.HTTPUnauthorized(text="the link was used before, or is not of this `nono top`")
        return await handler(request)

    async def open(self, _: web.Request) -> web.StreamResponse:
        self.token = None
        return web.json_response({"key": self._key})

    async def sessions(self, _: web.Request) -> web.StreamResponse:
        now_ms = unix_ms()
        shown = top_text.shown(await self._now(), now_ms, has_all=self._has_all)
        return web.json_response(
            {
                "headline": top_text.headline(shown),
                "headers": top_text.HEADERS,
                "sessions": [top_text.document(each, now_ms) for each in shown],
            }
        )

    async def answer(self, request: web.Request) -> web.StreamResponse:
        try:
            document = await request.json()
        except (ValueError, RecursionError):
            document = None
        word = document.get("answer") if isinstance(document, dict) else None
        if word not in ("allow", "deny"):
            raise web.HTTPBadRequest(text='expected {"answer": "allow"} or {"answer": "deny"}')
        session_id, question_id = request.match_info["session"], request.match_info["question"]
        asked = {
            (each.record.session_id, question.id): question
            for each in await self._now()
            for question in each.questions
        }
        question = asked.get((session_id, question_id))
        if question is None:
            raise web.HTTPNotFound(text="Too late: nobody waits for that any more.")
        try:
            said = await asyncio.to_thread(acts.answer, session_id, question, word, self._environ)
        except NonoError as error:
            raise web.HTTPBadGateway(text=error.message) from error
        self._seen_at_s = float("-inf")
        return web.json_response({"said": said})

    async def _now(self) -> list[Watched]:
        async with self._looking:
            if time.monotonic() - self._seen_at_s > FRESH_S:
                try:
                    self._seen = await asyncio.to_thread(self._look)
                except NonoError as error:
                    raise web.HTTPBadGateway(text=error.message) from error
                self._seen_at_s = time.monotonic()
            return self._seen


def _file(name: str, content_type: str) -> Handler:
    body = (files(__package__) / "page" / name).read_bytes()

    async def send(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type=content_type, charset="utf-8")

    return send


def _shows(request: web.Request, expected: str) -> bool:
    shown = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
    return hmac.compare_digest(shown, f"Bearer {expected}".encode("ascii"))


async def _with_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
