"""The system keyring against a real one: gnome-keyring on a D-Bus session of its own.

Debian packages: dbus-daemon, gnome-keyring, libsecret-tools.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

PROGRAMS = ("dbus-run-session", "gnome-keyring-daemon", "secret-tool")
ABSENT = [program for program in PROGRAMS if shutil.which(program) is None]

pytestmark = pytest.mark.skipif(
    bool(ABSENT),
    reason=f"not installed: {', '.join(ABSENT)} (Debian: dbus-daemon gnome-keyring libsecret-tools)",
)

UNLOCKED = "printf %s login-password | gnome-keyring-daemon --unlock --components=secrets > /dev/null\n"
STARTED_LOCKED = "gnome-keyring-daemon --start --components=secrets > /dev/null\n"

InSession = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def in_session(tmp_path: Path) -> InSession:
    """Run a shell script in a D-Bus session with an empty home; everything it started is gone afterwards."""
    (tmp_path / "run").mkdir(mode=0o700)
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "PYTHON": sys.executable,
        "NONO_KEYRING_TIMEOUT_SECS": "30",  # a loaded machine takes seconds to start what would ask a person
    }

    def run(script: str) -> subprocess.CompletedProcess[str]:
        argv = ["dbus-run-session", "--", "sh", "-ec", script]
        try:
            return subprocess.run(argv, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        finally:
            end_processes_of(tmp_path)

    return run


def end_processes_of(home: Path) -> None:
    """End gnome-keyring-daemon, which leaves its session: only it has the home directory of this test."""
    mark = f"HOME={home}\0".encode()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        ours = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes() + b"\0":
                    ours.append(int(entry.name))
        if not ours:
            return
        for pid in ours:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        time.sleep(0.05)  # polls for the end of processes that are nobody's children
    raise AssertionError(f"still running: {ours}")


PYTHON = '"$PYTHON" -W error -c'


def test_nono_and_secret_tool_find_what_the_other_stores(
    in_session: InSession,
) -> None:
    result = in_session(
        UNLOCKED
        + f"""{PYTHON} '
import os
from nono.credentials import resolver
from nono.secret import Secret
print(resolver.save("openai", Secret("from-nono"), os.environ).where)
'
secret-tool lookup service nono username openai; echo
printf %s from-elsewhere | secret-tool store --label=x service other username me
{PYTHON} '
import os
from nono.credentials import resolver
from nono.secret import Secret
print(resolver.resolve_credential("openai", os.environ) == Secret("from-nono"))
print(resolver.resolve_credential("keyring://other/me", os.environ) == Secret("from-elsewhere"))
print([entry.name for entry in resolver.names(os.environ)], resolver.names(os.environ)[0].where)
print(resolver.remove("openai", os.environ))
print(resolver.names(os.environ))
'
secret-tool lookup service nono username openai || echo gone
"""
    )
    assert result.stdout.splitlines() == [
        "system keyring",
        "from-nono",
        "True",
        "True",
        "['openai'] system keyring",
        "('system keyring',)",
        "()",
        "gone",
    ], result.stderr


def test_a_foreign_keyring_entry_with_more_attributes_is_read(in_session: InSession) -> None:
    result = in_session(
        UNLOCKED
        + f"""printf %s real | secret-tool store --label=x service nono username openai target default
{PYTHON} '
import os
from nono.credentials import resolver
from nono.secret import Secret
print(resolver.resolve_credential("openai", os.environ) == Secret("real"))
'
"""
    )
    assert result.stdout == "True\n", result.stderr


def test_several_entries_of_one_name_are_refused(in_session: InSession) -> None:
    script = f"""{PYTHON} '
import os
from nono.credentials import resolver
from nono.errors import CredentialError
try: resolver.resolve_credential("openai", os.environ); print("read")
except CredentialError as error: print(error)
'
"""
    result = in_session(
        UNLOCKED
        + "printf one | secret-tool store --label=x service nono username openai\n"
        + script
        + "printf two | secret-tool store --label=x service nono username openai target default\n"
        + script
    )
    one, several = result.stdout.splitlines()
    assert one == "read", result.stderr
    assert "Multiple entries (2) found" in several


READS = """
import os, sys
from nono.credentials import resolver
from nono.errors import CredentialError
from nono.secret import Secret
try: print(resolver.resolve_credential("keyring://nono/openai", os.environ) == Secret("real"))
except CredentialError as error: print(error)
print(sorted({"keyring", "secretstorage"} & {*sys.modules}))
"""


@pytest.mark.parametrize("unset", [True, False], ids=["no bus", "a bus"])
def test_no_more_is_imported_than_what_may_answer(in_session: InSession, unset: bool) -> None:
    """`keyring` takes a third of the time that a run with a stored key takes to start."""
    result = in_session(
        UNLOCKED
        + "printf %s real | secret-tool store --label=x service nono username openai\n"
        + ("unset DBUS_SESSION_BUS_ADDRESS\n" if unset else "")
        + f"{PYTHON} '{READS}'"
    )
    expected = ["no system keyring answers here", "[]"] if unset else ["True", "['secretstorage']"]
    assert result.stdout.splitlines() == expected, result.stderr


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("unix:path=$HOME/gone", id="that is gone"),
        pytest.param("unix:path=$HOME", id="that is a directory"),
        pytest.param("nonsense", id="of no kind"),
    ],
)
def test_a_bus_that_nobody_can_use_is_no_keyring(in_session: InSession, address: str) -> None:
    """As the address of a desktop that has ended, in a session of tmux."""
    result = in_session(f"export DBUS_SESSION_BUS_ADDRESS=\"{address}\"\n{PYTHON} '{READS}'")
    assert result.stdout.splitlines()[0] == "no system keyring answers here", result.stderr
    assert result.stderr.count("Warning") == 0


@pytest.mark.parametrize(
    ("environment", "imported"),
    [
        ("PYTHON_KEYRING_BACKEND=keyring.backends.SecretService.Keyring", ["keyring", "secretstorage"]),
        ('PYTHONPATH="$HOME/bindings" XDG_CURRENT_DESKTOP=X:KDE', ["keyring", "secretstorage"]),
        ('PYTHONPATH="$HOME/bindings" XDG_CURRENT_DESKTOP=X', ["secretstorage"]),
        ("XDG_CURRENT_DESKTOP=KDE", ["secretstorage"]),
    ],
    ids=["named", "KWallet may come first", "KWallet comes later", "no bindings of KWallet"],
)
def test_the_library_is_asked_where_another_keyring_may_come_first(
    in_session: InSession, environment: str, imported: list[str]
) -> None:
    result = in_session(
        UNLOCKED
        + "mkdir bindings && : >bindings/dbus.py\n"
        + "printf %s real | secret-tool store --label=x service nono username openai\n"
        + f"{environment} {PYTHON} '{READS}'"
    )
    assert result.stdout.splitlines() == ["True", str(imported)], result.stderr


def test_without_a_secret_service_libsecret_is_asked_where_it_may_be(in_session: InSession) -> None:
    result = in_session(
        "mkdir bindings && : >bindings/gi.py\nunset DBUS_SESSION_BUS_ADDRESS\n"
        f"PYTHONPATH=$HOME/bindings {PYTHON} '{READS}'"
    )
    assert result.stdout.splitlines()[0] == "no system keyring answers here", result.stderr
    assert "'keyring'" in result.stdout


@pytest.mark.parametrize("backend", ["", "keyring.backends.SecretService.Keyring"])
def test_a_locked_keyring_is_not_read(in_session: InSession, backend: str) -> None:
    result = in_session(
        UNLOCKED
        + "printf %s real | secret-tool store --label=x service nono username openai\n"
        + "secret-tool lock\n"
        + f"export PYTHON_KEYRING_BACKEND={backend}\n{PYTHON} '{READS}'"
    )
    said = "keyring://nono/<redacted>: the system keyring is locked, and was not unlocked"
    assert result.stdout.splitlines()[0] == said, result.stderr


def test_a_locked_keyring_leaves_the_value_in_the_embedded_store(
    in_session: InSession, tmp_path: Path
) -> None:
    result = in_session(
        STARTED_LOCKED
        + f"""{PYTHON} '
import os
from nono.credentials import resolver
from nono.secret import Secret
print(resolver.save("openai", Secret("from-nono"), os.environ).where)
print(resolver.resolve_credential("openai", os.environ) == Secret("from-nono"))
'
"""
    )
    store = tmp_path / ".local/state/nono/credentials.json"
    assert result.stdout.splitlines() == [str(store), "True"], result.stderr


def test_without_a_session_bus_no_keyring_answers(in_session: InSession) -> None:
    result = in_session(
        f"""unset DBUS_SESSION_BUS_ADDRESS
{PYTHON} '
import os
from nono.credentials import resolver
from nono.errors import CredentialError
try: resolver.resolve_credential("keyring://a/b", os.environ)
except CredentialError as error: print(error)
'
"""
    )
    assert result.stdout == "no system keyring answers here\n", result.stderr


def test_a_signing_key_is_kept_in_the_keyring(in_session: InSession) -> None:
    ended = in_session(
        UNLOCKED
        + "echo good > CLAUDE.md\n"
        + '"$PYTHON" -I -m nono trust keygen\n'
        + '"$PYTHON" -I -m nono trust init > /dev/null\n'
        + '"$PYTHON" -I -m nono trust sign CLAUDE.md\n'
        + '"$PYTHON" -I -m nono trust verify CLAUDE.md\n'
        + "secret-tool lookup service nono-trust-pub username default\n"
        + 'ls "$HOME/.local/state/nono"\n'
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("Made the key 'default' in the system keyring.\n")
    assert "  PASS   CLAUDE.md: signed by default\n" in ended.stdout
    assert "MFkwEwYHKoZIzj0CAQYI" in ended.stdout  # the head of a P-256 key
    assert "credentials.json" not in ended.stdout
