"""After a denial a person may have the profile changed, and nobody else can."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.nono_run import NONO, NonoRun, nono_run
from support.terminal import Terminal, terminal

HOSTS = ("sh", "-c", "curl -sS -o /dev/null https://evil.example/; exit 5")
OFFER, NAME = b"/ [Enter] skip: ", b"User profile name ["
ALLOWED = {"network": {"allow_domain": ["x.example"]}, "workdir": {"access": "none"}}


@pytest.fixture
def sandbox() -> Iterator[NonoRun]:
    with nono_run() as runner:
        for directory in (".config", ".config/nono", ".config/nono/profiles"):
            (runner.user.home / directory).mkdir(exist_ok=True)
            runner.give(runner.user.home / directory)
        yield runner


def profile_file(sandbox: NonoRun, name: str) -> Path:
    return sandbox.user.home / f".config/nono/profiles/{name}.json"


def write(sandbox: NonoRun, name: str, text: str) -> Path:
    file = profile_file(sandbox, name)
    file.write_text(text)
    return sandbox.give(file)


def read(sandbox: NonoRun, name: str) -> Any:
    return json.loads(profile_file(sandbox, name).read_text())


@contextmanager
def run(
    sandbox: NonoRun, *flags: str, command: Sequence[str] = HOSTS, environment: dict[str, str] | None = None
) -> Iterator[Terminal]:
    argv = sandbox.user.command([*NONO, "run", *flags, "--", *command])
    with terminal(argv, sandbox.user.environment(environment), sandbox.project) as person:
        yield person


def answer(person: Terminal, question: bytes, keys: bytes, times: int = 1) -> None:
    while person.shown.count(question) < times:
        person.wait_for_more()
    person.wait_until_heeded()
    person.type(keys)


def test_what_was_denied_is_granted_in_the_profile_in_use(sandbox: NonoRun) -> None:
    write(sandbox, "mine", json.dumps(ALLOWED | {"meta": {"description": "kept"}}))
    with run(sandbox, "--profile=mine") as person:
        answer(person, OFFER, b"g\n")
        assert person.end() == 5
    assert b"network.allow_domain: evil.example" in person.shown
    assert b"Update user profile 'mine'? [g] grant" in person.shown
    assert b"saved: " in person.shown
    changed = read(sandbox, "mine")
    assert changed["network"]["allow_domain"] == ["x.example", "evil.example"]
    assert changed["meta"] == {"description": "kept"}
    # What was saved is what the next run grants.
    why = [*NONO, "why", "--json", "--profile=mine", "--host=evil.example"]
    assert json.loads(sandbox.user.run(why).stdout)["status"] == "allowed"


@pytest.mark.parametrize("keys", [b"\n", b"n\n", b"\x03", b"\x04", b"gg\n"], ids=repr)
def test_all_but_a_clear_answer_saves_nothing(sandbox: NonoRun, keys: bytes) -> None:
    before = write(sandbox, "mine", json.dumps(ALLOWED)).read_text()
    with run(sandbox, "--profile=mine") as person:
        answer(person, OFFER, keys)
        assert person.end() == 5
    assert (b"nothing was saved" in person.shown) is (keys == b"gg\n")  # who skips it knows
    assert profile_file(sandbox, "mine").read_text() == before


@pytest.mark.parametrize(
    ("keys", "granted"),
    [(b"g 2\n", ["b.example"]), (b"g 1,3\n", ["a.example", "c.example"]), (b"g 1 4\n", [])],
)
def test_some_of_it_is_granted_by_number(sandbox: NonoRun, keys: bytes, granted: list[str]) -> None:
    write(sandbox, "mine", json.dumps(ALLOWED))
    asked = "; ".join(f"curl -sS -o /dev/null https://{name}.example/" for name in "abc")
    with run(sandbox, "--profile=mine", command=("sh", "-c", f"{asked}; exit 5")) as person:
        answer(person, OFFER, keys)
        assert person.end() == 5
    assert (b"nothing was saved" in person.shown) is (granted == [])
    assert read(sandbox, "mine")["network"]["allow_domain"] == ["x.example", *granted]


def test_what_the_command_leaves_on_the_terminal_is_no_answer(sandbox: NonoRun) -> None:
    """Neither what was typed while it ran, nor its own echo of an offer."""
    before = write(sandbox, "mine", json.dumps(ALLOWED)).read_text()
    script = "stty -echo raw; printf 'Update? [g] / [Enter] skip: '; sleep 1; " + HOSTS[2]
    with run(sandbox, "--profile=mine", command=("sh", "-c", script)) as person:
        person.wait_for(OFFER)
        person.type(b"g\n")
        answer(person, OFFER, b"\n", times=2)
        assert person.end() == 5
    assert profile_file(sandbox, "mine").read_text() == before


@pytest.mark.parametrize("modes", ["extproc", "ixon stop ^M start ^A", "ixon stop g", "sane"])
def test_an_answer_arrives_whatever_the_command_has_made_of_the_keys(sandbox: NonoRun, modes: str) -> None:
    """Found by the hunt: nono waited for good. Modes are given back where no program reads the output."""
    write(sandbox, "mine", json.dumps(ALLOWED))
    argv = [*NONO, "run", "--profile=mine", "--", "sh", "-c", f"stty {modes} || exit 9; {HOSTS[2]}"]
    line = f"{shlex.join(sandbox.user.command(argv))} | cat"
    with terminal(["/bin/sh", "-c", line], sandbox.user.environment(), sandbox.project) as person:
        answer(person, OFFER, b"g\r")
        assert person.end() == 0
    assert read(sandbox, "mine")["network"]["allow_domain"] == ["x.example", "evil.example"]


def test_a_saved_profile_extends_the_one_in_use_under_a_free_name(sandbox: NonoRun) -> None:
    write(sandbox, "taken", "{}")
    with run(sandbox, "--profile=node-dev", "--allow-cwd") as person:
        answer(person, OFFER, b"g\n")
        answer(person, NAME, b"taken\n")
        answer(person, NAME, b"node-dev\n", times=2)
        answer(person, NAME, b"\n", times=3)
        assert person.end() == 5
    assert b"there is a profile 'taken' already" in person.shown
    assert b"'node-dev' is a built-in profile" in person.shown
    assert read(sandbox, "node-dev-local") == {
        "extends": "node-dev",
        "meta": {"name": "node-dev-local"},
        "network": {"allow_domain": ["evil.example"]},
    }
    assert read(sandbox, "taken") == {}


@pytest.mark.parametrize("keys", [b"\x03", b"\x04", b"mine\x03"], ids=repr)
def test_a_name_that_is_broken_off_saves_nothing(sandbox: NonoRun, keys: bytes) -> None:
    with run(sandbox, "--allow-cwd", "--allow-domain=x.example") as person:
        answer(person, OFFER, b"g\n")
        answer(person, NAME, keys)
        assert person.end() == 5
    assert list(profile_file(sandbox, "x").parent.iterdir()) == []


def test_a_run_without_a_profile_offers_a_new_one_that_may_be_skipped(sandbox: NonoRun) -> None:
    flags = ("--allow-cwd", "--allow-domain=x.example")
    with run(sandbox, *flags) as person:
        answer(person, OFFER, b"g\n")
        answer(person, NAME, b"skip\n")
        assert person.end() == 5
    assert list(profile_file(sandbox, "x").parent.iterdir()) == []
    with run(sandbox, *flags) as person:
        answer(person, OFFER, b"g\n")
        answer(person, NAME, b"\n")
        assert person.end() == 5
    assert read(sandbox, "sh") == {
        "meta": {"name": "sh"},
        "workdir": {"access": "read"},
        "network": {"allow_domain": ["x.example", "evil.example"]},
    }
    assert b"'g' saves what this run was given as well: --allow-domain x.example" in person.shown


def test_the_next_command_runs_under_what_was_saved(sandbox: NonoRun) -> None:
    """As it is printed, by a shell, and with the same options that a profile cannot say."""
    notes = sandbox.user.home / "notes"
    notes.write_text("dear")
    sandbox.give(notes)
    script = "cat ~/notes; printf '%s' \"$1\"; curl -sS -o /dev/null https://evil.example/; exit 5"
    command = ("sh", "-c", script, "sh", "it's \t\n$HOME `x`")
    flags = ("--allow=.", "--read-file=../notes", "--namespaces=off", "--open-port=3000-3001")
    with run(sandbox, *flags, "--allow-domain=x.example", command=command) as person:
        answer(person, OFFER, b"g\n")
        answer(person, NAME, b"\n")
        assert person.end() == 5
    assert read(sandbox, "sh") == {
        "meta": {"name": "sh"},
        "workdir": {"access": "read"},
        "filesystem": {"allow": ["$WORKDIR"]},
        "network": {"open_port": [3000, 3001], "allow_domain": ["x.example", "evil.example"]},
    }
    _, _, after = person.shown.decode().partition("next time:\r\n")
    pasted = after.splitlines()[0].strip()
    assert pasted.startswith("nono run --profile sh --read-file ../notes --namespaces off -- sh -c")
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {pasted}"], capture_output=True, text=True, check=True
    ).stdout.split("\0")[:-1]
    assert words[words.index("--") + 1 :] == [*command]
    again = sandbox.user.run([*NONO, *words[1:]], cwd=sandbox.project)
    assert again.returncode == 5
    assert again.stdout == "dear" + command[-1]
    assert "is not in the allowlist" not in again.stderr


def test_what_lifted_a_protection_is_not_saved_with_the_rest(sandbox: NonoRun) -> None:
    key = sandbox.user.home / ".ssh"
    key.mkdir()
    sandbox.give(key)
    write(sandbox, "mine", json.dumps(ALLOWED))
    flags = ("--profile=mine", f"--read={key}", f"--bypass-protection={key}", "--allow-domain=y.example")
    with run(sandbox, *flags) as person:
        answer(person, OFFER, b"g\n")
        assert person.end() == 5
    assert "filesystem" not in read(sandbox, "mine")
    assert read(sandbox, "mine")["network"]["allow_domain"] == ["x.example", "y.example", "evil.example"]
    repeated = f"nono run --profile mine --read {key} --bypass-protection {key} -- sh -c"
    assert repeated.encode() in person.shown.replace(b"\r\n", b"")


@pytest.mark.parametrize(("word", "is_granted"), [(b"override\n", True), (b"yes\n", False)])
def test_a_protected_path_needs_the_word(sandbox: NonoRun, word: bytes, is_granted: bool) -> None:
    key = sandbox.user.home / ".ssh"
    key.mkdir()
    sandbox.give(key)
    write(sandbox, "mine", json.dumps({"network": {"block": True}}))
    with run(sandbox, "--profile=mine", "--capability-elevation", command=("cat", str(key))) as person:
        answer(person, OFFER, b"g\n")
        answer(person, b"type 'override'", word)
        person.end()
    granted = {"read": ["~/.ssh"], "bypass_protection": ["~/.ssh"]}
    assert read(sandbox, "mine").get("filesystem") == (granted if is_granted else None)


def test_a_path_can_be_left_out_for_ever(sandbox: NonoRun) -> None:
    key = sandbox.user.home / ".ssh"
    key.mkdir()
    sandbox.give(key)
    write(sandbox, "mine", json.dumps({"network": {"block": True}}))
    flags = ("--profile=mine", "--capability-elevation")
    with run(sandbox, *flags, command=("cat", str(key))) as person:
        answer(person, OFFER, b"s\n")
        person.end()
    assert read(sandbox, "mine")["filesystem"] == {"suppress_save_prompt": ["~/.ssh"]}
    with run(sandbox, *flags, command=("cat", str(key))) as person:
        person.end()
    assert OFFER not in person.shown


def test_a_file_that_would_lose_its_comments_is_left_as_it_is(sandbox: NonoRun) -> None:
    text = f"// by hand\n{json.dumps(ALLOWED)}"
    write(sandbox, "mine", text)
    with run(sandbox, "--profile=mine") as person:
        answer(person, OFFER, b"g\n")
        assert person.end() == 5
    assert b"cannot be rewritten without loss" in person.shown
    assert profile_file(sandbox, "mine").read_text() == text


def test_nobody_is_asked_who_does_not_want_to_be_or_is_not_there(sandbox: NonoRun) -> None:
    write(sandbox, "mine", json.dumps(ALLOWED))
    for flags, environment in (
        (["--silent"], {}),
        (["--no-diagnostics"], {}),
        ([], {"NONO_NO_SAVE_PROMPT": "1"}),
    ):
        with run(sandbox, "--profile=mine", *flags, environment=environment) as person:
            assert person.end() == 5
        assert OFFER not in person.shown
    argv = [*NONO, "run", "--profile=mine", "--", *HOSTS]
    alone = sandbox.user.run(argv)
    assert alone.returncode == 5
    assert "skip: " not in alone.stderr
    assert "fix: --allow-domain evil.example" in alone.stderr


def test_a_run_that_was_denied_nothing_offers_nothing(sandbox: NonoRun) -> None:
    write(sandbox, "mine", json.dumps(ALLOWED))
    with run(sandbox, "--profile=mine", command=("false",)) as person:
        assert person.end() == 1
    assert OFFER not in person.shown


def test_a_profile_that_the_command_may_write_is_not_rewritten(sandbox: NonoRun) -> None:
    """It could have put a link in its place, or anything else."""
    file = sandbox.project / "mine.json"
    file.write_text(json.dumps(ALLOWED | {"workdir": {"access": "readwrite"}}))
    sandbox.give(file)
    with run(sandbox, f"--profile={file}", "--allow-cwd") as person:
        assert person.end() == 5
    assert OFFER not in person.shown
    assert b"fix: --allow-domain evil.example" in person.shown


def test_a_profile_behind_a_link_of_the_command_is_not_rewritten(sandbox: NonoRun) -> None:
    """It could lead to another profile of the person's, which would be extended in its place."""
    other = write(sandbox, "other", json.dumps(ALLOWED | {"workdir": {"access": "readwrite"}}))
    link = sandbox.project / "mine.json"
    link.symlink_to(other)
    for profile, is_offered in ((link, False), (other, True)):
        with run(sandbox, f"--profile={profile}", "--allow-cwd") as person:
            if is_offered:
                answer(person, OFFER, b"\r")
            assert person.end() == 5
        assert (OFFER in person.shown) == is_offered
        assert b"fix: --allow-domain evil.example" in person.shown


PROBE = "curl -sS -o /dev/null --unix-socket $HOME/probed/bus http://bus/; exit $EXIT"


@pytest.mark.parametrize(
    ("suppressed", "status", "told"),
    [
        pytest.param("~/probed", 0, False, id="suppressed"),
        pytest.param("~/probed", 5, True, id="suppressed, and it failed"),
        pytest.param("~/probe", 0, True, id="another is suppressed"),
    ],
)
def test_what_a_command_does_without_is_told_only_when_it_failed(
    sandbox: NonoRun, suppressed: str, status: int, told: bool
) -> None:
    write(sandbox, "mine", json.dumps(ALLOWED | {"filesystem": {"suppress_save_prompt": [suppressed]}}))
    command = ["sh", "-c", PROBE.replace("$EXIT", str(status))]
    bus = sandbox.user.home / "probed/bus"  # what is absent is no denial
    bus.parent.mkdir()
    sandbox.give(bus.parent)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(bus))
        server.listen()
        alone = {"NONO_NO_SAVE_PROMPT": "1"}
        with run(sandbox, "--profile=mine", command=command, environment=alone) as person:
            assert person.end() == status
    assert (b"probed/bus" in person.shown.partition(b"NONO DIAGNOSTIC")[2]) is told
    recorded = [event["event"] for event in sandbox.events_since(set()) if event["type"] == "network"]
    assert any(event["target"].endswith("/probed/bus") for event in recorded)


BIND = "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])"


@pytest.mark.parametrize(("name", "offered"), [("server.sock", True), ("server-4711.sock", False)])
def test_a_socket_named_after_its_process_is_not_offered(sandbox: NonoRun, name: str, offered: bool) -> None:
    write(sandbox, "mine", json.dumps(ALLOWED))
    command = ["/usr/bin/python3", "-c", BIND, str(sandbox.user.home / name)]
    with run(sandbox, "--profile=mine", command=command) as person:
        if offered:
            answer(person, OFFER, b"\n")
        assert person.end() == 1
    assert name.encode() in person.shown.partition(b"NONO DIAGNOSTIC")[2]
    assert (OFFER in person.shown) is offered
    recorded = [event["event"] for event in sandbox.events_since(set()) if event["type"] == "network"]
    assert f"unix:{sandbox.user.home / name}" in [event["target"] for event in recorded]
