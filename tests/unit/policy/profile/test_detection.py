"""Which profiles the files of a project ask for."""

from __future__ import annotations

import pytest

from nono.policy.builtin import shipped
from nono.policy.profile.detection import detected


@pytest.mark.parametrize(
    ("files", "profiles"),
    [
        (("Cargo.toml", "src"), {"rust-dev": "Cargo.toml"}),
        (("package.json",), {"node-dev": "package.json"}),
        (("package.json", "bun.lock"), {"bun-dev": "bun.lock"}),
        (("setup.py", "pyproject.toml", "go.mod"), {"go-dev": "go.mod", "python-dev": "pyproject.toml"}),
        (("cargo.toml", "README.md"), {}),
    ],
)
def test_a_file_asks_for_its_profile(files: tuple[str, ...], profiles: dict[str, str]) -> None:
    assert detected(files) == profiles
    assert set(profiles) <= set(shipped.profile_names())
