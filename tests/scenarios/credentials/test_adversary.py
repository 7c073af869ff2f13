"""What comes back from an upstream is searched for whatever credential is in use, however many others are."""

from __future__ import annotations

from pathlib import Path

import anyio

from nono.credentials.capture.cache import MAX_WATCHED
from nono.credentials.capture.credential import CommandCapture
from nono.credentials.logins.token_store import LoginStore
from nono.credentials.logins.tokens import Consumer, LoginCredential, LoginTokens
from nono.credentials.values.credential import RequestFacts
from nono.policy.schema.route_rules import Capture, Inject
from nono.secret import Secret

ORIGIN = "https://api.test"


def facts(path: str) -> RequestFacts:
    return RequestFacts("api.test", 443, "GET", path, "alpha")


def test_a_captured_value_is_watched_for_whenever_it_is_used_again(tmp_path: Path) -> None:
    helper = tmp_path / "helper.sh"
    helper.write_text('echo "canary-of-$NONO_CACHE_SCOPE"\n')
    settings = Capture("helper", ("sh", str(helper)), cache_path_regex="^/([a-z0-9-]+)")
    capture = CommandCapture(settings, Inject(), {"PATH": "/usr/bin:/bin"}, lambda event: None)

    async def use_many() -> None:
        for number in range(MAX_WATCHED + 1):
            await capture.acquire(facts(f"/scope-{number}"))

    def is_masked() -> bool:
        tripwire = capture.tripwire()
        return tripwire is not None and tripwire.mask_text(b"you sent canary-of-scope-0") is not None

    anyio.run(use_many)
    assert not is_masked()  # so many are not kept
    assert capture.at_hand(facts("/scope-0")) is not None
    assert is_masked()
    anyio.run(use_many)
    assert not is_masked()
    anyio.run(capture.acquire, facts("/scope-0"))
    assert is_masked()


def test_the_token_of_a_login_is_watched_for_whenever_it_is_used_again(tmp_path: Path) -> None:
    tokens = LoginTokens(LoginStore({"HOME": str(tmp_path)}))
    login = LoginCredential(tokens, Consumer("proxy.acme", ORIGIN))

    def stored(number: int) -> str:
        [nonce] = anyio.run(tokens.store, [Secret(f"canary-of-{number:04}")], ["proxy.acme"], [ORIGIN])
        return nonce

    nonces = [stored(number) for number in range(18)]
    for nonce in nonces[:16]:
        assert login.refusal(nonce) is None
    assert login.refusal(nonces[0]) is None  # used again, so that others go first
    assert login.refusal(nonces[16]) is None
    tripwire = login.tripwire()
    assert tripwire is not None
    assert tripwire.mask_text(b"canary-of-0000") is not None
    assert tripwire.mask_text(b"canary-of-0001") is None
