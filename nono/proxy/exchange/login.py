"""Proxy a request to a login's token host and replace the tokens in the answer with phantoms."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from http import HTTPStatus

import anyio
import anyio.lowlevel

from nono.approval.request import HeldBody
from nono.credentials.logins.answer import Answer, examine, holds_secret
from nono.credentials.logins.request import LoginRefusedError, media_type, refuse_fields_in_query
from nono.credentials.values.credential import Injection, LeakDetector, Outgoing
from nono.credentials.values.errors import CredentialUnavailable
from nono.errors import CredentialError
from nono.in_thread import in_thread
from nono.policy.services.oauth_routes import TokenEndpoint
from nono.proxy.exchange.admission import Admitted
from nono.proxy.exchange.attempt import WRITING_ERRORS, Attempt
from nono.proxy.exchange.client_side import ClientSide
from nono.proxy.exchange.context import ProxyContext
from nono.proxy.exchange.tally import Tally
from nono.proxy.http import refusal
from nono.proxy.http.charset import unsearchable_charset
from nono.proxy.http.message import Header
from nono.proxy.http.passing import folded
from nono.proxy.http.refusal import Refusal
from nono.proxy.http.request_reader import Incoming
from nono.proxy.http.writing import serialise
from nono.proxy.upstream.fetch import Fetched, FetchError, OwnRequest, fetch
from nono.proxy.verdict import rewrite
from nono.proxy.verdict.host_policy import refused_since
from nono.proxy.verdict.rewrite import WITHHELD
from nono.proxy.verdict.verdict import Capture

MAX_REQUEST_BYTES = 1024 * 1024
MAX_ANSWER_BYTES = 1024 * 1024
_STORE = "nono credential logins says what is wrong with the store"
_TIMEOUT_S = 120.0  # for one exchange; device logins poll, so no request waits long
_RENEWAL_TIMEOUT_S = 30.0  # shorter, because other requests wait for a renewal
_GRACE_S = 1.0  # for storing what a provider has answered when the proxy has closed
_CONTENT_TYPE = b"content-type"
_NOT_FETCHED = frozenset((b"accept-encoding", b"expect"))  # the fetch writes its own
_NOT_RELAYED = frozenset(  # these describe the body from before its tokens were replaced
    (b"content-length", b"content-encoding", b"content-md5", b"digest", b"repr-digest", b"etag")
)


class _FrozenError(Exception):
    """The credential was frozen while the request was under way."""

    def __init__(self, answer: Refusal) -> None:
        super().__init__(answer.error)
        self.answer = answer


class LoginExchange(Attempt):
    """One exchange. Request and answer are each read whole before any part is passed on."""

    def __init__(
        self, context: ProxyContext, client: ClientSide, incoming: Incoming, verdict: Capture
    ) -> None:
        super().__init__(context, verdict.forward)
        self._client = client
        self._incoming = incoming
        self._at = verdict.at
        self._body: bytearray | None = bytearray()  # None: complete or refused
        self._tally: Tally | None = None
        self._client_ready: anyio.Event | None = None  # set while the client's write buffer is full
        self._is_sent = False
        self._is_renewing = False
        self._closes = False

    def start(self) -> None:
        """Start reading the request body; refuse a large one unread."""
        head = self._incoming.head
        if head.body.length > MAX_REQUEST_BYTES:
            self._refuse(self._too_large())
            return
        if head.expects_continue:  # the provider has received nothing, so it cannot send this
            self._client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._client.flush()
            self._incoming.waits_for_100 = False
        self.request_progress()

    @property
    def _is_wanted(self) -> bool:
        return self._is_renewing or super()._is_wanted

    def _refused_since(self) -> str | None:
        if self._at is None:
            return super()._refused_since()
        origin = self._verdict.origin  # no rule for endpoints is asked about a token endpoint
        return refused_since(self._verdict.hosts, origin.host, origin.port)

    def _end_course(self) -> None:
        if not self._is_renewing:
            super()._end_course()

    def _end(self) -> None:
        super()._end()
        if self._tally is not None:
            self._tally.settle(None)

    # -- the client

    @property
    def wants_pause(self) -> bool:
        """Never pause: the body is held here, up to MAX_REQUEST_BYTES."""
        return False

    def request_progress(self) -> None:
        """Take more of the request body; start the fetch once it is complete."""
        if self._body is None:
            return
        piece, self._incoming.pieces = b"".join(self._incoming.pieces), []
        if not self._reserve(len(piece)):
            self._body = None
            return
        self._body += piece
        if len(self._body) > MAX_REQUEST_BYTES:
            self._body = None
            self._refuse(self._too_large())
        elif self._incoming.complete:
            body, self._body = bytes(self._body), None
            self._context.spawn(lambda: self._run(body))

    def client_paused(self, paused: bool) -> None:
        """Hold the next fetch back until the client has read the last answer, which is sent in one piece."""
        ready, self._client_ready = self._client_ready, anyio.Event() if paused else None
        if ready is not None:
            ready.set()

    def client_malformed(self, answer: Refusal) -> None:
        """Refuse the request: its rest is malformed."""
        self._body = None
        self._refuse(answer)

    def client_lost(self) -> None:
        """Cancel the exchange: the client is gone, so nobody would receive the phantoms."""
        self._failed("client", "the client went away")
        self._end()
        self._body = None
        if not self._is_renewing:
            self._cancel()

    # -- the exchange

    async def _run(self, body: bytes) -> None:
        with self._cancellable() as over:
            if over:
                return
            while self._client_ready is not None:
                await self._client_ready.wait()
            async with self._context.capturing:
                await self._carry_out(body)
            if self._is_sent:
                await self._until_read()

    async def _until_read(self) -> None:
        """Keep the answer counted among the held bytes until the client has read most of it."""
        await anyio.lowlevel.checkpoint()  # a full buffer is reported in a later turn
        while self._client_ready is not None:
            await self._client_ready.wait()
        if not self._over:
            self._end()
            self._client.exchange_over(closes=self._closes)

    async def _carry_out(self, body: bytes) -> None:
        ready = self._context.admission.try_now(self._verdict)
        if ready is None:
            ready = await self._context.admission.wait(self._verdict, self._shown(body))
        if isinstance(ready, Refusal):
            self._refuse(ready)
            return
        self._tally = ready.tally
        if self._over:  # the client went away meanwhile
            self._end()
            return
        at = self._at
        if at is not None and (answer := at.login.unsupported_grant(at.endpoint, body)) is not None:
            self._answer_myself(400, answer)
            return
        login_id = None if at is None else at.login.renewed_login(at.endpoint, body)
        if at is None or login_id is None:
            await self._exchange(body, ready)
            return
        try:
            async with at.login.renewal_lock():
                fresh = at.login.fresh_answer(login_id)
                if fresh is None:
                    with at.login.room():
                        await self._renew(body, ready, login_id)
                else:
                    self._answer_myself(200, fresh)
        except CredentialUnavailable as failure:
            self._refuse(self._refusal(LoginRefusedError(failure.message, failure.hint), 503))

    def _answer_myself(self, status: int, body: bytes) -> None:
        """Record the request, and answer it in place of the provider."""
        if self._record():
            self._send(status, [(b"Content-Type", b"application/json")], body)
        else:
            host = self._verdict.origin.host
            self._refuse(refusal.upstream_failed(host, "it cannot be recorded", "proxy"))

    async def _renew(self, body: bytes, ready: Admitted, login_id: str) -> None:
        """Ask the provider for new tokens, and wait for them even if the client goes away.

        A provider accepts a refresh token once, so its answer must not be lost. The end of the run waits too,
        for as long as ProxyConfig.renewal_grace_s.
        """
        scope = anyio.CancelScope(shield=True)

        async def until_the_end() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                scope.deadline = anyio.current_time() + _GRACE_S

        self._is_renewing = True
        try:
            with self._context.renewals.one():
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(until_the_end)
                    with scope:
                        await self._exchange(body, ready, login_id)
                    tasks.cancel_scope.cancel()
        finally:
            self._is_renewing = False
            if self._over:
                self._end_course()

    async def _exchange(self, body: bytes, ready: Admitted, login_id: str | None = None) -> None:
        """Ask the provider. `login_id`: The login that is renewed, if any."""
        try:
            request = self._own_request(body, ready, is_renewal=login_id is not None)
        except LoginRefusedError as refused:
            self._refuse(self._refusal(refused, 403))
            return
        except WRITING_ERRORS as failure:
            self._refuse(self._refusal_of(failure))
            return
        try:
            # Made before the fetch: while it runs, so many newer credentials may be used that this one is
            # no longer watched for.
            sent = self._watcher()
            timeout_s = _TIMEOUT_S if login_id is None else _RENEWAL_TIMEOUT_S
            await self._relay(await self._fetch(request, timeout_s), sent, body, login_id)
        except LoginRefusedError as refused:
            self._refuse(self._refusal(refused, 502))
        except _FrozenError as frozen:
            self._refuse(frozen.answer)
        except FetchError as failure:
            host = self._verdict.origin.host
            self._refuse(refusal.upstream_failed(host, failure.reason, failure.failure))
        except (OSError, CredentialError):  # the text could hold the secret: not passed on
            self._refuse(self._refusal(LoginRefusedError("the tokens could not be stored", _STORE), 502))

    def _shown(self, body: bytes) -> HeldBody | None:
        """Return the view of the body that the approver sees."""
        if self._verdict.approval is None or not body:
            return None
        # Imported here: few runs ask.
        from nono.proxy.exchange.shown import BodyDigest

        digest = BodyDigest()
        digest.feed(body)
        return digest.held(self._verdict.request.headers)

    def _own_request(self, body: bytes, ready: Admitted, *, is_renewal: bool) -> OwnRequest:
        request, injection = self._verdict.request, ready.injection
        if self._at is not None:
            if any(folded(name) == b"content-encoding" for name, _ in request.headers):
                raise LoginRefusedError("the body of a request to the token endpoint is compressed")
            request = _unambiguous(self._at.endpoint, request, body)
            if is_renewal:
                request = _without_cookies(request)
            body = self._at.login.request_body(self._at.endpoint, body)
            if self._verdict.presented:
                injection = self._at.credential.injection(self._verdict.facts)
        return _to_fetch(request._replace(body=body), injection)

    async def _fetch(self, request: OwnRequest, timeout_s: float) -> Fetched:
        forward = self._verdict
        fetched = await fetch(
            self._context,
            forward.origin,
            request,
            hosts=forward.hosts,
            may_begin=self._record,
            check_again=self._check_frozen,
            tls=forward.tls,
            limit_bytes=MAX_ANSWER_BYTES,
            timeout_s=timeout_s,
        )
        if self._course is not None:
            self._course.status = fetched.status
            self._course.sent, self._course.received = len(request.body), len(fetched.body)
        if fetched.status == 401:
            self._rejected()
        if self._tally is not None:
            self._tally.answered(fetched.status)
        return fetched

    def _check_frozen(self) -> None:
        if (frozen := self._context.admission.frozen(self._verdict)) is not None:
            raise _FrozenError(frozen)
        if self._tally is not None:
            self._tally.sent()

    async def _relay(
        self, fetched: Fetched, sent: LeakDetector | None, request_body: bytes, login_id: str | None
    ) -> None:
        at = self._at
        kinds = [value for name, value in fetched.headers if name.lower() == b"content-type"]
        if (charset := unsearchable_charset(kinds)) is not None:
            raise LoginRefusedError(
                f"the answer is in the charset {charset}, in which tokens cannot be found"
            )
        headers = self._headers(fetched)
        # In a thread: searching a long answer would block the loop for too long.
        search = partial(_examined, at.endpoint if at else None, fetched, headers, sent)
        answer = await in_thread(search, abandon_on_cancel=True)
        body = fetched.body
        if at is not None:
            login = login_id or at.login.new_login(at.endpoint, request_body)
            body = await at.login.captured(answer, login, has_room=login_id is not None)
            if 200 <= fetched.status < 300:
                await at.login.ended(at.endpoint, request_body)
        self._send(fetched.status, headers, body)

    def _watcher(self) -> LeakDetector | None:
        """Return the detector for the credential that was sent, which must not come back."""
        if self._at is not None:
            return self._at.credential.tripwire()
        route = self._verdict.route
        return None if route is None or route.credential is None else route.credential.tripwire()

    def _headers(self, fetched: Fetched) -> list[Header]:
        # A session cookie would authenticate without any token.
        withheld = WITHHELD if self._at is not None or self._verdict.credentialed else frozenset[bytes]()
        return [field for field in fetched.headers if field[0].lower() not in _NOT_RELAYED | withheld]

    def _send(self, status: int, headers: list[Header], body: bytes) -> None:
        if self._over:
            return
        self._context.held.give_back(self._reserved)  # those of the request, which was sent
        self._reserved = 0
        if not self._reserve(len(body)):
            return
        self._is_sent = True
        if self._course is not None:
            self._course.status = status
        head = self._incoming.head
        self._closes = closes = not head.keep_alive or self._client.winding_down
        fields = [*headers]
        has_body = status not in (204, 304)
        if has_body and head.method != b"HEAD":
            fields.append((b"Content-Length", b"%d" % len(body)))
        if closes:
            fields.append((b"Connection", b"close"))
        self._client.send(serialise(b"HTTP/1.1 %d %b" % (status, _phrase(status)), fields))
        if has_body and head.method != b"HEAD":
            self._client.send(body)
        self._client.flush()

    # -- refusals

    def _answer(self, answer: Refusal) -> None:
        self._client.refuse(self._verdict.entry, answer)

    def _fault(self) -> None:
        self._failed("proxy", "a fault of the proxy")
        self._end()
        self._client.abort()

    def _refusal(self, refused: LoginRefusedError, status: int) -> Refusal:
        host = self._verdict.origin.host
        return Refusal(status, refused.reason, host, "token_endpoints", hint=refused.hint)

    def _too_large(self) -> Refusal:
        host = self._verdict.origin.host
        return Refusal(413, "a request to a login's host may have 1 MiB at most", host, closes=True)


def _examined(
    endpoint: TokenEndpoint | None, fetched: Fetched, headers: Sequence[Header], sent: LeakDetector | None
) -> Answer:
    """Search an answer for tokens. Raises LoginRefusedError if the answer must not be passed on."""
    answer = examine(endpoint, fetched.status, fetched.headers, fetched.body)
    # Searched before the tokens are stored, so that a failed login leaves nothing behind.
    if holds_secret([answer.tripwire(), sent], headers, answer.without_tokens()):
        raise LoginRefusedError("the answer has a token in a second place, where none is expected")
    return answer


def _unambiguous(endpoint: TokenEndpoint, request: Outgoing, body: bytes) -> Outgoing:
    """Return a request whose Content-Type says as what its body was judged.

    Raises LoginRefusedError if the provider might find other fields than those that were judged.
    """
    refuse_fields_in_query(endpoint, request.target.partition(b"?")[2])
    if not body:
        return request
    said = [value for name, value in request.headers if folded(name) == _CONTENT_TYPE]
    others = [field for field in request.headers if folded(field[0]) != _CONTENT_TYPE]
    return request._replace(headers=[*others, (b"Content-Type", media_type(endpoint, body, said))])


def _without_cookies(request: Outgoing) -> Outgoing:
    """Return a request without what a provider may take for another refresh token than that of the body.

    None of its cookies is the provider's, whose own stay outside (LoginExchange._headers).
    """
    return request._replace(headers=[field for field in request.headers if folded(field[0]) != b"cookie"])


def _to_fetch(request: Outgoing, injection: Injection | None) -> OwnRequest:
    target, headers, added = rewrite.injected(request, injection)
    kept = [field for field in rewrite.searchable(headers) if field[0].lower() not in _NOT_FETCHED]
    return OwnRequest(request.method, target, [*kept, *added], request.body or b"")


def _phrase(status: int) -> bytes:
    return HTTPStatus(status).phrase.encode("ascii") if status in set(HTTPStatus) else b""
