"""A person at a terminal is shown what instructs an agent, before it starts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from nono.trust.policy import FILE, PREDICATE
from support.nono_run import NONO, NonoRun, nono_run
from support.terminal import Terminal, terminal

QUESTION = b"Approve it? [y/N] "


@pytest.fixture
def sandbox() -> Iterator[NonoRun]:
    with nono_run() as runner:
        _write(runner, "CLAUDE.md", "be good\n")
        _write(runner, FILE, json.dumps({"predicate": PREDICATE, "includes": ["CLAUDE.md"]}))
        yield runner


def _write(runner: NonoRun, name: str, text: str) -> None:
    (runner.project / name).write_text(text)
    runner.give(runner.project / name)


@contextmanager
def typed(sandbox: NonoRun, command: Sequence[str]) -> Iterator[Terminal]:
    argv = [*NONO, "run", "--block-net", f"--allow={sandbox.project}", "--", *command]
    with terminal(sandbox.user.command(argv), sandbox.user.environment(), sandbox.project) as person:
        yield person


def answered(person: Terminal, keys: bytes) -> tuple[int, str]:
    person.answer(QUESTION, keys)
    return person.end(), person.shown.decode()


def test_a_yes_before_the_run_approves_what_was_shown(sandbox: NonoRun) -> None:
    with typed(sandbox, ["cat", "CLAUDE.md"]) as person:
        code, shown = answered(person, b"n\n")
    assert code == 1
    assert "instruction files failed trust verification: 1 of 1." in shown
    with typed(sandbox, ["cat", "CLAUDE.md"]) as person:
        code, shown = answered(person, b"y\n")
    assert (code, shown.count("be good")) == (0, 2)  # in the difference, and by the command
    with typed(sandbox, ["cat", "CLAUDE.md"]) as person:
        assert person.end() == 0
        assert QUESTION not in person.shown


def test_why_says_what_the_open_says(sandbox: NonoRun) -> None:
    sandbox.user.run([*NONO, "trust", "approve", "--yes"], cwd=sandbox.project)
    sandbox.give(_made(sandbox.project / "sub"))
    _write(sandbox, "sub/CLAUDE.md", "be evil\n")
    said = {path: _why(sandbox, path) for path in ("CLAUDE.md", "sub/CLAUDE.md", FILE)}
    refused = said.pop("sub/CLAUDE.md")
    assert (refused, {*said.values()}) == ("instruction_file_untrusted", {"granted_path"})


def _why(sandbox: NonoRun, path: str) -> object:
    asked = [*NONO, "why", "--json", f"--allow={sandbox.project}", "--path", path, "--op", "read"]
    return json.loads(sandbox.user.run(asked, cwd=sandbox.project).stdout)["reason"]


def test_a_package_that_changed_since_it_ran_is_asked_about(sandbox: NonoRun) -> None:
    user = sandbox.user
    tree = user.home / ".npm/_npx/0123"
    program = tree / "node_modules/mcp-x/run.js"
    for directory in (*reversed(program.relative_to(user.home).parents[:-1]),):
        user.give(_made(user.home / directory))
    for file, text in ((tree / "package.json", '{"_npx": {"packages": ["mcp-x"]}}'), (program, "1\n")):
        file.write_text(text)
        user.give(file)
    policy = {"predicate": PREDICATE, "packages": True}
    _write(sandbox, FILE, json.dumps(policy))
    user.run([*NONO, "trust", "approve", "--yes"], cwd=sandbox.project)
    flags, uses = ("--block-net", f"--read={user.home}/.npm"), ["cat", str(program)]
    first = sandbox.run(uses, profile={}, flags=flags)
    used = [event for event in first.events if event["type"] == "package_used"]
    assert [(event["name"], event["path"]) for event in used] == [("npx:mcp-x", str(tree))], first.stderr
    assert sandbox.run(uses, profile={}, flags=flags).exit_code == 0
    program.write_text("2\n")
    refused = sandbox.run(uses, profile={}, flags=flags)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "nono trust approve npx:mcp-x" in refused.stderr
    shown = user.run([*NONO, "trust", "approve", "--yes", "npx:mcp-x"], cwd=sandbox.project).stdout
    assert shown.count("  mcp-x/run.js") == 2  # as it was, and as it is
    assert sandbox.run(uses, profile={}, flags=flags).stdout == "2\n"


@pytest.mark.parametrize("is_inside", [False, True])
def test_what_is_not_searched_is_said_by_who_verifies_or_signs(sandbox: NonoRun, is_inside: bool) -> None:
    target = sandbox.project if is_inside else sandbox.user.home
    (sandbox.project / "there").symlink_to(target)
    sandbox.user.run([*NONO, "trust", "approve", "--yes"], cwd=sandbox.project)
    verified = sandbox.user.run([*NONO, "trust", "verify"], cwd=sandbox.project)
    assert verified.stdout.endswith("1 checked, 0 not trusted.\n")
    key = sandbox.user.home / "key.pem"
    sandbox.user.run([*NONO, "trust", "keygen", f"--keyref=file://{key}"], cwd=sandbox.project)
    signed = sandbox.user.run(
        [*NONO, "trust", "sign", "--all", f"--keyref=file://{key}"], cwd=sandbox.project
    )
    assert "Signed CLAUDE.md" in signed.stdout, signed.stderr
    for said in (verified.stdout, signed.stderr):
        assert ("instruction files: there leads out of the project" in said) is not is_inside


def _made(directory: Path) -> Path:
    directory.mkdir(exist_ok=True)
    return directory
