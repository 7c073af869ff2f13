"""Post a form to a token endpoint for a credential, vetted and recorded like any request of the proxy."""

from __future__ import annotations

from collections.abc import Sequence

from nono.credentials.values.credential import Header

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.proxy.exchange.context import ProxyContext
    from nono.proxy.exchange.course import Course
    from nono.proxy.upstream.fetch import Fetched


class TokenPost:
    """Posts through a proxy bound later, because routes hold credentials and the proxy holds routes."""

    def __init__(self) -> None:
        self._context: ProxyContext | None = None

    def bind(self, context: ProxyContext) -> None:
        self._context = context

    async def __call__(self, url: str, form: bytes, headers: Sequence[Header]) -> Fetched:
        """Return the reply, whatever its status. Raises FetchError (an OSError) if there is none."""
        # Imported here: this object is created before the proxy listens, and called once it serves.
        from nono.proxy.upstream.fetch import FetchError, OwnRequest, fetch, split_url
        from nono.proxy.verdict.verdict import Entry

        context = self._context
        if context is None:
            raise FetchError("the proxy does not run")
        try:
            origin, target = split_url(url)
        except ValueError as fault:
            raise FetchError(f"the token endpoint cannot be asked: {fault}") from None
        hosts = context.dispatcher.hosts.for_route(origin.host, origin.port, "token endpoint")
        entry = Entry("reverse", origin.host, origin.port, "POST", target.decode("ascii"))
        request = OwnRequest(b"POST", target, headers, form)
        begun: list[Course] = []  # at most one

        def may_begin() -> bool:
            course = context.carry_out(entry, reason="token exchange")
            begun.extend(() if course is None else (course,))
            return course is not None

        try:
            fetched = await fetch(context, origin, request, hosts=hosts, may_begin=may_begin)
            for course in begun:
                course.status = fetched.status
                course.sent, course.received = len(form), len(fetched.body)
            return fetched
        except FetchError as failure:
            for course in begun:
                course.failed(failure.failure, failure.reason)
            raise
        finally:
            for course in begun:
                course.end()
