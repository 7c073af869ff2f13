"""A login made inside as the key of a service, in later runs that ask for it."""

from __future__ import annotations

import pytest

from nono.credentials.logins.service_key import login_key
from nono.credentials.logins.token_store import Granted, LoginStore
from nono.credentials.values.errors import CredentialUnavailable
from nono.secret import Secret

API = "https://api.github.com"
CONSUMERS, ORIGINS = ["oauth.gh", "proxy.gh"], ["https://github.com", API]


def log_in(environ: dict[str, str], token: str, login: str | None, field: str = "access_token") -> None:
    LoginStore(environ).add(
        [Secret(token)], CONSUMERS, ORIGINS, Granted(login, [field], lambda nonces: "{}", None)
    )


def test_the_login_made_last_is_the_key(environ: dict[str, str]) -> None:
    assert login_key("github", API, environ) is None
    log_in(environ, "first", "gh/1")
    log_in(environ, "second", "gh/2")
    assert login_key("github", API, environ) == Secret("second")


@pytest.mark.parametrize("origin", ["https://github.example", "http://api.github.com", f"{API}:8443"])
def test_a_login_is_no_key_for_a_host_that_it_is_not_for(environ: dict[str, str], origin: str) -> None:
    log_in(environ, "token", "gh/1")
    assert login_key("github", origin, environ) is None


def test_a_login_is_the_key_of_its_own_service_alone(environ: dict[str, str]) -> None:
    log_in(environ, "token", "gh/1")
    assert login_key("gitlab", API, environ) is None
    assert login_key("gh", API, environ) is None


@pytest.mark.parametrize(
    ("login", "field"),
    [(None, "access_token"), ("codex/1", "access_token"), ("gh", "access_token"), ("gh/1", "refresh_token")],
)
def test_what_no_login_by_device_code_gave_is_no_key(
    environ: dict[str, str], login: str | None, field: str
) -> None:
    log_in(environ, "token", login, field)
    assert login_key("github", API, environ) is None


def test_a_store_that_cannot_be_read_is_no_login_but_an_error(environ: dict[str, str]) -> None:
    log_in(environ, "token", "gh/1")
    with open(LoginStore(environ).path, "w") as file:
        file.write("{")
    with pytest.raises(CredentialUnavailable):
        login_key("github", API, environ)
