"""nono.policy.suggestions: the command that adds an extra names what pyproject.toml does, and no more."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest

from nono.policy.suggestions import EXTRAS, install_command

ROOT = Path(__file__).parents[3]


def test_the_packages_of_each_extra_are_those_of_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {name: [*packages] for name, packages in EXTRAS.items()} == project["optional-dependencies"]


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_command_never_names_a_package_nono(extra: str) -> None:
    words = shlex.split(install_command(extra))
    assert words == ["pip", "--python", sys.executable, "install", *EXTRAS[extra]]


def test_nothing_installs_what_has_the_name_nono_on_pypi() -> None:
    fetch = re.compile(r"(?:pip|pipx|uv tool) (?:install|run)(?: -\S+)* [\"']?nono(?![\w./-])|\buvx nono\b")
    files = [path for room in ("nono", "docs", "docker") for path in (ROOT / room).rglob("*")]
    texts = {path: path.read_bytes().decode(errors="replace") for path in files if path.is_file()}
    assert [path for path, text in texts.items() if fetch.search(text)] == []
