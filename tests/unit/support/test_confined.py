"""Who runs the tests on a confined host."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from confined.__main__ import account, environment


@pytest.fixture(autouse=True)
def ordinary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def test_an_ordinary_user_becomes_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwnam", lambda name: pwd.struct_passwd((name, "x", 1001, 1001, "", "/", "")))
    with account() as user:
        assert user is None


def test_who_becomes_nobody_else_keeps_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert environment(None)["HOME"] == str(tmp_path)
