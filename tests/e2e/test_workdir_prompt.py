"""The working directory is shared by a flag or by a person who is there, and else not."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.nono_run import NONO, NonoRun, nono_run
from support.terminal import Terminal, terminal

QUESTION = b"[y/N] "


@pytest.fixture(scope="module")
def sandbox() -> Iterator[NonoRun]:
    with nono_run() as runner:
        yield runner


@pytest.fixture(scope="module", autouse=True)
def note(sandbox: NonoRun) -> Path:
    file = sandbox.project / "note"
    file.write_text("shared\n")
    return sandbox.give(file)


@contextmanager
def typed(
    sandbox: NonoRun, *flags: str, command: Sequence[str] = ("cat", "note"), verb: str = "run"
) -> Iterator[Terminal]:
    argv = sandbox.user.command([*NONO, verb, *flags, "--", *command])
    with terminal(argv, sandbox.user.environment(), sandbox.project) as person:
        yield person


def answered(person: Terminal, keys: bytes) -> tuple[int, str]:
    person.answer(QUESTION, keys)
    return person.end(), person.shown.decode()


def profile(sandbox: NonoRun, access: str) -> str:
    file = sandbox.user.home / f"{access}.json"
    file.write_text(json.dumps({"workdir": {"access": access}}))
    return f"--profile={file}"


@pytest.mark.parametrize("verb", ["run", "wrap"])
def test_a_yes_shares_the_workdir_before_the_command_starts(sandbox: NonoRun, verb: str) -> None:
    with typed(sandbox, verb=verb) as person:
        code, shown = answered(person, b"y\n")
    assert code == 0
    assert shown.startswith(
        f"  Share {sandbox.project} with read access?\r\n  use --allow-cwd to skip this prompt"
    )
    assert shown.index("[y/N]") < shown.index("Capabilities:") < shown.index("shared\r\n")
    assert f"    r    {sandbox.project} (dir)" in shown


@pytest.mark.parametrize("keys", [b"\n", b"n\n", b"yesterday\n", b"\x04"], ids=["enter", "no", "word", "end"])
def test_a_run_without_a_yes_goes_on_with_nothing_shared(sandbox: NonoRun, keys: bytes) -> None:
    with typed(sandbox) as person:
        code, shown = answered(person, keys)
    assert code == 1
    assert "is not shared; --allow-cwd grants read access" in shown
    assert "shared\r\n" not in shown


def test_an_interrupt_ends_it_before_anything_is_started(sandbox: NonoRun) -> None:
    with typed(sandbox) as person:
        code, shown = answered(person, b"\x03")
    assert code == 130
    assert "Capabilities" not in shown
    assert "Traceback" not in shown


def test_what_was_typed_ahead_is_no_answer(sandbox: NonoRun) -> None:
    with typed(sandbox) as person:
        person.type(b"yes\n")
        code, _ = answered(person, b"\n")
    assert code == 1


@pytest.mark.parametrize(("access", "words"), [("write", "write"), ("readwrite", "read+write")])
def test_a_profile_says_how_it_is_shared(sandbox: NonoRun, access: str, words: str) -> None:
    with typed(sandbox, profile(sandbox, access), command=("sh", "-c", "echo x > made")) as person:
        code, shown = answered(person, b"yes\n")
    assert code == 0
    assert f"with {words} access?" in shown
    assert (sandbox.project / "made").read_text() == "x\n"
    (sandbox.project / "made").unlink()


def test_nobody_is_asked_about_the_workdir_where_it_makes_no_difference(sandbox: NonoRun) -> None:
    for flags in (["--allow-cwd"], ["--read=."], [profile(sandbox, "none")], ["--dry-run"], ["--silent"]):
        with typed(sandbox, *flags, command=("true",)) as person:
            assert person.end() == 0
        assert QUESTION not in person.shown


def test_a_run_without_a_person_says_that_the_workdir_is_not_shared(sandbox: NonoRun) -> None:
    """As with --silent, which is not told to complain: what changes what the profile asked for is said."""
    wanting, none = profile(sandbox, "read"), profile(sandbox, "none")
    for flags, is_said in (([], True), (["--silent"], False), (["--silent", wanting], True), ([none], False)):
        run = sandbox.user.run(
            [*NONO, "run", *flags, "--", "cat", str(sandbox.project / "note")], cwd=sandbox.project
        )
        assert run.returncode == 1
        assert ("--allow-cwd grants read access" in run.stderr) == is_said, flags


def test_nothing_is_asked_where_the_answer_could_only_be_no(sandbox: NonoRun) -> None:
    """The home holds nono's own state."""
    argv = sandbox.user.command([*NONO, "run", "--", "true"])
    with terminal(argv, sandbox.user.environment(), sandbox.user.home) as person:
        assert person.end() == 0
    assert QUESTION not in person.shown
    assert b"the working directory cannot be shared: Refusing to grant" in person.shown


def test_a_run_in_the_background_is_not_stopped_by_a_question(sandbox: NonoRun) -> None:
    script = f"set -m; {shlex.join(NONO)} run -- true & wait $!; echo ended $?"
    with terminal(
        sandbox.user.command(["/bin/sh", "-c", script]), sandbox.user.environment(), sandbox.project
    ) as person:
        person.wait_for(b"ended 0")
    assert QUESTION not in person.shown


def dry_run(sandbox: NonoRun, command: str) -> subprocess.CompletedProcess[str]:
    """Return a dry run with credentials whose references cannot be read: a real run would fail with them."""
    file = sandbox.user.home / "keys.json"
    demo = {"upstream": "https://api.example", "credential_key": "file:///nowhere", "env_var": "DEMO"}
    file.write_text(
        json.dumps(
            {
                "network": {"credentials": ["demo"], "custom_credentials": {"demo": demo}},
                "env_credentials": {"file:///nowhere": "TOKEN"},
            }
        )
    )
    argv = [*NONO, "run", f"--profile={file}", "--dry-run", "--", command]
    return sandbox.user.run(argv, cwd=sandbox.project)


def test_a_dry_run_announces_injections_without_reading_a_secret(sandbox: NonoRun) -> None:
    dry = dry_run(sandbox, "true")
    assert dry.returncode == 0
    assert "Would inject 1 credential(s) as environment variables: TOKEN\n" in dry.stderr
    assert "Would inject a placeholder of demo as DEMO\n" in dry.stderr
    assert "enforced by notify: " in dry.stderr
    assert "/true\n  dry-run sandbox would be applied with above capabilities\n  $ true\n" in dry.stderr


def test_a_dry_run_looks_for_the_program(sandbox: NonoRun) -> None:
    missing = dry_run(sandbox, "no-such-program")
    assert missing.returncode == 1
    assert "Capabilities:" in missing.stderr
    assert "no-such-program: not found on PATH" in missing.stderr
    assert "dry-run sandbox would be applied" not in missing.stderr
