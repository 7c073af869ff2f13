"""Redaction of command lines: each kind of secret beside the innocent text that differs in one thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.audit import redact
from nono.audit.redact import (
    ENV_NAMES,
    FLAGS,
    HEADERS,
    QUERY_KEYS,
    USUAL,
    Redaction,
    redact_argv,
    redact_text,
    redaction_of,
)
from nono.policy.builtin import shipped
from nono.settings.user_config import RedactionNames

R = "[REDACTED]"
RANDOM = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0"
WORDS = "learn-pipeline-of-the-team-cache"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        pytest.param(["x", "--token", "abc", "y"], ["x", "--token", R, "y"], id="flag, next argument"),
        pytest.param(["x", "--tokens", "abc"], ["x", "--tokens", "abc"], id="another flag"),
        pytest.param(["x", "--TOKEN", "abc"], ["x", "--TOKEN", R], id="flag in capitals"),
        pytest.param(["x", "--api-key=abc"], ["x", f"--api-key={R}"], id="flag with ="),
        pytest.param(["x", "--api-key=a b"], ["x", f"--api-key={R}"], id="flag with = and a blank"),
        pytest.param(["x", "--token", "--password", "p"], ["x", "--token", R, "p"], id="a value like a flag"),
        pytest.param(["x", "--token"], ["x", "--token"], id="flag without a value"),
        pytest.param(["-H", "Authorization: Bearer abc"], ["-H", f"Authorization: {R}"], id="header"),
        pytest.param(["-H", "Accept: text/html"], ["-H", "Accept: text/html"], id="another header"),
        pytest.param(["-HX-Api-Key:abc"], [f"-HX-Api-Key:{R}"], id="header glued to its flag"),
        pytest.param(["--header=cookie: a=b; c=d"], [f"--header=cookie: {R}"], id="header behind ="),
        pytest.param(["sh", "-c", "x --\u017fecret v"], ["sh", "-c", f"x --\u017fecret {R}"], id="a long s"),
        pytest.param(["https://u:p@h/x"], [f"https://{R}@h/x"], id="URL, user and password"),
        pytest.param(["https://tok@h/x"], [f"https://{R}@h/x"], id="URL, user only"),
        pytest.param(["https://u:p@ss@h/x"], [f"https://{R}@h/x"], id="URL, @ in the password"),
        pytest.param(["https://h/x@y"], ["https://h/x@y"], id="URL, @ in the path"),
        pytest.param(["https://h/x?a=1&key=abc&b=2"], [f"https://h/x?a=1&key={R}&b=2"], id="URL, query"),
        pytest.param(["https://h/x?a=1;Code=abc"], [f"https://h/x?a=1;Code={R}"], id="URL, query behind ;"),
        pytest.param(["https://h/x?monkey=abc"], ["https://h/x?monkey=abc"], id="URL, longer key"),
        pytest.param(["https://h/#access_token=abc"], [f"https://h/#access_token={R}"], id="URL, fragment"),
        pytest.param(["OPENAI_API_KEY=abc", "x"], [f"OPENAI_API_KEY={R}", "x"], id="assignment"),
        pytest.param(["openai_api_key='a b' c"], [f"openai_api_key={R} c"], id="assignment, quoted"),
        pytest.param(["MY_OPENAI_API_KEYS_URL=abc"], ["MY_OPENAI_API_KEYS_URL=abc"], id="another variable"),
        pytest.param(
            ["sh", "-c", 'GH_TOKEN="a b" curl -H "Cookie: x y" https://u:p@h --auth z && echo ok'],
            ["sh", "-c", f'GH_TOKEN={R} curl -H "Cookie: {R}" https://{R}@h --auth {R} && echo ok'],
            id="all of it inside one argument",
        ),
        pytest.param(["curl", "-u", "a:b", "h"], ["curl", "-u", R, "h"], id="curl, user"),
        pytest.param(["curl", "-sSfua:b", "h"], ["curl", f"-sSfu{R}", "h"], id="curl, letters together"),
        pytest.param(["curl", "-su", "a:b", "h"], ["curl", "-su", R, "h"], id="curl, letters, next argument"),
        pytest.param(["curl", "-ou", "a:b"], ["curl", "-ou", "a:b"], id="curl, a file called u"),
        pytest.param(["/usr/bin/curl", "--user=a:b"], ["/usr/bin/curl", f"--user={R}"], id="curl, long"),
        pytest.param(["curl", "--user=", "h"], ["curl", "--user=", "h"], id="curl, empty"),
        pytest.param(["curl", "--user-agent", "a"], ["curl", "--user-agent", "a"], id="curl, another option"),
        pytest.param(["sudo", "-u", "a", "curl", "h"], ["sudo", "-u", "a", "curl", "h"], id="user of sudo"),
        pytest.param(["env", "X=1", "curl", "-u", "a:b"], ["env", "X=1", "curl", "-u", R], id="curl of env"),
        pytest.param(["git", "push", "-u", "a"], ["git", "push", "-u", "a"], id="upstream of git"),
        pytest.param(
            ["wget", "https://h/curl", "-U", "a"], ["wget", "https://h/curl", "-U", "a"], id="of a URL"
        ),
        pytest.param(["mysql", "-psecret", "db"], ["mysql", f"-p{R}", "db"], id="mysql, glued"),
        pytest.param(["mysql", "-p", "db"], ["mysql", "-p", "db"], id="mysql asks"),
        pytest.param(["docker", "login", "-p", "x"], ["docker", "login", "-p", R], id="docker login"),
        pytest.param(["docker", "run", "-p", "80"], ["docker", "run", "-p", "80"], id="port of docker"),
        pytest.param(
            ["sshpass", "-p", "x", "ssh", "-p", "22"],
            ["sshpass", "-p", R, "ssh", "-p", "22"],
            id="sshpass, ssh",
        ),
        pytest.param(
            ["sh", "-c", "curl -s -u 'a:b c' h | sudo -u x tee f; mysql -p\"x y\" d && curl -u"],
            ["sh", "-c", f"curl -s -u {R} h | sudo -u x tee f; mysql -p{R} d && curl -u"],
            id="programs inside one argument",
        ),
        pytest.param([f"sk-proj-{RANDOM}"], [R], id="a provider's token"),
        pytest.param([f"sk-{WORDS}"], [f"sk-{WORDS}"], id="words like a token"),
        pytest.param(
            ["sh", "-c", f"x=ghp_{RANDOM}; y='glpat-{RANDOM}' z"],
            ["sh", "-c", f"x={R}; y='{R}' z"],
            id="tokens inside one argument",
        ),
        pytest.param([f"a {JWT} b"], [f"a {R} b"], id="a JWT"),
        pytest.param([JWT.split(".")[0]], [JWT.split(".")[0]], id="base64 of JSON"),
        pytest.param(
            ["https://hooks.slack.com/services/T0/B0/abc?x"],
            [f"https://hooks.slack.com/services/{R}?x"],
            id="the path of a webhook",
        ),
        pytest.param(["a -----BEGIN PRIVATE KEY-----\nMIIE"], [f"a {R}"], id="a private key"),
        pytest.param(["-----BEGIN CERTIFICATE-----"], ["-----BEGIN CERTIFICATE-----"], id="a certificate"),
    ],
)
def test_a_command_line_is_redacted(argv: list[str], expected: list[str]) -> None:
    assert redact_argv(argv) == expected


@pytest.mark.parametrize(
    "piece",
    [
        *("eyJ", "eyJ.eyJ", "hooks.slack.com/services/", "sk-", " sk-a", "://", "curl -u a ", "zip -P';"),
        *("token: ", '"token": ', 'token:\\"', "token : 'x", '"token":"', 'token:"\\"', '"key":"\\"'),
        *("token:''", r"token:'/a\'"),
    ],
)
def test_a_long_argument_takes_linear_time(piece: str) -> None:
    """This many pieces would take minutes, if each were searched to the end."""
    redact_text(piece * 100_000)


@given(st.text(), st.sampled_from([f"ghp_{RANDOM}", f"sk-ant-api03-{RANDOM}", JWT]), st.text())
def test_no_token_is_kept_that_stands_by_itself(before: str, token: str, after: str) -> None:
    assert token not in redact_text(f"{before} {token} {after}")


CANARY = "c4n4ry"
CARRIERS = (
    [[flag, CANARY] for flag in FLAGS]
    + [[f"{flag}={CANARY}"] for flag in FLAGS]
    + [[f"{header}: {CANARY}"] for header in HEADERS]
    + [[f"https://h/?{key}={CANARY}"] for key in QUERY_KEYS]
    + [[f"{name}={CANARY}"] for name in ENV_NAMES]
    + [[f"https://{CANARY}@h/"], [f"postgres://u:{CANARY}@h/"]]
)


@given(
    st.sampled_from(CARRIERS),
    st.booleans(),
    st.lists(st.text(st.characters(exclude_characters="-")), max_size=3),
)
def test_no_listed_carrier_keeps_its_value(carrier: list[str], upper: bool, before: list[str]) -> None:
    spelled = [part.upper().replace(CANARY.upper(), CANARY) if upper else part for part in carrier]
    assert CANARY not in "\n".join(redact_argv([*before, *spelled]))


@pytest.mark.parametrize(
    "variable",
    sorted(
        variable
        for fields in shipped.network_policy().services.values()
        for variable in fields["env_vars"]
        if variable.endswith(("_KEY", "_TOKEN"))  # no client reads the others, such as OPENAI
    ),
)
def test_the_key_of_a_shipped_service_is_not_kept(variable: str) -> None:
    assert redact_text(f"env {variable}={CANARY} MODEL=m agent") == f"env {variable}={R} MODEL=m agent"


def test_a_variable_that_is_listed_nowhere_is_redacted_by_what_its_name_says() -> None:
    argv = ["env", "DB_PASSWORD=hunter2", "sh", "-c", "PGPASSWORD='a b' psql --x=y", "--npm-token=c"]
    assert redact_argv(argv) == [
        "env",
        f"DB_PASSWORD={R}",
        "sh",
        "-c",
        f"PGPASSWORD={R} psql --x=y",
        f"--npm-token={R}",
    ]
    assert redact_text(f"export MY_SECRET={CANARY}\nMODEL=m") == f"export MY_SECRET={R}\nMODEL=m"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('{"password": "p w", "a": 1}', f'{{"password": "{R}", "a": 1}}', id="JSON"),
        pytest.param('{"passwords_url": {"a": "b"}}', '{"passwords_url": {"a": "b"}}', id="an object"),
        pytest.param('{"my_secret":"x"}', f'{{"my_secret":"{R}"}}', id="JSON without blanks"),
        pytest.param('{"my_name":"x"}', '{"my_name":"x"}', id="another name"),
        pytest.param('{"password": null, "a": 1}', '{"password": null, "a": 1}', id="null"),
        pytest.param(r"{\"api_key\":\"x y\"}", rf"{{\"api_key\":\"{R}\"}}", id="JSON in quotes of a shell"),
        pytest.param(
            '{"Authorization": "Bearer x", "Accept": "y z"}',
            f'{{"Authorization": "{R}", "Accept": "y z"}}',
            id="headers",
        ),
        pytest.param(r'{"password": "p\"w", "a": 1}', f'{{"password": "{R}", "a": 1}}', id="a quote in it"),
        pytest.param(
            r'{"password": "pw\\", "a": "b"}', f'{{"password": "{R}", "a": "b"}}', id="a backslash at its end"
        ),
        pytest.param(
            r"{\"api_key\":\"x\\\"y\"} z", rf"{{\"api_key\":\"{R}\"}} z", id="a quote in quotes of a shell"
        ),
        pytest.param("password: 'it''s x' # y", f"password: '{R}' # y", id="a quote of YAML"),
        pytest.param("password: '' # 'y'", "password: '' # 'y'", id="nothing in quotes"),
        pytest.param("{'token': 'x'}", f"{{'token': '{R}'}}", id="single quotes"),
        pytest.param("{password:'x'}", f"{{password:'{R}'}}", id="JavaScript"),
        pytest.param("password: x\nuser: me", f"password: {R}\nuser: me", id="YAML"),
        pytest.param("password:\n  user: me", "password:\n  user: me", id="a mapping of YAML"),
        pytest.param("max_tokens: 100", "max_tokens: 100", id="a count of tokens"),
        pytest.param("run secret:1.2", "run secret:1.2", id="the tag of an image"),
        pytest.param("http://token:80/ a: b", "http://token:80/ a: b", id="a host"),
    ],
)
def test_a_member_of_json_or_yaml_is_redacted_by_what_its_name_says(text: str, expected: str) -> None:
    assert redact_text(text) == redact_text(expected) == expected


def test_a_name_that_a_person_has_removed_is_kept_though_it_says_secret() -> None:
    less = redaction_of(RedactionNames(remove_env_names=("GITHUB_TOKEN",), remove_flags=("--password",)))
    argv = ["GITHUB_TOKEN=a", "--password=b", "GITLAB_TOKEN=c", "--db-password=d"]
    assert redact_argv(argv, less) == [*argv[:2], f"GITLAB_TOKEN={R}", f"--db-password={R}"]


@given(st.lists(st.text()))
def test_redaction_keeps_the_number_of_arguments(argv: list[str]) -> None:
    assert len(redact_argv(argv)) == len(argv)


@given(st.text(alphabet="abc /.=:@?&-_"))
def test_text_without_a_listed_name_or_userinfo_is_left_alone(text: str) -> None:
    if "://" not in text:
        assert redact_text(text) == text


PIECES = st.sampled_from(
    [
        *FLAGS,
        *HEADERS,
        *QUERY_KEYS,
        *ENV_NAMES,
        *"?&;#=:@ \t'\"-/",
        "://",
        "-H",
        "\u017f",
        "\u0131",
        "\u212a",
        "x",
        "MINE",
    ]
)
NAMES = st.lists(st.sampled_from(["mine", "\u017f", "s", "-p", "\u212a"]), max_size=2)


@given(st.lists(st.one_of(PIECES, PIECES.map(str.upper), st.text(max_size=2)), max_size=12), NAMES)
def test_what_is_not_searched_has_nothing_to_find(pieces: list[str], names: list[str]) -> None:
    text = "".join(pieces)
    own = redaction_of(RedactionNames(add_flags=tuple(names), add_env_names=tuple(names)))
    for redaction in (USUAL, own):
        found = redact_text(text, redaction)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(redact, "_holds_name", lambda *_: True)
            assert redact_text(text, redaction) == found


def test_names_that_a_person_adds_are_looked_for_too() -> None:
    own = redaction_of(
        RedactionNames(
            add_flags=("--Pin",), add_headers=("X-Mine",), add_query_keys=("sig",), add_env_names=("MY_KEY",)
        )
    )
    argv = ["x", "--pin", "1", "--PIN=2", "-HX-MINE: 3", "https://h/?sig=4", "MY_KEY=5", "--token", "6"]
    redacted = ["x", "--pin", R, f"--PIN={R}", f"-HX-MINE: {R}", f"https://h/?sig={R}", f"MY_KEY={R}"]
    assert redact_argv(argv, own) == [*redacted, "--token", R]
    assert redact_argv(argv)[:7] == argv[:7]
    assert own.difference() == {
        "added_flags": ["--Pin"],
        "added_headers": ["X-Mine"],
        "added_query_keys": ["sig"],
        "added_env_names": ["MY_KEY"],
    }


def test_a_removed_name_is_no_longer_looked_for() -> None:
    less = redaction_of(RedactionNames(remove_flags=("--AUTH",), add_headers=("Cookie",)))
    assert redact_argv(["--auth", "a", "--token", "b"], less) == ["--auth", "a", "--token", R]
    assert less.difference() == {"removed_flags": ["--auth"]}


def test_no_names_at_all_hide_nothing_but_what_a_url_says() -> None:
    none = Redaction((), (), (), ())
    assert (
        redact_text("=1 : 2 --token x https://u:p@h/?key=1", none) == f"=1 : 2 --token x https://{R}@h/?key=1"
    )


@given(st.lists(st.text(min_size=1), max_size=3), st.text())
def test_added_names_are_no_patterns(names: list[str], text: str) -> None:
    own = redaction_of(RedactionNames(add_flags=tuple(names), add_query_keys=tuple(names)))
    redact_argv([text], own)
    assert redact_text("a.b=c x", redaction_of(RedactionNames(add_env_names=("a+b", "a|b")))) == "a.b=c x"
