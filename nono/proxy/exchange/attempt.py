"""Define the steps that every allowed request takes, and its end.

`delivery` runs them in order for exchanges that stream their bodies, and `login` for logins.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

from nono.credentials.values.errors import RequestUnfit
from nono.errors import CredentialError
from nono.proxy.exchange.context import ProxyContext
from nono.proxy.exchange.course import Course
from nono.proxy.http import refusal
from nono.proxy.http.refusal import Refusal
from nono.proxy.verdict import audit_events
from nono.proxy.verdict.host_policy import is_refused
from nono.proxy.verdict.verdict import Forward

if TYPE_CHECKING:
    from nono.audit.event import DenialCategory, Failure

# Raised while the credential is written into a request. Their texts may hold the secret: see _refusal_of.
WRITING_ERRORS = (OSError, ValueError, CredentialError)


class Attempt(ABC):
    """One allowed request: the steps that every exchange takes, and its end."""

    __slots__ = ("_context", "_course", "_over", "_reserved", "_scope", "_verdict")

    def __init__(self, context: ProxyContext, verdict: Forward) -> None:
        self._context = context
        self._verdict = verdict
        self._scope: anyio.CancelScope | None = None  # around the current wait, if any
        self._course: Course | None = None  # set once the request was recorded
        self._over = False
        self._reserved = 0  # bytes of the body, counted in the held bytes of the context

    @abstractmethod
    def _answer(self, answer: Refusal) -> None:
        """Record a refusal and answer it in the client's protocol."""

    @abstractmethod
    def _fault(self) -> None:
        """End the exchange after an unexpected exception in the proxy."""

    def _refuse(self, answer: Refusal) -> None:
        """End the exchange. Does nothing if it is over."""
        if not self._over:
            if self._course is not None:
                self._course.refused(answer)
            self._end()
            self._answer(answer)

    def _end(self) -> None:
        """Mark the exchange as over, whatever ended it, and free its share of the held bytes."""
        self._over = True
        if self._course is not None:
            self._end_course()
        if self._reserved:
            self._context.held.give_back(self._reserved)
            self._reserved = 0

    def _reserve(self, count: int) -> bool:
        """Count `count` more bytes of a body that is held. Refuses the request if there is no room."""
        if self._over or not self._context.held.take(count):
            self._refuse(refusal.too_much_held(self._verdict.origin.host))
            return False
        self._reserved += count
        return True

    @contextmanager
    def _cancellable(self) -> Iterator[bool]:
        """Let _cancel end the waits in this block. Yields True if the exchange is already over."""
        with anyio.CancelScope() as scope:
            self._scope = scope
            try:
                yield self._over
            except Exception:
                self._fault()
                raise
            finally:
                self._scope = None

    def _end_course(self) -> None:
        course, self._course = self._course, None
        if course is not None:
            course.end()

    @property
    def _is_wanted(self) -> bool:
        """True while somebody waits for the response."""
        return not self._over

    def note_if_refused(self) -> bool:
        """Judge the request by the current rules. If they refuse it, note that the exchange ends for that."""
        reason = self._refused_since()
        if reason is None:
            return False
        self._failed("blocked", reason)
        if self._course is None and not self._over:  # the log knows nothing of it yet
            origin = self._verdict.origin
            of_host = is_refused(self._verdict.hosts, origin.host, origin.port)
            category: DenialCategory = "host_denied" if of_host else "endpoint_policy"
            answer = Refusal(403, reason, origin.host, category=category)
            self._context.record(audit_events.denied(self._verdict.entry, answer))
        return True

    def _refused_since(self) -> str | None:
        return self._context.refused_since(self._verdict)

    def _failed(self, failure: Failure, reason: str) -> None:
        """Note for the record why the exchange is about to end."""
        if self._course is not None:
            self._course.failed(failure, reason)

    def _cancel(self) -> None:
        if self._scope is not None:
            self._scope.cancel()

    def _record(self) -> bool:
        """Record once that the request is carried out. Returns False if that failed: do not send it then."""
        if self._course is None and self._is_wanted:
            self._course = self._context.carry_out(self._verdict.entry)
        return self._course is not None

    def _refusal_of(self, failure: Exception) -> Refusal:
        """Return the answer to one of WRITING_ERRORS."""
        service, host = self._verdict.entry.route_id or "", self._verdict.origin.host
        if isinstance(failure, RequestUnfit):
            return refusal.unfit(service, host, str(failure))
        return refusal.unavailable(service, host)  # the text could hold the secret: not passed on

    def _rejected(self) -> None:
        """Tell the credential that the upstream answered 401: its cached value may be stale."""
        route = self._verdict.route
        if route is not None and route.credential is not None:
            route.credential.rejected(self._verdict.facts)
