"""A failed command is told what it usually needs, and what the kernel refused it if somebody asks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest

from support.nono_run import NonoRun, nono_run

BLOCKED: Mapping[str, object] = {"network": {"block": True}}
TITLE = "NONO DIAGNOSTIC"


def footer(stderr: str) -> list[str]:
    _, _, told = stderr.partition(TITLE)
    return [line.strip() for line in told.splitlines()]


def fixes(stderr: str) -> list[str]:
    return [line.removeprefix("fix: ") for line in footer(stderr) if line.startswith("fix: ")]


@pytest.fixture
def sandbox() -> Iterator[NonoRun]:
    with nono_run() as runner:
        yield runner


@pytest.fixture
def letter(sandbox: NonoRun) -> str:
    """A file of the person's that no run is granted."""
    file = sandbox.user.home / "letter"
    file.write_text("dear")
    return str(sandbox.give(file))


def test_a_file_named_in_the_command_is_offered(sandbox: NonoRun, letter: str) -> None:
    run = sandbox.run(["cat", letter], profile=BLOCKED)
    assert run.exit_code == 1
    assert "Not granted in this run, and often needed:" in footer(run.stderr)
    assert fixes(run.stderr) == [f"--read-file {letter}"]
    again = sandbox.run(["cat", letter], profile=BLOCKED, flags=fixes(run.stderr)[0].split())
    assert (again.exit_code, again.stdout, TITLE in again.stderr) == (0, "dear", False)


def test_a_file_that_is_closed_outside_too_is_not_offered(sandbox: NonoRun, letter: str) -> None:
    (sandbox.user.home / "letter").chmod(0)
    assert TITLE not in sandbox.run(["cat", letter], profile=BLOCKED).stderr


def test_a_build_that_may_not_write_its_directory_is_told(sandbox: NonoRun) -> None:
    directory = sandbox.user.home / "read-only"
    directory.mkdir()
    sandbox.give(directory)
    flags = [f"--workdir={directory}", f"--read={directory}"]
    run = sandbox.run(["make"], profile=BLOCKED, flags=flags)
    assert run.exit_code == 2
    assert fixes(run.stderr) == [f"--allow {directory}"]
    assert f"it grants reading and writing everything in {directory}" in " ".join(footer(run.stderr))
    assert max(map(len, footer(run.stderr))) <= 80
    allowed = sandbox.run(["make"], profile=BLOCKED, flags=[flags[0], f"--allow={directory}"])
    assert (allowed.exit_code, TITLE in allowed.stderr) == (2, False)


def test_the_footer_names_nono_learn(sandbox: NonoRun, letter: str) -> None:
    told = " ".join(footer(sandbox.run(["cat", letter], profile=BLOCKED).stderr))
    assert "`nono learn -o NAME`" in told


def test_the_report_as_json_says_the_same(sandbox: NonoRun, letter: str) -> None:
    run = sandbox.run(["cat", letter], profile=BLOCKED, flags=["--silent", "--diagnostics-json"])
    [diagnostic] = json.loads(run.stderr[run.stderr.index("{\n") :])["session"]["diagnostics"]
    assert diagnostic == {
        "code": "command_failed_likely_sandbox",
        "severity": "info",
        "message": f"{letter} was not granted: named in the command",
        "remediation": {"kind": "grant_path"},
        "hint": f"--read-file {letter}",
        "path": letter,
        "access": "Read",
    }
