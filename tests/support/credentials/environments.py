"""Provide as fixtures an environment with a home of its own, with and without a keyring."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fake_keyring import Memory, Stuck


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}


@pytest.fixture
def with_keyring(environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """Yield the same environment with a keyring that works."""
    Memory.entries.clear()
    yield environ | {"PYTHON_KEYRING_BACKEND": "support.fake_keyring.Memory"}
    Memory.entries.clear()


@pytest.fixture
def with_stuck_keyring(environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """Yield the same environment with a keyring that exists but never answers."""
    Stuck.released.clear()
    yield environ | {"PYTHON_KEYRING_BACKEND": "support.fake_keyring.Stuck", "NONO_KEYRING_TIMEOUT_SECS": "1"}
    Stuck.released.set()
