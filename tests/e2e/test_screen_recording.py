"""`nono logs --screen`: what the terminal of a session showed, for a person who asked for that."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from support.nono_run import NonoRun
from support.sessions.detached import attached, detached, end
from support.sessions.records import directory, nono

KEY = "canary-of-the-real-key-0123456789"
DEMO = {
    "upstream": "https://demo.example",
    "credential_key": "env://DEMO_KEY",
    "env_var": "DEMO_KEY",
}
WITH_KEY = {"network": {"credentials": ["demo"], "custom_credentials": {"demo": DEMO}}}


def wants_recordings(sandbox: NonoRun) -> None:
    folder = sandbox.user.home / ".config/nono"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text("[sessions]\nscreen_recording = true\n")
    for path in (folder.parent, folder, folder / "config.toml"):
        sandbox.user.give(path)


def shown(events: list[Any]) -> str:
    return "".join(event[2] for event in events if event[1] == "o")


def test_a_session_is_played_again(sandbox: NonoRun, tmp_path: Path) -> None:
    wants_recordings(sandbox)
    with detached(sandbox, ["bash", "--norc"]) as record, attached(sandbox, size=(30, 90)) as viewer:
        viewer.type(b"echo here=$((1+1)); exit\r")
        viewer.end()
        end(sandbox)
    printed = nono(sandbox, "logs", "--screen", "one")
    assert printed.returncode == 0
    head, *events = map(json.loads, printed.stdout.splitlines())
    assert head["version"] == 2
    assert "here=2" in shown(events)
    assert [90, 30] in [list(map(int, event[2].split("x"))) for event in events if event[1] == "r"]
    if (asciinema := shutil.which("asciinema")) is not None:
        (tmp_path / "cast").write_text(printed.stdout)
        played = subprocess.run([asciinema, "cat", tmp_path / "cast"], capture_output=True, check=True)
        assert b"here=2" in played.stdout
    assert nono(sandbox, "prune", "--keep=0").returncode == 0
    left = [path.name for path in directory(sandbox.user).iterdir()]
    assert not [name for name in left if record["session_id"] in name]


def test_a_key_of_the_run_is_not_in_the_recording(sandbox: NonoRun) -> None:
    wants_recordings(sandbox)
    half = len(KEY) // 2
    script = f"printf 'one {KEY[:half]}'; sleep 0.4; echo '{KEY[half:]} two'"
    (sandbox.project / "script").write_text(script)
    with detached(sandbox, ["sh", "script"], profile=WITH_KEY, environment={"DEMO_KEY": KEY}):
        end(sandbox)
    (file,) = directory(sandbox.user).glob("*.cast")
    _, *events = map(json.loads, file.read_text().splitlines())
    assert f"one {'*' * len(KEY)} two" in shown(events)


def test_nothing_is_recorded_unless_that_is_wanted(sandbox: NonoRun) -> None:
    with detached(sandbox, ["echo", "hello"]):
        end(sandbox)
    assert list(directory(sandbox.user).glob("*.cast")) == []
    told = nono(sandbox, "logs", "--screen", "one")
    assert told.returncode == 1
    assert "was not recorded" in told.stderr
    assert "screen_recording = true" in told.stderr
