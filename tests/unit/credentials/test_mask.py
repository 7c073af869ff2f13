"""What is recorded holds no secret of the run, in any spelling, whether or not a request carries it."""

from __future__ import annotations

import pytest

from nono.credentials.mask import mask_of
from nono.credentials.phantom import SessionToken
from nono.credentials.static import StaticCredential
from nono.credentials.values.injection import injection_of
from nono.credentials.values.tripwire import Tripwire, tripwire_for
from nono.policy.schema.route_rules import Inject
from nono.secret import Secret

KEY, UNSENT = "canary+8Zq2/mT5vWx7Yb1Nc4Kd==", "canary-of-a-signing-key-0123456789"


class Signing(StaticCredential):
    """A credential that signs with a key."""

    def unsent(self) -> Tripwire | None:
        return tripwire_for([Secret(UNSENT)])


@pytest.mark.parametrize(
    "text",
    [
        f"key={KEY}",
        "key=canary&#43;8Zq2/mT5vWx7Yb1Nc4Kd&#61;&#61;",
        "key=canary%2B8Zq2%2FmT5vWx7Yb1Nc4Kd%3D=",
        "key=canary\\u002b8Zq2\\/mT5vWx7Yb1Nc4Kd==",
        f"key={UNSENT}",
    ],
    ids=["plain", "HTML", "URL", "JSON", "what signs"],
)
def test_no_spelling_of_a_secret_is_recorded(text: str) -> None:
    credential = Signing(injection_of(Inject(), Secret(KEY)), tripwire_for([Secret(KEY)]))
    mask = mask_of(SessionToken(Secret("session-token-0123456789")), [], [credential])
    assert mask(text.encode()) == b"key=" + b"*" * (len(text) - 4)
    assert mask(text.replace("anary", "anery").encode()) == text.replace("anary", "anery").encode()
