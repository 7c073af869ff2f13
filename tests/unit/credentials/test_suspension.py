"""Tokens and keys expire while the machine is suspended: what was fetched before is not sent after it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import anyio
import pytest

from nono.credentials.aws.credential import AwsCredential
from nono.credentials.capture.credential import CommandCapture
from nono.credentials.oauth2.credential import OAuth2Credential
from nono.credentials.oauth2.token_endpoint import TokenReply
from nono.credentials.values.credential import Header, Injection, RequestFacts
from nono.policy.schema.route_rules import AwsAuth, Capture, Inject
from nono.secret import Secret

FACTS = RequestFacts("bedrock-runtime.eu-west-1.amazonaws.com", 443, "POST", "/", "a")
HOUR_S = 3600.0

type Made = OAuth2Credential | CommandCapture | AwsCredential


class Reply(NamedTuple):
    status: int
    body: bytes


def of_oauth2() -> Made:
    async def post(url: str, form: bytes, headers: Sequence[Header]) -> TokenReply:
        body = {"access_token": "a-token", "token_type": "Bearer", "expires_in": HOUR_S / 2}
        return Reply(200, json.dumps(body).encode())

    return OAuth2Credential("https://a.test/", Secret("id"), Secret("secret"), post=post, inject=Inject())


def of_command() -> Made:
    capture = Capture("helper", ("echo", "a-token"), cache_ttl_s=HOUR_S / 2)
    return CommandCapture(capture, Inject(), {"PATH": "/usr/bin:/bin"}, lambda event: None)


def of_aws() -> Made:
    return AwsCredential(AwsAuth(), {}, lambda command: None)


@pytest.mark.parametrize("make", [of_oauth2, of_command, of_aws])
def test_what_expired_meanwhile_is_fetched_again(
    make: Callable[[], Made], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    suspended_s = 0.0
    since_boot = time.clock_gettime
    monkeypatch.setattr(
        time,
        "clock_gettime",
        lambda clock: since_boot(clock) + (suspended_s if clock == time.CLOCK_BOOTTIME else 0.0),
    )
    found = list[Injection | None]()

    async def main() -> None:
        nonlocal suspended_s
        credential = make()
        await credential.acquire(FACTS)
        found.append(credential.at_hand(FACTS))
        suspended_s = HOUR_S
        found.append(credential.at_hand(FACTS))

    anyio.run(main, backend_options={"use_uvloop": True})
    before, after = found
    assert before is not None
    assert after is None
