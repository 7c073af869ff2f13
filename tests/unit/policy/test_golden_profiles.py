"""What every shipped profile comes to, on Linux and on WSL2, is what was looked at and written down."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nono.policy.builtin import shipped
from support.profiles.golden import DIRECTORY, WSL2, golden

ROOT = Path(__file__).parents[3]
KERNELSIM = ROOT / "tests/support/kernelsim"


@pytest.mark.parametrize("name", shipped.profile_names())
def test_a_shipped_profile_comes_to_what_was_written_down(name: str) -> None:
    expected = (DIRECTORY / f"{name}.json").read_text(encoding="utf-8")
    assert golden(name) == expected, "look at the difference, then: make golden"


def test_nothing_is_written_down_for_a_profile_that_is_gone() -> None:
    assert {path.stem for path in DIRECTORY.glob("*.json")} == set(shipped.profile_names())


def test_no_shipped_profile_runs_unenforced_on_wsl2() -> None:
    for name in shipped.profile_names():
        shown = json.loads(golden(name))
        assert shown["policy"]["network"] != "proxy" or "refused" in shown["wsl2"], name


@pytest.mark.needs("mounts", "place for a listener", suite=True)
def test_the_facts_of_wsl2_are_those_of_the_simulation() -> None:
    code = (
        "from nono.sandbox import probe; import json; facts = probe.host_facts(network=True);"
        "print(json.dumps([facts.landlock_abi, facts.listener, facts.listener_detail, facts.is_wsl2]))"
    )
    switches = ["--wsl2", "--notify-busy", "--landlock-abi", "3"]
    command = [sys.executable, str(KERNELSIM), *switches, "--", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=60)
    expected = [WSL2.landlock_abi, WSL2.listener, WSL2.listener_detail, WSL2.is_wsl2]
    assert json.loads(done.stdout) == expected
