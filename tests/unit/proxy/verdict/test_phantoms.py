"""nono.proxy.verdict.phantoms: the own phantom once and nothing beside it; elsewhere, no phantom at all."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace

import pytest

from nono.credentials.values.credential import Outgoing
from nono.policy.hosts.upstream import Upstream
from nono.policy.schema.constraints import InjectMode
from nono.policy.schema.route_rules import Inject
from nono.proxy.http.message import Header
from nono.proxy.http.refusal import Refusal
from nono.proxy.verdict.phantoms import (
    Presented,
    check,
    check_elsewhere,
    left_over,
    owners,
    proxy_authorised,
)
from nono.proxy.verdict.routes import Route, RouteTable
from nono.proxy.verdict.slots import Slots
from nono.proxy.verdict.verdict import Mechanism
from nono.secret import Secret
from support.proxy.thread import PHANTOM, TOKEN, FakeCredential, a_route

OTHER = "sk-phantom-of-beta"
ALPHA = a_route(1, credential=FakeCredential("X-Custom-Key", b"real"))
BETA = a_route(2, service="beta", phantom=OTHER)
ROUTES = RouteTable((ALPHA, BETA))


def basic(user_and_password: str) -> bytes:
    return b"Basic " + b64encode(user_and_password.encode())


def status_of(*headers: Header, target: bytes = b"/v1") -> int:
    verdict = check(ALPHA, Slots(headers, target), ROUTES)
    if isinstance(verdict, Presented):
        assert verdict[:2] == (target, "phantom_header")
        return 200
    assert verdict.category == "authentication_failed"
    return verdict.status


def slots(key: str) -> list[Header]:
    text = key.encode()
    return [
        (b"Authorization", b"Bearer " + text),
        (b"authorization", b"bearer  " + text),
        (b"Authorization", b"token " + text),
        (b"Authorization", text),
        (b"Authorization", basic(f"{key}:x-oauth-basic")),
        (b"Authorization", basic(f"x-access-token:{key}")),
        (b"X-Api-Key", text),
        (b"x-goog-api-key", text),
        (b"X-Custom-Key", text),
    ]


SLOT_IDS = [
    "bearer", "bearer, other case", "token", "bare", "basic user", "basic password", "x-api-key",
    "x-goog-api-key", "the route's own header",
]  # fmt: skip


@pytest.mark.parametrize("index", range(len(SLOT_IDS)), ids=SLOT_IDS)
def test_only_the_own_phantom_is_accepted_in_any_slot(index: int) -> None:
    assert status_of(slots(PHANTOM)[index]) == 200
    assert status_of(slots("sk-real-looking-key")[index]) == 401
    assert status_of(slots(OTHER)[index]) == 403
    assert status_of(slots(TOKEN)[index]) == 401


def test_the_phantom_of_a_signed_request_is_its_access_key() -> None:
    for key, status in ((PHANTOM, 200), ("AKIAREAL", 401), (OTHER, 403)):
        scope = f"Credential={key}/20260101/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=00"
        for scheme in ("AWS4-HMAC-SHA256", "aws4-hmac-sha256"):
            assert status_of((b"Authorization", f"{scheme} {scope}".encode())) == status
    assert status_of((b"Authorization", f"AWS4-HMAC-SHA256 SignedHeaders={PHANTOM}".encode())) == 401


@pytest.mark.parametrize("index", range(len(SLOT_IDS)), ids=SLOT_IDS)
def test_another_key_beside_the_phantom_is_refused(index: int) -> None:
    own = (b"X-Api-Key", PHANTOM.encode())
    assert status_of(own, slots(PHANTOM)[index]) == 200
    assert status_of(own, slots("sk-real-looking-key")[index]) == 403
    assert status_of(own, slots(OTHER)[index]) == 403


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([], id="no header"),
        pytest.param([(b"X-Api-Key", b"")], id="empty value"),
        pytest.param([(b"Authorization", b"Bearer")], id="scheme alone"),
        pytest.param([(b"Authorization", basic(":"))], id="empty user and password"),
        pytest.param([(b"X-Unrelated", PHANTOM.encode())], id="header that is no slot"),
        pytest.param([(b"Proxy-Authorization", basic(f"nono:{TOKEN}"))], id="the session token instead"),
    ],
)
def test_a_request_that_presents_nothing_is_unauthorised(headers: list[Header]) -> None:
    assert status_of(*headers) == 401
    assert status_of(*headers, (b"X-Api-Key", PHANTOM.encode())) == 200


def test_who_sends_no_placeholder_is_told_where_it_is() -> None:
    """Of `nono proxy` as well, which has no sandbox."""
    refused = check(ALPHA, Slots((), b"/v1"), ROUTES)
    assert isinstance(refused, Refusal)
    assert refused.hint == "use the placeholder that nono puts into the variables of 'alpha'"


@pytest.mark.parametrize("near", [PHANTOM[:-1], PHANTOM + "x", PHANTOM.upper(), "Basic " + PHANTOM], ids=repr)
def test_nothing_but_the_phantom_itself_matches(near: str) -> None:
    assert status_of((b"Authorization", b"Bearer " + near.encode())) in (401, 403)


def test_basic_that_is_not_base64_is_a_wrong_key() -> None:
    assert status_of((b"Authorization", b"Basic !!!")) == 401
    assert status_of((b"Authorization", b"Basic \xff")) == 401


def test_a_phantom_in_the_query_is_refused_even_beside_the_header() -> None:
    own = (b"X-Api-Key", PHANTOM.encode())
    assert status_of(own, target=b"/v1?alt=sse") == 200
    assert status_of(own, target=b"/v1?key=" + PHANTOM.encode()) == 403
    assert status_of(own, target=b"/v1?key=" + OTHER.encode().replace(b"-", b"%2D")) == 403


GOOGLE = a_route(1, inject=Inject(header="x-goog-api-key", format="{}"))
GITLAB = replace(a_route(443), origin=Upstream("https", "gitlab.com", 443))


@pytest.mark.parametrize(
    ("route", "name"),
    [
        (GOOGLE, "key"),
        (GOOGLE, "access_token"),
        (GITLAB, "private_token"),
        (GITLAB, "access_token"),
        (GITLAB, "job_token"),
    ],
)
def test_a_phantom_where_the_api_takes_a_key_in_the_query_is_accepted_and_removed(
    route: Route, name: str
) -> None:
    def shown(key: str, *headers: Header) -> Presented | Refusal:
        return check(route, Slots(headers, f"/v1?alt=sse&{name}={key}".encode()), RouteTable((route, BETA)))

    own = (b"Authorization", b"Bearer " + PHANTOM.encode())
    assert shown(PHANTOM) == Presented(b"/v1?alt=sse", "phantom_query")
    assert shown(PHANTOM, own) == Presented(b"/v1?alt=sse", "phantom_header")
    refused = [shown("sk-of-somebody-else"), shown("sk-of-somebody-else", own), shown(OTHER)]
    assert [each.status for each in refused if isinstance(each, Refusal)] == [401, 403, 403]


@pytest.mark.parametrize("more", ["", "&private%5Ftoken=a-key", "&a=1;private_token=a-key"])
def test_a_long_query_is_refused_only_if_a_key_may_be_in_it(more: str) -> None:
    """As of `iids[]`, by which GitLab names any number of issues."""
    target = f"/v1?{'&'.join(f'iids[]={each}' for each in range(300))}{more}".encode()
    sent = Slots([(b"Authorization", b"Bearer " + PHANTOM.encode())], target)
    shown = check(GITLAB, sent, RouteTable((GITLAB,)))
    if more:
        assert isinstance(shown, Refusal)
        assert shown.status == 400
    else:
        assert shown == Presented(target, "phantom_header")


@pytest.mark.parametrize(("mode", "is_taken"), [("header", True), ("basic_auth", False)])
def test_only_a_key_that_goes_to_a_header_of_the_api_is_taken_in_its_query(
    mode: InjectMode, is_taken: bool
) -> None:
    """git at gitlab.com sends Basic: the parameter is one of the API's."""
    route = replace(GITLAB, inject=Inject(mode=mode))
    shown = check(route, Slots([], b"/v1?private_token=" + PHANTOM.encode()), RouteTable((route,)))
    assert isinstance(shown, Presented) is is_taken


def test_a_phantom_in_the_path_is_recorded_as_there_although_the_query_takes_it_too() -> None:
    route = replace(
        GOOGLE, accept=Inject(mode="url_path", path_pattern="/key/{}/", path_replacement="/key/{}/")
    )
    places: list[tuple[bytes, Mechanism]] = [
        (b"/key/%s/v1", "phantom_path"),
        (b"/v1?key=%s", "phantom_query"),
    ]
    for target, mechanism in places:
        shown = check(route, Slots([], target % PHANTOM.encode()), RouteTable((route,)))
        assert isinstance(shown, Presented)
        assert shown[:2] == (b"/v1", mechanism)


GIT = replace(a_route(443, service="git", phantom="nono_git"), same_key=frozenset({"beta"}))
BESIDE_GIT = replace(GIT, service="beside", same_key=frozenset({"beta", "git"}))
OF_ONE_KEY = RouteTable((ALPHA, BETA, GIT))


def at_git(*headers: Header, target: bytes = b"/v1") -> Presented | Refusal:
    return check(GIT, Slots(headers, target), OF_ONE_KEY)


def test_the_phantom_of_a_service_with_the_same_key_is_accepted() -> None:
    """As gh gives git, at github.com, the one that it sends to api.github.com."""
    of_beta, of_alpha = (b"Authorization", basic(f"x:{OTHER}")), (b"Authorization", basic(f"x:{PHANTOM}"))
    own, a_key = (b"X-Api-Key", b"nono_git"), (b"X-Api-Key", b"sk-real-looking-key")
    assert at_git(of_beta) == at_git(of_beta, own) == Presented(b"/v1", "phantom_header")
    refused = [at_git(of_alpha), at_git(of_beta, of_alpha), at_git(of_beta, a_key)]
    assert [(each.status, each.freezes) for each in refused if isinstance(each, Refusal)] == [
        (403, "alpha"),
        (403, "alpha"),
        (403, None),
    ]


def test_the_phantom_of_a_service_with_the_same_key_is_no_key_in_another_place() -> None:
    """It is refused there like the route's own: the credential is not frozen for it."""
    stray = at_git((b"X-Api-Key", OTHER.encode()), target=b"/" + OTHER.encode())
    assert isinstance(stray, Refusal)
    assert (stray.status, stray.freezes) == (403, None)
    token = ALPHA.phantom
    assert token is not None
    for here, frozen in (((GIT,), None), ((ALPHA,), "beta")):
        elsewhere = check_elsewhere([(b"X-Note", OTHER.encode())], b"/", "h", OF_ONE_KEY, token, here)
        assert elsewhere is not None
        assert elsewhere.freezes == frozen
        request = Outgoing(b"GET", b"/", b"h", [(b"X-Note", b"see " + OTHER.encode())])
        over = left_over(request, "h", OF_ONE_KEY, token, here)
        assert over is not None
        assert over.freezes == frozen


def test_inside_other_text_neither_a_phantom_nor_the_session_token_leaves() -> None:
    for text, status in ((PHANTOM, 403), (TOKEN, 403), ("any text", None)):
        field = (b"X-Note", f"see {text}, then go on".encode())
        for request in (Outgoing(b"GET", b"/", b"h", [field]), Outgoing(b"GET", b"/" + field[1], b"h", [])):
            refused = left_over(request, "h", ROUTES, Secret(TOKEN), ())
            assert (refused and refused.status) == status


def test_of_two_services_with_one_key_the_one_whose_phantom_was_sent_is_meant() -> None:
    table = RouteTable((BETA, GIT, BESIDE_GIT))
    for text, meant in (("nono_git", [GIT]), (OTHER, [GIT]), ("sk-real-looking-key", [])):
        sent = Slots([(b"X-Api-Key", text.encode())], b"/")
        assert owners([GIT, BESIDE_GIT], sent, table) == (meant, True)


def test_a_refusal_names_no_key() -> None:
    for key in (PHANTOM, OTHER, "sk-real-looking-key"):
        refused = check(ALPHA, Slots([*slots(key)[:1], (b"X-Api-Key", b"other")], b"/"), ROUTES)
        assert isinstance(refused, Refusal)
        assert key not in f"{refused.error} {refused.hint} {refused.rule}"


@pytest.mark.parametrize(
    ("headers", "target", "refused"),
    [
        pytest.param([(b"Authorization", b"Bearer own-key")], b"/", False, id="a key of the site's own"),
        pytest.param([(b"Authorization", b"Bearer " + OTHER.encode())], b"/", True, id="phantom"),
        pytest.param([(b"X-Unrelated", OTHER.encode())], b"/", True, id="phantom in any header"),
        pytest.param([], b"/?k=" + OTHER.encode(), True, id="phantom in the query"),
        pytest.param([(b"Authorization", b"Bearer " + TOKEN.encode())], b"/", True, id="session token"),
        pytest.param(
            [(b"Proxy-Authorization", b"Bearer " + TOKEN.encode())], b"/", False, id="token where it belongs"
        ),
    ],
)
def test_no_phantom_leaves_to_a_host_that_is_no_route(
    headers: list[Header], target: bytes, refused: bool
) -> None:
    refusal = check_elsewhere(headers, target, "example.com", ROUTES, Secret(TOKEN))
    assert (refusal is not None) is refused
    assert refusal is None or (refusal.status, refusal.category) == (403, "authentication_failed")


@pytest.mark.parametrize(
    ("values", "authorised"),
    [
        pytest.param([basic(f"nono:{TOKEN}")], True, id="basic"),
        pytest.param([basic(f"anyone:{TOKEN}")], True, id="any user"),
        pytest.param([b"bearer " + TOKEN.encode()], True, id="bearer, other case"),
        pytest.param([], False, id="none"),
        pytest.param([basic(f"{TOKEN}:")], False, id="token as user"),
        pytest.param([basic(f"x:{TOKEN}:")], False, id="more behind the token"),
        pytest.param([b"Basic !!!"], False, id="not base64"),
        pytest.param([b"Digest " + TOKEN.encode()], False, id="another scheme"),
        pytest.param([TOKEN.encode()], False, id="no scheme"),
        pytest.param([basic("nono:wrong"), basic(f"nono:{TOKEN}")], False, id="two fields"),
        pytest.param([basic(f"nono:{PHANTOM}")], False, id="a phantom"),
    ],
)
def test_the_session_token_is_accepted_in_one_field_only(values: list[bytes], authorised: bool) -> None:
    headers = [(b"Proxy-Authorization", value) for value in values]
    assert proxy_authorised(headers, Secret(TOKEN)) is authorised


def test_a_user_and_password_that_are_no_text_are_no_token() -> None:
    for value in (b"\xff", b"\xff:" + TOKEN.encode()):
        assert not proxy_authorised([(b"Proxy-Authorization", b"Basic " + b64encode(value))], Secret(TOKEN))
