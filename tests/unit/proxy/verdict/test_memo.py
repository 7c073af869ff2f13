"""nono.proxy.verdict.memo: what it says is what the judge behind it says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from nono.proxy.http.message import Header, RequestHead, request_head
from nono.proxy.verdict.dispatch import Dispatcher
from nono.proxy.verdict.memo import MAX_KEPT, MAX_KEPT_BYTES, VerdictMemo
from nono.proxy.verdict.routes import RouteTable
from nono.proxy.verdict.verdict import ConnectTarget, Forward, Intercept, Refused, Tunnel, Verdict
from nono.secret import Secret
from support.proxy.thread import PHANTOM, TOKEN, Hosts, a_route

HOST = (b"Host", b"api.test")
KEY = (b"Authorization", b"Bearer " + PHANTOM.encode())
INSIDE = ConnectTarget("api.test", 443)
READS = EndpointPolicy("deny", allow=(EndpointRule("GET", "/v1/**"),), origin="the test")


class CountingJudge:
    """The real judge, and how often it was asked."""

    def __init__(self) -> None:
        route = a_route(443, host="api.test", scheme="https", endpoints=READS)
        other = a_route(443, host="other.test", scheme="https", service="beta", phantom="other-phantom")
        table = RouteTable((route, other))
        self.asked = 0
        self._dispatcher = Dispatcher(table, Hosts(), Secret(TOKEN), 4000, intercepts=True)

    def __call__(self, head: RequestHead, inside: ConnectTarget | None = None) -> Verdict:
        self.asked += 1
        return self._dispatcher.judge(head, inside)


def a_head(
    path: bytes = b"/v1/x", *more: Header, method: bytes = b"GET", version: str = "1.1", key: Header = KEY
) -> RequestHead:
    return request_head(method, path, version, [HOST, key, *more])


def test_the_same_head_is_judged_once() -> None:
    judge = CountingJudge()
    memo = VerdictMemo(judge)
    first = memo(a_head(), INSIDE)
    assert isinstance(first, Forward)
    assert memo(a_head(), INSIDE) is first
    assert judge.asked == 1


def test_a_verdict_on_a_connect_is_kept_only_for_its_token() -> None:
    judge = CountingJudge()
    memo = VerdictMemo(judge)
    for authority, verdict in ((b"api.test:443", Intercept), (b"plain.test:443", Tunnel)):
        fields = [(b"Host", authority), (b"Proxy-Authorization", b"Bearer " + TOKEN.encode())]
        head = request_head(b"CONNECT", authority, "1.1", fields)
        judge.asked = 0
        assert isinstance(memo(head), verdict)
        assert memo(head) is memo(head)
        assert judge.asked == 1
        assert isinstance(memo(request_head(b"CONNECT", authority, "1.1", fields[:1])), Refused)


def test_the_length_of_a_body_makes_no_other_head() -> None:
    judge = CountingJudge()
    memo = VerdictMemo(judge)
    for length in (b"0", b"7", b"70"):
        memo(a_head(b"/v1/x", (b"Content-Length", length)), INSIDE)
    assert judge.asked == 1


@pytest.mark.parametrize(
    ("head", "inside"),
    [
        pytest.param(a_head(b"/v2/x"), INSIDE, id="path"),
        pytest.param(a_head(method=b"POST"), INSIDE, id="method"),
        pytest.param(a_head(key=(b"Authorization", b"Bearer mine")), INSIDE, id="key"),
        pytest.param(a_head(key=(b"X-Api-Key", b"other-phantom")), INSIDE, id="another's phantom"),
        pytest.param(a_head(b"/v1/x", (b"X-Other", b"other-phantom")), INSIDE, id="one phantom more"),
        pytest.param(a_head(), ConnectTarget("other.test", 443), id="host of the CONNECT"),
        pytest.param(a_head(), ConnectTarget("api.test", 8443), id="port of the CONNECT"),
        pytest.param(a_head(), None, id="no CONNECT"),
    ],
)
def test_the_memo_allows_no_head_that_differs_in_one_thing(
    head: RequestHead, inside: ConnectTarget | None
) -> None:
    memo = VerdictMemo(CountingJudge())
    assert isinstance(memo(a_head(), INSIDE), Forward)
    assert isinstance(memo(head, inside), Refused)


def test_a_refusal_an_upgrade_and_a_large_head_are_not_kept() -> None:
    upgrade = [
        (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"), (b"Sec-WebSocket-Version", b"13"),
        (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    ]  # fmt: skip
    heads = (
        a_head(b"/v2/x"),
        a_head(b"/v1/x", *upgrade),
        a_head(b"/v1/x", (b"X-Long", b"x" * MAX_KEPT_BYTES)),
    )
    for head in heads:
        judge = CountingJudge()
        memo = VerdictMemo(judge)
        verdicts = [memo(head, INSIDE), memo(head, INSIDE)]
        assert judge.asked == 2
        assert verdicts[0] == verdicts[1]


def test_no_more_than_so_many_are_kept() -> None:
    judge = CountingJudge()
    memo = VerdictMemo(judge)
    for index in range(3 * MAX_KEPT):
        memo(a_head(b"/v1/%d" % index), INSIDE)
    assert len(memo._kept) == MAX_KEPT
    memo(a_head(b"/v1/0"), INSIDE)
    assert judge.asked == 3 * MAX_KEPT + 1


heads = st.builds(
    a_head,
    st.sampled_from([b"/v1/x", b"/v1/y?z=1", b"/v2/x", b"/v1/../x"]),
    st.sampled_from([(b"Accept", b"*/*"), (b"Content-Length", b"3"), (b"X-Api-Key", b"other-phantom")]),
    method=st.sampled_from([b"GET", b"POST"]),
    version=st.sampled_from(["1.1", "1.0"]),
    key=st.sampled_from([KEY, (b"Authorization", b"Bearer mine"), (b"Accept-Language", b"en")]),
)


@given(
    st.lists(st.tuples(heads, st.sampled_from([INSIDE, ConnectTarget("other.test", 443), None])), max_size=20)
)
def test_whatever_came_before_the_verdict_is_that_of_the_judge(
    requests: list[tuple[RequestHead, ConnectTarget | None]],
) -> None:
    memo = VerdictMemo(CountingJudge())
    for head, inside in requests:
        assert memo(head, inside) == CountingJudge()(head, inside) == replaced(memo(head, inside))


def replaced(verdict: Verdict) -> Verdict:
    """Return an equal verdict, which shows that a kept one has not been changed by its users."""
    return replace(verdict) if isinstance(verdict, Forward) else verdict
