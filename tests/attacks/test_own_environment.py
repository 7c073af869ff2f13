"""nono's own installation, as a command finds it: to be run, not to be changed, and in nobody's way."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.nono_run import NO_NAMESPACES, NONO, NonoRun, nono_run

pytestmark = pytest.mark.any_user

BIN = Path(sys.executable).parent
pytestmark = pytest.mark.skipif(
    sys.prefix == sys.base_prefix or not (BIN / "nono").exists(),
    reason="nono is in no environment of its own",
)


@pytest.fixture
def runner() -> Iterator[NonoRun]:
    with nono_run() as made:
        yield made


def inside(runner: NonoRun, script: str, *flags: str) -> str:
    """Run a script inside, started as README says, with nono's environment first on PATH."""
    done = runner.user.run(
        [*NONO, "run", "--silent", "--allow=.", *flags, "--", "sh", "-c", script],
        cwd=runner.project,
        environment={"PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin"},
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("way", ["--namespaces=auto", NO_NAMESPACES])
def test_an_agent_asks_nono_about_itself(runner: NonoRun, way: str) -> None:
    said = inside(runner, "nono why --self --path ~/.ssh/id_rsa", way)
    assert "DENIED" in said
    assert "deny_credentials" in said


@pytest.mark.skipif(not shutil.which("python3", path="/usr/bin"), reason="no other Python is installed")
def test_the_python_of_the_system_is_found(runner: NonoRun) -> None:
    assert inside(runner, "command -v python3") == "/usr/bin/python3\n"
    assert str(BIN) not in inside(runner, "echo $PATH").split(":")


def test_an_environment_that_is_granted_stays_on_the_path(runner: NonoRun) -> None:
    assert inside(runner, "command -v python3", f"--read={sys.prefix}") == f"{BIN}/python3\n"


def test_nothing_of_it_can_be_changed(runner: NonoRun) -> None:
    places = 'd=$(dirname "$(command -v nono)"); touch $d/x; ln -sf /bin/sh $d/nono; rm $d/nono; '
    said = inside(runner, places + f"touch {sys.prefix}/x; command -v nono")
    assert len([line for line in said.splitlines() if "denied" in line.lower()]) >= 3
    assert "DENIED" in inside(runner, "nono why --self --path ~/.ssh/id_rsa")
    assert not (Path(sys.prefix) / "x").exists()


def test_what_is_denied_of_it_is_not_opened(runner: NonoRun) -> None:
    profile = runner.user.home / "p.json"
    profile.write_text('{"filesystem": {"deny": ["%s"]}}' % (Path(sys.prefix) / "pyvenv.cfg"))
    assert "denied" in inside(runner, f"cat {sys.prefix}/pyvenv.cfg", f"--profile={profile}")
    assert "home =" in inside(runner, f"cat {sys.prefix}/pyvenv.cfg")
