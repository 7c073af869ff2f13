"""Loading the credentials of a run: one outcome per service, and the hint that ends the search."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Sequence
from typing import NamedTuple

import anyio
import pytest

from nono.audit.event import Event
from nono.credentials import resolver
from nono.credentials.aws.credential import AwsCredential
from nono.credentials.capture.credential import CommandCapture
from nono.credentials.load import Loaded, LoadedService, Loader, Missing
from nono.credentials.logins.token_store import Granted, LoginStore
from nono.credentials.oauth2.credential import OAuth2Credential
from nono.credentials.static import StaticCredential
from nono.credentials.values.credential import Header, Injection, Outgoing, RequestFacts
from nono.errors import CredentialError
from nono.policy.hosts.upstream import Upstream
from nono.policy.schema.constraints import AuthMethod
from nono.policy.schema.route_rules import AwsAuth, Capture, Inject, OAuth2Client
from nono.policy.services.credential_service import CredentialService
from nono.secret import Secret

HEADER = Inject()
OPENAI = CredentialService(
    name="openai",
    upstream=Upstream("https", "api.test", 443),
    inject=HEADER,
    accept=HEADER,
    credential_key="openai",
    env_vars=("OPENAI_API_KEY", "OPENAI"),
    base_url_env_vars=(),
    origin="--credential",
)
ANTHROPIC = OPENAI._replace(
    name="anthropic",
    credential_key="env://ANTHROPIC_API_KEY",
    inject=Inject(header="x-api-key", format="{}"),
    env_vars=("ANTHROPIC_API_KEY",),
)
REQUEST = Outgoing(b"GET", b"/phantom", b"api.test", [])


def nothing(event: Event) -> None:
    raise AssertionError("nothing was asked for")


async def no_post(*arguments: object, **options: object) -> object:
    raise AssertionError("nothing is posted before a request comes")


def load(services: Sequence[CredentialService], environ: dict[str, str]) -> list[LoadedService]:
    return Loader(environ, no_post, nothing).load(services)  # type: ignore[arg-type]  # never called


def missing(service: CredentialService, environ: dict[str, str]) -> Missing:
    outcome = load([service], environ)[0].outcome
    assert isinstance(outcome, Missing)
    return outcome


def injection(loaded: LoadedService) -> Injection:
    assert isinstance(loaded.outcome, Loaded)
    at_hand = loaded.outcome.credential.at_hand(RequestFacts("api.test", 443, "GET", "/x", "a"))
    assert at_hand is not None
    return at_hand


def test_a_loaded_service_has_a_header_with_its_phantom(environ: dict[str, str]) -> None:
    resolver.save("openai", Secret("real"), environ)
    loaded, other = load([OPENAI, ANTHROPIC], environ | {"ANTHROPIC_API_KEY": "real too"})
    assert loaded.service == OPENAI
    assert injection(loaded).inject(REQUEST).headers == [(b"Authorization", b"Bearer real")]
    assert isinstance(loaded.outcome, Loaded)
    assert loaded.outcome.phantom.child_value().startswith("sk-proj-")
    assert injection(other).inject(REQUEST).headers == [(b"x-api-key", b"real too")]


def test_a_login_made_inside_is_a_key_where_there_is_no_other(environ: dict[str, str]) -> None:
    api = Upstream("https", "api.github.com", 443)
    github = OPENAI._replace(name="github", upstream=api, credential_key="env://GITHUB_TOKEN")
    assert "nono run --profile gh -- gh auth login" in str(missing(github, environ).hint)
    granted = Granted("gh/1", ["access_token"], lambda nonces: "{}", None)
    LoginStore(environ).add([Secret("of-login")], ["oauth.gh"], [str(api)], granted)
    for expected, variables in (("of-login", {}), ("real", {"GITHUB_TOKEN": "real"})):
        (loaded,) = load([github], environ | variables)
        [(_, value)] = injection(loaded).inject(REQUEST).headers
        assert value == f"Bearer {expected}".encode()
    resolver.save("github", Secret("stored"), environ)
    (loaded,) = load([github], environ)
    assert injection(loaded).inject(REQUEST).headers == [(b"Authorization", b"Bearer stored")]


def test_a_variable_that_holds_no_key_is_not_passed_over_for_a_stored_one(environ: dict[str, str]) -> None:
    resolver.save("anthropic", Secret("stored"), environ)
    (loaded,) = load([ANTHROPIC], environ)
    assert injection(loaded).inject(REQUEST).headers == [(b"x-api-key", b"stored")]
    broken = missing(ANTHROPIC, environ | {"ANTHROPIC_API_KEY": "two\nlines"})
    assert "control characters" in str(broken)


@pytest.mark.parametrize(
    ("inject", "expected"),
    [
        pytest.param(Inject("basic_auth"), (b"/phantom", [(b"Authorization", b"Basic dTpw")]), id="basic"),
        pytest.param(Inject("query_param", query_param="k"), (b"/phantom?k=u%3Ap", []), id="query"),
        pytest.param(
            Inject("url_path", path_pattern="/{}", path_replacement="/{}"), (b"/u:p", []), id="path"
        ),
    ],
)
def test_the_mode_of_the_service_decides_where_its_key_goes(
    environ: dict[str, str], inject: Inject, expected: object
) -> None:
    (loaded,) = load([ANTHROPIC._replace(inject=inject)], environ | {"ANTHROPIC_API_KEY": "u:p"})
    assert injection(loaded).inject(REQUEST) == expected


def test_responses_are_searched_for_a_key_that_is_long_enough(environ: dict[str, str]) -> None:
    for service in (ANTHROPIC, ANTHROPIC._replace(tripwire=False)):
        (loaded,) = load([service], environ | {"ANTHROPIC_API_KEY": "sk-ant-0123456789abcdef0123456789"})
        assert isinstance(loaded.outcome, Loaded)
        assert loaded.outcome.credential.tripwire() is not None
        assert loaded.warnings == ()
        (short,) = load([service], environ | {"ANTHROPIC_API_KEY": "abc"})
        assert isinstance(short.outcome, Loaded)
        assert short.outcome.credential.tripwire() is None
        assert len(short.warnings) == service.tripwire  # who wants no tripwire needs no warning
        assert "abc" not in "".join(short.warnings)


def test_a_credential_that_is_fetched_later_has_its_phantom_at_once(environ: dict[str, str]) -> None:
    client = OAuth2Client("https://login.test/token", "env://ID", "env://SECRET")
    services = [
        OPENAI._replace(credential_key="", oauth2=client),
        OPENAI._replace(credential_key="", aws=AwsAuth(service="s3", region="eu-west-1")),
        OPENAI._replace(credential_key="cmd://a", capture=Capture("a", ("/bin/true",))),
        ANTHROPIC,
    ]
    environ |= {"ID": "id", "SECRET": "secret", "ANTHROPIC_API_KEY": "x"}
    outcomes = [loaded.outcome for loaded in load(services, environ)]
    kinds = (OAuth2Credential, AwsCredential, CommandCapture, StaticCredential)
    for outcome, kind in zip(outcomes, kinds, strict=True):
        assert isinstance(outcome, Loaded)
        assert isinstance(outcome.credential, kind)
    without = missing(services[0], {**environ, "SECRET": ""})
    assert without.code in ("credential_not_found", "credential_unavailable")


@pytest.mark.parametrize(
    ("auth", "unknown"),
    [
        (AwsAuth(region="eu-west-1"), "service"),
        (AwsAuth(service="s3"), "region"),
        (AwsAuth(service="s3", region="eu-west-1"), None),
    ],
    ids=["no service", "no region", "both"],
)
def test_keys_of_aws_for_a_host_that_names_no_scope_start_nothing(
    auth: AwsAuth, unknown: str | None, environ: dict[str, str]
) -> None:
    service = OPENAI._replace(credential_key="", aws=auth)
    below = service._replace(upstream=service.upstream._replace(host="*.amazonaws.com"))
    assert len(load([below], environ)) == 1  # what is asked for decides
    if unknown is None:
        assert len(load([service], environ)) == 1
        return
    with pytest.raises(CredentialError, match=rf"^credential '{service.name}': .* names no AWS {unknown}$"):
        load([service], environ)


class Reply(NamedTuple):
    status: int
    body: bytes


@pytest.mark.parametrize("auth_method", ["client_secret_post", "client_secret_basic"])
def test_an_oauth2_client_identifies_itself_as_the_profile_says(auth_method: AuthMethod) -> None:
    posted: list[tuple[bytes, Sequence[Header]]] = []

    async def post(url: str, form: bytes, headers: Sequence[Header]) -> Reply:
        posted.append((form, headers))
        return Reply(200, b'{"access_token": "at-canary"}')

    client = OAuth2Client("https://id.test/token", "env://ID", "env://SECRET", auth_method=auth_method)
    service = OPENAI._replace(credential_key="", oauth2=client)
    (loaded,) = Loader({"ID": "me", "SECRET": "s-canary"}, post, nothing).load([service])
    assert isinstance(loaded.outcome, Loaded)
    anyio.run(loaded.outcome.credential.acquire, RequestFacts("api.test", 443, "GET", "/x", "a"))
    ((form, headers),) = posted
    in_form = b"client_secret=s-canary" in form
    in_field = (b"Authorization", b"Basic " + b64encode(b"me:s-canary")) in headers
    assert (in_form, in_field) == (auth_method == "client_secret_post", auth_method == "client_secret_basic")


def test_a_command_is_told_which_session_asks_for_its_credential(environ: dict[str, str]) -> None:
    script = 'echo "canary-of-$NONO_SESSION_ID"'
    service = OPENAI._replace(credential_key="cmd://a", capture=Capture("a", ("/bin/sh", "-c", script)))
    events: list[Event] = []
    loader = Loader(environ, no_post, events.append, session_id="a-session")  # type: ignore[arg-type]  # never called
    (loaded,) = loader.load([service])
    assert isinstance(loaded.outcome, Loaded)
    facts = RequestFacts("api.test", 443, "GET", "/x", "a")
    acquired = anyio.run(loaded.outcome.credential.acquire, facts)
    sent = acquired.inject(REQUEST)
    assert sent.headers == [(b"Authorization", b"Bearer canary-of-a-session")]


def test_one_missing_credential_does_not_keep_the_others_from_loading(environ: dict[str, str]) -> None:
    outcomes = [loaded.outcome for loaded in load([OPENAI, ANTHROPIC], environ | {"ANTHROPIC_API_KEY": "x"})]
    assert isinstance(outcomes[0], Missing)
    assert isinstance(outcomes[1], Loaded)


def test_a_missing_variable_is_credential_not_found(environ: dict[str, str]) -> None:
    outcome = missing(ANTHROPIC, environ)
    assert outcome.code == "credential_not_found"
    assert outcome.hint == "nono credential set anthropic, or export ANTHROPIC_API_KEY"


@pytest.mark.parametrize(("name", "is_found"), [("anthropic", True), ("openai", False)])
def test_what_is_stored_takes_the_place_of_a_variable_that_is_not_set(
    environ: dict[str, str], name: str, is_found: bool
) -> None:
    resolver.save(name, Secret("stored"), environ)
    (loaded,) = load([ANTHROPIC], environ)
    assert isinstance(loaded.outcome, Loaded) == is_found
    if is_found:
        assert injection(loaded).inject(REQUEST).headers == [(b"x-api-key", b"stored")]
    (of_variable,) = load([ANTHROPIC], environ | {"ANTHROPIC_API_KEY": "set"})
    assert injection(of_variable).inject(REQUEST).headers == [(b"x-api-key", b"set")]


GIT = ANTHROPIC._replace(name="git", credential_key="env://GITHUB_TOKEN", env_vars=("GIT_TOKEN",))


@pytest.mark.parametrize(("name", "is_found"), [("github", True), ("git", True), ("gitlab", False)])
def test_a_variable_that_is_not_set_stands_for_the_stored_key_of_whoever_reads_it(
    environ: dict[str, str], name: str, is_found: bool
) -> None:
    resolver.save(name, Secret("stored"), environ)
    (loaded,) = load([GIT], environ)
    assert isinstance(loaded.outcome, Loaded) is is_found
    if isinstance(loaded.outcome, Missing):
        assert loaded.outcome.hint == (
            "nono credential set github, or export GITHUB_TOKEN; a login of gh made inside is for 'github' "
            "only, one made outside is taken by nono credential import gh"
        )


@pytest.mark.parametrize(
    ("variable", "is_named"), [("GH_TOKEN", True), ("GIT_TOKEN", True), ("GITLAB_TOKEN", False)]
)
def test_a_variable_that_has_the_key_under_another_name_is_named(
    environ: dict[str, str], variable: str, is_named: bool
) -> None:
    hint = missing(GIT, environ | {variable: "canary"}).hint
    assert hint is not None
    named = (
        f"{variable} is set in this environment, but service 'git' reads GITHUB_TOKEN: "
        f'export GITHUB_TOKEN="${variable}"'
    )
    assert (hint == named) is is_named
    assert "canary" not in hint


def test_services_with_one_reference_and_one_key_are_known_by_name(environ: dict[str, str]) -> None:
    """Not one whose key is alike by chance, nor one that found another key by the same reference."""
    resolver.save("git", Secret("one key"), environ)
    resolver.save("github", Secret("one key"), environ)
    resolver.save("other", Secret("another"), environ)
    environ |= {"ANTHROPIC_API_KEY": "one key"}
    names = ("git", "github", "other")
    loaded = load([*(GIT._replace(name=name) for name in names), ANTHROPIC], environ)
    assert [each.same_key for each in loaded] == [{"github"}, {"git"}, set(), set()]


class Person(NamedTuple):
    """uses: says yes to a variable. typed: the key for any other question."""

    uses: bool = False
    typed: str | None = None

    def may_use(self, service: str, variable: str) -> bool:
        return self.uses

    def key(self, service: str) -> Secret | None:
        return None if self.typed is None else Secret(self.typed)


@pytest.mark.parametrize(
    ("person", "key"),
    [
        (Person(uses=True, typed="typed"), b"set"),
        (Person(typed="typed"), b"typed"),
        (Person(), None),
        (None, None),
    ],
)
@pytest.mark.parametrize("is_optional", [False, True])
def test_a_person_is_asked_for_a_key_that_is_needed(
    environ: dict[str, str], person: Person | None, key: bytes | None, is_optional: bool
) -> None:
    service = OPENAI._replace(is_optional=is_optional)
    loader = Loader(environ | {"OPENAI_API_KEY": "set"}, no_post, nothing, prompt=person)  # type: ignore[arg-type]  # never called
    (loaded,) = loader.load([service])
    if key is None or is_optional:
        assert isinstance(loaded.outcome, Missing)
    else:
        assert injection(loaded).inject(REQUEST).headers == [(b"Authorization", b"Bearer " + key)]


def test_a_missing_name_is_not_found_where_a_keyring_answers(with_keyring: dict[str, str]) -> None:
    outcome = missing(OPENAI, with_keyring)
    assert outcome == Missing("credential_not_found", outcome.message, "nono credential set openai")


def test_a_missing_name_is_unavailable_where_no_keyring_answers(environ: dict[str, str]) -> None:
    assert missing(OPENAI, environ).code == "credential_unavailable"


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "OPENAI", "OPENAI_TOKEN"])
def test_a_missing_name_whose_variable_is_set_is_hinted_at(environ: dict[str, str], variable: str) -> None:
    hint = missing(OPENAI, environ | {variable: "c4n4ry"}).hint or ""
    assert f"printenv {variable} | nono credential set openai" in hint
    assert "c4n4ry" not in hint


def test_a_value_that_cannot_stand_in_a_header_is_credential_unavailable(environ: dict[str, str]) -> None:
    outcome = missing(ANTHROPIC, environ | {"ANTHROPIC_API_KEY": "c4n4ry€"})
    assert outcome.code == "credential_unavailable"
    assert "c4n4ry" not in outcome.message


def test_a_malformed_reference_is_fatal_before_any_credential_is_read(environ: dict[str, str]) -> None:
    with pytest.raises(CredentialError):
        load([ANTHROPIC, OPENAI._replace(credential_key="nosuch://a")], environ)


@pytest.mark.parametrize(
    ("client_id", "client_secret", "field"),
    [("my app", "env://SECRET", "client_id"), ("env://ID", "my secret", "client_secret")],
)
def test_a_malformed_reference_is_told_with_its_service_and_field(
    environ: dict[str, str], client_id: str, client_secret: str, field: str
) -> None:
    client = OAuth2Client("https://id.test/token", client_id, client_secret)
    with pytest.raises(CredentialError, match=f"credential 'openai': auth.{field}: a credential's name has"):
        load([OPENAI._replace(credential_key="", oauth2=client)], environ)


def test_a_malformed_format_is_fatal(environ: dict[str, str]) -> None:
    broken = ANTHROPIC._replace(inject=Inject(format="no place for it"))
    with pytest.raises(CredentialError, match="credential_format"):
        load([broken], environ | {"ANTHROPIC_API_KEY": "x"})


def test_a_file_that_others_can_read_is_loaded_with_a_warning(environ: dict[str, str]) -> None:
    path = f"{environ['HOME']}/key"
    with open(path, "w") as key:
        key.write("sk-real-0123456789\n")
    os.chmod(path, 0o644)
    loaded = load([OPENAI._replace(credential_key=f"file://{path}")], environ)[0]
    assert isinstance(loaded.outcome, Loaded)
    assert len(loaded.warnings) == 1
