"""A project's files tell which profile its tools come with, and a person is asked once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.nono_run import NONO, NonoRun, nono_run
from support.terminal import Terminal, terminal

QUESTION = b"[y/N] "


@pytest.fixture
def sandbox() -> Iterator[NonoRun]:
    with nono_run() as runner:
        (runner.project / "Cargo.toml").write_text("[package]\n")
        (runner.user.home / ".rustup").mkdir()
        (runner.user.home / ".rustup/settings.toml").write_text("a toolchain\n")
        for path in (runner.user.home / ".rustup", runner.user.home / ".rustup/settings.toml"):
            runner.give(path)
        yield runner


@contextmanager
def run(sandbox: NonoRun, *flags: str) -> Iterator[Terminal]:
    command = ("cat", str(sandbox.user.home / ".rustup/settings.toml"))
    argv = sandbox.user.command([*NONO, "run", "--allow-cwd", "--profile", "go-dev", *flags, "--", *command])
    with terminal(argv, sandbox.user.environment(), sandbox.project) as person:
        yield person


def answered(sandbox: NonoRun, keys: bytes) -> Terminal:
    with run(sandbox) as person:
        person.answer(QUESTION, keys)
        person.end()
    return person


@pytest.mark.parametrize(("keys", "is_added"), [(b"y\n", True), (b"n\n", False), (b"\n", False)])
def test_the_answer_holds_for_later_runs(sandbox: NonoRun, keys: bytes, is_added: bool) -> None:
    first = answered(sandbox, keys)
    assert b"Cargo.toml is here. Add the profile rust-dev (Rust development)" in first.shown
    assert (b"a toolchain" in first.shown) == is_added
    with run(sandbox) as person:
        code = person.end()
    assert QUESTION not in person.shown
    assert (b"a toolchain" in person.shown, code == 0) == (is_added, is_added)
    assert (b"with rust-dev, as you agreed for this directory" in person.shown) == is_added


def test_the_answer_is_for_that_directory_alone(sandbox: NonoRun) -> None:
    answered(sandbox, b"y\n")
    memory = json.loads((sandbox.user.home / ".local/state/nono/projects.json").read_text())
    assert memory == {str(sandbox.project): {"rust-dev": True}}


def test_a_profile_that_is_in_use_is_not_offered(sandbox: NonoRun) -> None:
    with run(sandbox, "--extends", "rust-dev") as person:
        assert person.end() == 0
    assert QUESTION not in person.shown


def test_nobody_is_asked_who_is_not_there(sandbox: NonoRun) -> None:
    settings = str(sandbox.user.home / ".rustup/settings.toml")
    done = sandbox.run(["cat", settings], profile={"extends": "go-dev"})
    assert done.exit_code != 0
    assert "Add the profile" not in done.stderr


def test_a_run_without_a_profile_is_asked_nothing(sandbox: NonoRun) -> None:
    argv = sandbox.user.command([*NONO, "run", "--allow-cwd", "--", "true"])
    with terminal(argv, sandbox.user.environment(), sandbox.project) as person:
        assert person.end() == 0
    assert QUESTION not in person.shown
