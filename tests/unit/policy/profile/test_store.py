"""Loading a profile for a long run: it is what it is otherwise, and pydantic is not left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nono.errors import ProfileError
from nono.policy.profile.store import load, load_profile

DOCUMENT = {
    "extends": "python-dev",
    "security": {"wsl2_proxy_policy": "insecure_proxy"},
    "network": {
        "allow_domain": ["a.test", {"domain": "b.test", "endpoints": [{"method": "GET", "path": "/x"}]}],
        "custom_credentials": {"own": {"upstream": "https://c.test", "credential_key": "env://KEY"}},
    },
}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    directory = tmp_path / ".config/nono/profiles"
    directory.mkdir(parents=True)
    (directory / "mine.json").write_text(json.dumps(DOCUMENT))
    (directory / "wrong.json").write_text('{"network": {"block": "yes"}}')
    return {"HOME": str(tmp_path)}


@pytest.mark.parametrize("by_path", [False, True])
def test_it_is_the_same_profile(environ: dict[str, str], by_path: bool) -> None:
    reference = f"{environ['HOME']}/.config/nono/profiles/mine.json" if by_path else "mine"
    assert load(reference, environ, long_lived=True).profile == load_profile(reference, environ)


def test_a_shipped_one_is_the_same(environ: dict[str, str]) -> None:
    assert load("python-dev", environ, long_lived=True).profile == load_profile("python-dev", environ)


@pytest.mark.parametrize("reference", ["wrong", "absent", "./absent.json"])
def test_a_mistake_is_the_same_error(environ: dict[str, str], reference: str) -> None:
    with pytest.raises(ProfileError) as expected:
        load_profile(reference, environ)
    with pytest.raises(ProfileError) as raised:
        load(reference, environ, long_lived=True)
    assert (raised.value.message, raised.value.hint) == (expected.value.message, expected.value.hint)


def test_pydantic_stays_outside(environ: dict[str, str]) -> None:
    code = (
        "import sys; from nono.policy.profile.store import load; "
        f"load('mine', {environ!r}, long_lived=True); print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
