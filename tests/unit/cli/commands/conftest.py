"""Keep commands that run in the tests' own process from changing it."""

from __future__ import annotations

import pytest

from nono.kernel import process


@pytest.fixture(autouse=True)
def stays_dumpable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no command make the worker undumpable; what other tests look for in /proc would be root's."""
    monkeypatch.setattr(process, "keep_memory_private", lambda: None)
