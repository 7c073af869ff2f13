"""What config.toml says decides what a real run records; who else could change or remove either is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest


def run(
    home: Path, *argv: str, flags: Sequence[str] = ()
) -> tuple[subprocess.CompletedProcess[str], list[dict[str, Any]]]:
    """Return the run, and the events of its audit log."""
    done = subprocess.run(
        [sys.executable, "-I", "-m", "nono", "run", *flags, "--", *argv],
        env={"HOME": str(home), "PATH": os.defpath},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    logs = sorted((home / ".local/state/nono").rglob("audit-events.ndjson"))
    events = [json.loads(line)["event"] for log in logs for line in log.read_text().splitlines()]
    return done, events


@pytest.mark.parametrize("has_file", [False, True])
def test_added_names_are_redacted_with_a_note_in_the_log(tmp_path: Path, has_file: bool) -> None:
    (tmp_path / ".config/nono").mkdir(parents=True)
    if has_file:
        (tmp_path / ".config/nono/config.toml").write_text('[redaction]\nadd_flags = ["--pin"]\n')
    done, events = run(tmp_path, "true", "--pin", "c4n4ry", "--token", "t0k3n")
    assert done.returncode == 0
    started = events[0]
    pin = "[REDACTED]" if has_file else "c4n4ry"
    assert started["command"] == ["true", "--pin", pin, "--token", "[REDACTED]"]
    assert started.get("redaction_policy") == ({"added_flags": ["--pin"]} if has_file else None)


def test_a_mistake_in_it_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / ".config/nono").mkdir(parents=True)
    (tmp_path / ".config/nono/config.toml").write_text('[redaction]\nadd_flag = ["--pin"]\n')
    done, events = run(tmp_path, "touch", str(tmp_path / "started"))
    assert (done.returncode, events) == (1, [])
    assert "config.toml: redaction.add_flag: no such key (did you mean 'add_flags'?)" in done.stderr


@pytest.mark.parametrize("is_required", ["true", "false"])
def test_a_required_anchor_that_nobody_names_starts_nothing(tmp_path: Path, is_required: str) -> None:
    (tmp_path / ".config/nono").mkdir(parents=True)
    (tmp_path / ".config/nono/config.toml").write_text(f"[audit]\nanchor_required = {is_required}\n")
    done, events = run(tmp_path, "true")
    is_refused = is_required == "true"
    assert (done.returncode != 0, events == []) == (is_refused, is_refused)
    assert ("an anchor is required, and none is named." in done.stderr) is is_refused


@pytest.mark.parametrize("of_directory", [False, True])
@pytest.mark.parametrize("others", [0o022, 0])
def test_one_that_others_could_change_is_told_with_silent_too(
    tmp_path: Path, others: int, of_directory: bool
) -> None:
    directory = tmp_path / ".config/nono"
    directory.mkdir(parents=True)
    file = directory / "config.toml"
    file.write_text("[updates]\ncheck = false\n")
    changed = directory if of_directory else file
    changed.chmod((0o755 if of_directory else 0o644) | others)
    done, _ = run(tmp_path, "true", flags=["--silent"])
    assert done.returncode == 0
    told = f"somebody else could change {file}" in done.stderr
    assert told == bool(others)
    assert (f"everybody can write to {changed}" in done.stderr) == told


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o755], ids="{:o}".format)
def test_a_state_directory_that_everybody_could_move_away_is_told(tmp_path: Path, mode: int) -> None:
    parent = tmp_path / ".local/state"
    parent.mkdir(parents=True)
    parent.chmod(mode)
    done, _ = run(tmp_path, "true")
    assert done.returncode == 0
    told = f"everybody can write to {parent}, and so take away what nono has recorded" in done.stderr
    assert told == (mode == 0o777)
