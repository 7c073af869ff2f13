"""`nono why` says of a request what the proxy does with it, with a key where one is for the path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

from nono.errors import NonoError
from nono.policy.effective_policy import effective_policy_of
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.request import RunRequest
from nono.policy.resolve import Resolved, resolve
from nono.policy.schema.profile import Meta, Network, Profile
from nono.policy.schema.routes import CustomCredential, PolicyEntry, RuleEntry
from nono.policy.services.credential_service import CredentialService
from nono.proxy.http.message import Header, request_head
from nono.proxy.verdict.dispatch import Dispatcher
from nono.proxy.verdict.routes import Route, RouteTable
from nono.proxy.verdict.verdict import Forward, Intercept, Tunnel, Verdict
from nono.secret import Secret
from support.profiles.questions import why_request
from support.proxy.thread import TOKEN, FakeCredential

FS = HostFilesystem()
OWN_PORT = 4000
DOMAINS = (
    "x.example",
    "*.example",
    "x.example:8443",
    "https://x.example/a/**",
    "https://x.example:8443/a/**",
    "https://*.example/v1/b",
    "api.github.com",
)
EXPLICIT = PolicyEntry(
    default="allow", deny=(RuleEntry("*", "/**/secret"),), approve=(RuleEntry("POST", "/**"),)
)
SERVICES = {
    "whole": CustomCredential("https://x.example", "key_of_whole"),
    "below": CustomCredential("https://x.example/v1", "key_of_below"),
    "ruled": CustomCredential(
        "https://x.example", "key_of_ruled", endpoint_rules=(RuleEntry("GET", "/a/**"),)
    ),
    "strict": CustomCredential("https://x.example", "key_of_strict", endpoint_policy=EXPLICIT),
    "wild": CustomCredential("https://*.example", "key_of_wild"),
    "aws": CustomCredential("https://*.amazonaws.com", "key_of_aws"),
    "git": CustomCredential("https://api.github.com", "key_of_git"),
}
HOSTS = ("x.example", "y.example", "other.test", "sts.amazonaws.com", "s3.amazonaws.com", "api.github.com")
PATHS = (
    "/",
    "/a/x",
    "/a/secret",
    "/b",
    "/v1",
    "/v1/b",
    "/v1/secret",
    "/v10",
    "/user/keys",
    "/a/x?_method=GET",
)


def some(values: Sequence[str], most: int) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), max_size=most, unique=True).map(tuple)


# Not st.builds(Network, ...), which makes up every field of a named tuple that is not given.
networks = st.builds(
    lambda **given: Network(**given),
    allow_domain=st.none() | some(DOMAINS, 3),
    deny_domain=some(("x.example", "x.example:8443", "y.example"), 1),
    credentials=some(tuple(SERVICES), 2),
    custom_credentials=st.just(SERVICES),
)


def network(*credentials: str, allow: tuple[str, ...] | None = None) -> Network:
    return Network(allow_domain=allow, credentials=credentials, custom_credentials=SERVICES)


def resolved_of(asked: Network) -> Resolved | None:
    """Resolve a profile; None: it is refused, or starts no proxy."""
    profile = Profile(meta=Meta(name="random"), network=asked)
    environ = {"HOME": "/var/tmp", "PATH": "/usr/bin"}
    try:
        resolved = resolve(RunRequest(), profile, environ=environ, cwd="/var/tmp", fs=FS)
    except NonoError:
        return None
    return None if effective_policy_of(resolved, FS).hosts is None else resolved


def phantom_of(service: CredentialService) -> str:
    return f"phantom-of-{service.name}"


def dispatcher_of(resolved: Resolved) -> Dispatcher:
    """Build what judges requests in a run of that policy, in which every key was found."""
    assert resolved.host_filter is not None
    routes = tuple(
        Route(
            each.name,
            each.upstream,
            FakeCredential(),
            Secret(phantom_of(each)),
            endpoints=each.endpoints,
        )
        for each in resolved.services
    )
    table = RouteTable(routes, resolved.scopes)
    return Dispatcher(
        table, resolved.host_filter, Secret(TOKEN), OWN_PORT, intercepts=True, require_auth=False
    )


def verdicts(resolved: Resolved, host: str, port: int, method: str, path: str) -> Iterator[Verdict]:
    """Yield the verdict on the request over TLS, with each key that is for its path, or without any."""
    proxy, authority = dispatcher_of(resolved), f"{host}:{port}".encode()
    opened = proxy.judge(request_head(b"CONNECT", authority, "1.1", [(b"Host", authority)]))
    if not isinstance(opened, Intercept):
        yield opened
        return
    upstreams = {phantom_of(each): each.upstream for each in resolved.services}
    phantoms = [
        phantom
        for phantom, upstream in upstreams.items()
        if upstream.covers(host, port) and f"{path}/".startswith(f"{upstream.base_path}/")
    ]
    keys: list[list[Header]] = [[(b"Authorization", f"Bearer {each}".encode())] for each in phantoms]
    for key in keys or [[]]:
        fields = [(b"Host", opened.inside.authority), *key]
        yield proxy.judge(request_head(method.encode(), path.encode(), "1.1", fields), opened.inside)


def status_of(found: Sequence[Verdict]) -> str:
    if any(
        isinstance(each, Tunnel) or (isinstance(each, Forward) and each.approval is None) for each in found
    ):
        return "allowed"
    return "approval_required" if any(isinstance(each, Forward) for each in found) else "denied"


@settings(max_examples=200)
@given(
    networks,
    st.sampled_from(HOSTS),
    st.sampled_from((443, 8443)),
    st.sampled_from(("GET", "POST")),
    st.sampled_from(PATHS),
)
@example(network("below", allow=()), "x.example", 443, "GET", "/b")  # a credential is for its base path
@example(network("below"), "x.example", 443, "GET", "/v10")
@example(network("below", "strict"), "x.example", 443, "GET", "/v1/secret")  # a sibling may deny
@example(network("ruled", allow=("https://x.example/a/**",)), "x.example", 443, "POST", "/a/x")
@example(network("whole", allow=("https://x.example/a/**",)), "x.example", 443, "GET", "/b")
@example(network("aws"), "sts.amazonaws.com", 443, "GET", "/")  # it hands out keys
@example(network("git"), "api.github.com", 443, "POST", "/user/keys")
@example(network("ruled"), "x.example", 443, "GET", "/a/x?_method=GET")
def test_why_and_proxy_agree_on_requests(
    asked: Network, host: str, port: int, method: str, path: str
) -> None:
    resolved = resolved_of(asked)
    if resolved is None:
        return
    found = [*verdicts(resolved, host, port, method, path)]
    assert why_request(resolved, host, port, method, path).status == status_of(found), found
