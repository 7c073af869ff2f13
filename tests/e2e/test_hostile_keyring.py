"""A Secret Service that lies, is silent or says too much, on a D-Bus session of its own.

Debian package: dbus-daemon.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.credentials import hostile_service

pytestmark = pytest.mark.skipif(
    shutil.which("dbus-run-session") is None, reason="not installed: dbus-run-session (Debian: dbus-daemon)"
)

TESTS = Path(__file__).parents[1]
SCRIPT = """
PYTHONPATH=$TESTS "$PYTHON" -m support.credentials.hostile_service "$1" > "$HOME/service" 2>&1 &
service=$!
trap 'kill $service; wait $service || true' EXIT
until grep -q ready "$HOME/service"; do kill -0 $service; sleep 0.05; done
shift
"$PYTHON" -m nono "$@"
"""
TEST = ("credential", "test", "keyring://nono/openai")

Nono = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def nono(tmp_path: Path) -> Nono:
    """Run nono with these arguments beside a service that behaves as the first one says."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "PYTHON": sys.executable,
        "TESTS": str(TESTS),
    }

    def run(
        how: str, *argv: str, script: str = SCRIPT, unlock_s: int = 2
    ) -> subprocess.CompletedProcess[str]:
        command = ["dbus-run-session", "--", "sh", "-ec", script, "sh", how, *argv]
        return subprocess.run(
            command,
            env={**environ, "NONO_KEYRING_TIMEOUT_SECS": str(unlock_s)},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def test_a_key_of_a_usual_length_is_read(nono: Nono) -> None:
    done = nono("size=64", *TEST)
    assert (done.returncode, done.stdout) == (0, "'keyring://nono/openai' can be read.\n"), done.stderr


@pytest.mark.parametrize("size", [64 * 1024 + 1, 8_000_000])
def test_a_key_that_is_too_long_is_refused(nono: Nono, size: int) -> None:
    done = nono(f"size={size}", *TEST)
    assert done.returncode == 1
    assert "longer than 64 KiB, which no credential is" in done.stderr


@pytest.mark.parametrize("how", ["dismissed", "lies"])
def test_a_prompt_that_unlocks_nothing_leaves_the_keyring_locked(nono: Nono, how: str) -> None:
    done = nono(f"prompt={how}", *TEST, unlock_s=30)
    assert done.returncode == 1
    assert "the system keyring is locked, and was not unlocked" in done.stderr


@pytest.mark.parametrize(
    "how", ["prompt=never", "silent=OpenSession", "silent=SearchItems", "silent=GetSecret"]
)
def test_a_service_that_does_not_answer_is_given_up(nono: Nono, how: str) -> None:
    done = nono(how, *TEST)
    assert done.returncode == 1
    assert "the system keyring did not answer within 2 s" in done.stderr


def test_a_daemon_that_is_stuck_is_not_waited_for_as_a_person_is(nono: Nono) -> None:
    """It has its name on the bus; NONO_KEYRING_TIMEOUT_SECS is the time a person has to unlock it."""
    done = nono("silent=*", *TEST, unlock_s=30)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the system keyring did not answer within 2 s" in done.stderr
    asked = nono("prompt=never", *TEST, unlock_s=1)
    assert "the system keyring did not answer within 1 s" in asked.stderr


def test_a_key_goes_to_the_embedded_store_where_the_daemon_is_stuck(nono: Nono) -> None:
    script = f"echo k-123456789 | {{ {SCRIPT} }}"
    done = nono("silent=*", "credential", "set", "openai", script=script, unlock_s=100)
    assert done.returncode == 0, done.stderr
    assert "credentials.json" in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["TERM", "HUP"])
def test_a_signal_ends_a_run_that_waits_for_a_person(nono: Nono, name: str) -> None:
    script = SCRIPT.replace(
        '"$PYTHON" -m nono "$@"',
        f"""
"$PYTHON" -m nono "$@" &
until grep -q asked "$HOME/service"; do sleep 0.05; done
kill -{name} $!
wait $!
""",
    )
    argv = ("run", "--credential=openai", "--", "echo", "started")
    done = nono("prompt=never", *argv, script=script, unlock_s=40)
    assert (done.returncode, done.stdout) == (128 + signal.Signals[f"SIG{name}"], "")
    assert "nono: ended while the system keyring was asked\n" in done.stderr


def test_the_name_of_an_entry_draws_nothing(nono: Nono) -> None:
    done = nono("size=64", "credential", "list")
    shown = ascii(hostile_service.ACCOUNT)[1:-1]
    assert done.stdout.splitlines() == [f"{shown:<24} the system keyring"], done.stderr
