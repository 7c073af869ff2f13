"""A question that waits is shown on the desktop of its user, unless that is switched off."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from nono.approval.desktop import LIMIT_S
from support.nono_run import NonoRun, nono_run
from support.sessions.desktop import Desktop, desktop
from support.sessions.detached import detached, wait_until
from support.sessions.records import directory, record_of

ASKING = "import os, urllib.request as u\n" + (
    "assert 'DBUS_SESSION_BUS_ADDRESS' not in os.environ\nu.urlopen('http://new.test/')"
)
SETTLED_S = 1.5  # more than a notification takes


@pytest.fixture(scope="module")
def sandbox() -> Iterator[NonoRun]:
    # As whoever runs this: a bus lets only a user in who has a name.
    with nono_run(as_root=os.geteuid() == 0) as runner:
        yield runner


@pytest.fixture(scope="module")
def bus(sandbox: NonoRun) -> Iterator[Desktop]:
    folder = sandbox.user.home / "bus"
    folder.mkdir()
    with desktop(folder) as found:
        yield found


def asked(sandbox: NonoRun, session_id: str) -> None:
    """Wait until a session has a question."""
    wait_until((directory(sandbox.user) / f"{session_id}.asks").exists, "nobody is asked")


def configured(sandbox: NonoRun, text: str) -> None:
    folder = sandbox.user.home / ".config/nono"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(text)
    for path in (folder.parent, folder, folder / "config.toml"):
        sandbox.user.give(path)


def test_a_question_of_a_session_that_is_left_is_shown(sandbox: NonoRun, bus: Desktop) -> None:
    argv, environment = [sys.executable, "-c", ASKING], {"DBUS_SESSION_BUS_ADDRESS": bus.address}
    before = len(bus.shown())
    with detached(sandbox, argv, "web", ["--ask"], profile={}, environment=environment):
        shown = bus.wait(before + 1)[-1]
    assert shown["title"] == "nono needs you"
    assert shown["body"].startswith("Session web. The command asks: connect to new.test:80\n")


@pytest.mark.parametrize(
    ("name", "text", "flags", "count"),
    [
        ("usual", "", (), 1),
        ("off", "[ui]\nnotify = false\n", (), 0),
        ("silent", "", ("--silent",), 0),
    ],
)
def test_the_person_decides_on_notifications(
    name: str, text: str, flags: Sequence[str], count: int, sandbox: NonoRun, bus: Desktop
) -> None:
    configured(sandbox, text)
    before = len(bus.shown())
    argv, environment = [sys.executable, "-c", ASKING], {"DBUS_SESSION_BUS_ADDRESS": bus.address}
    with sandbox.started(argv, flags=[f"--name={name}", "--ask", *flags], environment=environment):
        asked(sandbox, str(record_of(sandbox.user, name)["session_id"]))
        bus.wait(before + count)
        time.sleep(SETTLED_S)  # in which more would be shown
    configured(sandbox, "")
    assert len(bus.shown()) - before == count


def test_a_run_ends_while_a_desktop_does_not_answer(sandbox: NonoRun, tmp_path: Path) -> None:
    asking = (
        "import threading, urllib.request as u\n"
        "threading.Thread(target=u.urlopen, args=('http://new.test/',), daemon=True).start()\ninput()"
    )
    with desktop(tmp_path, is_mute=True) as mute:
        environment = {"DBUS_SESSION_BUS_ADDRESS": mute.address}
        with sandbox.started([sys.executable, "-c", asking], flags=["--ask"], environment=environment) as run:
            mute.wait(1)
            _, stderr = run.communicate("\n", timeout=LIMIT_S - 1)
    assert run.returncode == 0, stderr
    assert "notification" not in stderr
