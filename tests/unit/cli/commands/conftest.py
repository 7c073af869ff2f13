"""Keep commands that run in the tests' own process from changing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from nono.credentials.signing import keystore
from nono.credentials.signing.key import SigningKey
from nono.kernel import process


@pytest.fixture(autouse=True)
def key_steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what a command does about its keys, in order: "private" for its memory, "read" for a key.

    The worker stays dumpable; what other tests look for in /proc would be root's.
    """
    steps: list[str] = []
    load = keystore.load

    def loaded(reference: str, environ: Mapping[str, str], warn: Callable[[str], None]) -> SigningKey:
        steps.append("read")
        return load(reference, environ, warn)

    monkeypatch.setattr(process, "keep_memory_private", lambda: steps.append("private"))
    monkeypatch.setattr(keystore, "load", loaded)
    return steps
