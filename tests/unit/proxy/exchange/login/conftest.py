"""Logins inside the sandbox: the provider gives real tokens, and the command only ever has phantoms."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from support.proxy.login_stage import Make, Scene, login_scene
from support.servers.http1 import Authority


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir()
    return {"HOME": str(home)}


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    authority = Authority(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", authority.ca_file)  # what a context made from now on trusts
    return authority


@pytest.fixture
def make(authority: Authority, environ: dict[str, str]) -> Make:
    """Return a function that makes scenes with the options of login_scene."""
    return partial(login_scene, authority, environ)


@pytest.fixture
def scene(make: Make) -> Iterator[Scene]:
    with make() as made:
        yield made
