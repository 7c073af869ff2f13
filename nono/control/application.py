"""Answer the requests of the control interface with aiohttp; see docs/control.md."""

from __future__ import annotations

import hmac
import logging
import socket
import struct
from collections.abc import Mapping

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from nono.approval.open_questions import Closed
from nono.approval.request import Answer
from nono.control.events import EventStream
from nono.control.rules import Refused
from nono.control.session import ControlledSession
from nono.policy.live.rule import parse_wanted
from nono.trust.json_text import parse_object

BODY_BYTES_MAX = 1 << 16
READERS_MAX = 8  # clients of the event stream
IDLE_S = 15.0  # between two requests


async def runner_of(session: ControlledSession) -> web.AppRunner:
    """Return the runner for a session's interface, already set up. The caller cleans it up."""
    requests = _Requests(session)
    application = web.Application(
        middlewares=[_authorised(session.key), _in_json], client_max_size=BODY_BYTES_MAX
    )
    application.add_routes(
        [
            web.get("/v1/session", requests.session),
            web.get("/v1/events", requests.events),
            web.get("/v1/approvals", requests.approvals),
            web.post("/v1/approvals/{id}", requests.answer),
            web.get("/v1/rules", requests.rules),
            web.post("/v1/rules", requests.add_rule),
            web.delete("/v1/rules/{id}", requests.take_rule_back),
        ]
    )
    runner = web.AppRunner(
        application,
        handle_signals=False,
        handler_cancellation=True,  # free the slot of a disconnected client at once
        access_log=None,
        logger=_silent(),
        keepalive_timeout=IDLE_S,
        shutdown_timeout=1.0,
    )
    await runner.setup()
    return runner


class _Requests:
    """The handlers."""

    def __init__(self, session: ControlledSession) -> None:
        self._session = session
        self._readers = 0

    async def session(self, _: web.Request) -> web.StreamResponse:
        return web.json_response(self._session.summary())

    async def approvals(self, _: web.Request) -> web.StreamResponse:
        return web.json_response([each.document for each in self._session.questions()])

    async def answer(self, request: web.Request) -> web.StreamResponse:
        word = (await _document(request)).get("answer")
        if word not in ("allow", "deny"):
            raise web.HTTPBadRequest(text='expected {"answer": "allow"} or {"answer": "deny"}')
        by = f"nono approvals ({_peer(request)})"
        answer = self._session.answer(request.match_info["id"], is_yes=word == "allow", by=by)
        match answer:
            case None:
                raise web.HTTPNotFound(text="there is no such question")
            case Closed(first):
                how = {"outcome": first.outcome, "by": first.backend, "reason": first.reason}
                return web.json_response({"error": "the question is closed", **how}, status=409)
            case Answer():
                return web.json_response({"outcome": answer.outcome, "by": answer.backend})

    async def rules(self, _: web.Request) -> web.StreamResponse:
        return web.json_response([rule.document for rule in self._session.rules.rules])

    async def add_rule(self, request: web.Request) -> web.StreamResponse:
        document = await _document(request)
        try:
            wanted = parse_wanted(document)
        except ValueError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        made = self._session.rules.add(wanted, _peer(request))
        if isinstance(made, Refused):
            return _refused(made)
        return web.json_response(
            {"rule": made.rule.document, "cut": made.cut, "leaves_standing": made.leaves_standing}, status=201
        )

    async def take_rule_back(self, request: web.Request) -> web.StreamResponse:
        wanted_id = request.match_info["id"]
        rule = next((each for each in self._session.rules.rules if each.id == wanted_id), None)
        if rule is None:
            raise web.HTTPNotFound(text="there is no such rule")
        cut = self._session.rules.take_back(rule, _peer(request))
        if isinstance(cut, Refused):
            return _refused(cut)
        stands = self._session.rules.leaves_standing(rule.kind)
        return web.json_response({"cut": cut, "leaves_standing": stands})

    async def events(self, request: web.Request) -> web.StreamResponse:
        if self._readers >= READERS_MAX:
            raise web.HTTPServiceUnavailable(text=f"{READERS_MAX} readers follow the events already")
        self._readers += 1
        stream = EventStream()
        self._session.follow(stream)
        try:
            response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
            await response.prepare(request)
            async for piece in stream.pieces():
                await response.write(piece)
            await response.write_eof()
        finally:
            self._readers -= 1
            self._session.unfollow(stream)
        return response


def _silent() -> logging.Logger:
    """Return a logger without output: standard error may be the command's terminal."""
    logger = logging.Logger("nono.control")
    logger.addHandler(logging.NullHandler())
    return logger


def _refused(refused: Refused) -> web.Response:
    return web.json_response({"error": refused.reason, "hint": refused.hint}, status=409)


async def _document(request: web.Request) -> Mapping[str, object]:
    """Return the JSON object in the body of a request."""
    try:
        return parse_object(await request.read(), "the body")
    except ValueError as error:
        raise web.HTTPBadRequest(text=str(error)) from error


def _peer(request: web.Request) -> str:
    """Name the process at the other end, as the kernel reports it."""
    connection = None if request.transport is None else request.transport.get_extra_info("socket")
    if connection is None:
        raise web.HTTPBadRequest(text="the connection is gone")
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return f"pid {pid}, uid {uid}"


def _authorised(key: str) -> Middleware:
    """Require the key on every request.

    Only the first one of a connection was checked before it came here.
    """
    expected = f"Bearer {key}".encode("ascii")

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        shown = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(shown, expected):
            raise web.HTTPUnauthorized(text="")  # as for the first request of a connection
        return await handler(request)

    return check


@web.middleware
async def _in_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Send errors as JSON too."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return web.json_response({"error": error.text}, status=error.status)
