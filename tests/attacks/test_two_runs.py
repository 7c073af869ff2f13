"""F-handed: two runs of one person conspire; neither may read what is denied."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nono.kernel import landlock
from support.canary import Canary
from support.kernelsim.kernel import Kernel
from support.nono_run import NO_NAMESPACES, NONO, PROGRAM_GRANTS, TIMEOUT_S, Ended, NonoRun, program

CANARY = "canary behind a mask"
FILES = {
    ".env": CANARY,
    "mine": "mine",
    "meeting/file": "passed on",
    ".git/HEAD": "",
    ".git/hooks/there": "laid outside",
}
HAS_PORTS = landlock.abi_version() >= 4
DENIED = {"filesystem": {"deny": ["$WORKDIR/.env"]}}
PROXIED = {"allow_domain": ["granted.test"]}
# Each way to run the second one: its network, and its flags.
OPEN: dict[str, object] = {}
BLOCKED: dict[str, object] = {"block": True}
WAYS = {
    "open network": (OPEN, ()),
    "blocked network": (BLOCKED, ()),
    "without namespaces": (BLOCKED, (NO_NAMESPACES,)),
    "netns": (PROXIED, ("--sandbox-policy=netns",)),
    **({"landlock": (PROXIED, ("--sandbox-policy=landlock",))} if HAS_PORTS else {}),
}


@pytest.fixture
def stage(sandbox: NonoRun) -> Iterator[Path]:
    """Yield the second run's project, with the directory in which both runs may write."""
    project = sandbox.project
    for directory in ("meeting", *(f".git{name}" for name in ("", "/hooks", "/objects", "/refs"))):
        (project / directory).mkdir()
    for name, text in FILES.items():
        (project / name).write_text(text)
    for path in project.rglob("*"):
        sandbox.give(path)
    yield project
    for left in project.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def grants(stage: Path, *flags: str) -> list[str]:
    return [f"--allow={stage}", *PROGRAM_GRANTS, *flags]


@contextmanager
def handing(sandbox: NonoRun, stage: Path, way: str) -> Iterator[subprocess.Popen[str]]:
    """Yield the first run, which may use the directory of the meeting and nothing else of the project."""
    meeting = stage / "meeting"
    command = program("files.handing", "hand", f"{meeting}/socket", way, str(stage), f"{meeting}/file")
    flags = ("--block-net", f"--allow={meeting}", f"--workdir={sandbox.user.home}/run", *PROGRAM_GRANTS)
    with sandbox.started([*NONO, "run", *flags, "--", *command], sandboxed=False) as first:
        yield first


def taken(sandbox: NonoRun, stage: Path, argv: Sequence[str], way: str, *acts: str) -> Any:
    """Return the result of `acts` in a run by `argv`, to which the first run handed the project."""
    return second_run(sandbox, stage, argv, way, *acts).outcomes()


def second_run(sandbox: NonoRun, stage: Path, argv: Sequence[str], way: str, *acts: str) -> Ended:
    (stage / "meeting/socket").unlink(missing_ok=True)
    command = program("files.handing", "take", f"{stage}/meeting/socket", way, *acts)
    with handing(sandbox, stage, way) as first:
        second = sandbox.bare([*argv, *command])
        assert second.stdout, second.stderr
        first_said, _ = first.communicate(timeout=TIMEOUT_S)
    assert json.loads(first_said) == {".env": "EACCES", "mine": "EACCES"}
    return second


def masked(sandbox: NonoRun, stage: Path, network: object, *flags: str, verb: str = "run") -> list[str]:
    profile = sandbox.write_profile({**DENIED, "network": network})
    return [*NONO, verb, f"--profile={profile}", *grants(stage, *flags), "--"]


REACHED = ("read:.env", "write:.env", "chdir:.env", "link:.env", "move:.env", "read:mine")
HELD = {**dict.fromkeys((*REACHED, "opened anew"), "EACCES"), "passed": "passed on"}


@pytest.mark.needs("mounts", "namespaces")
@pytest.mark.parametrize("listens", ["hand", "take"])
@pytest.mark.parametrize("way", WAYS)
def test_a_directory_of_another_run_leads_to_nothing_denied(
    way: str, listens: str, sandbox: NonoRun, stage: Path
) -> None:
    network, flags = WAYS[way]
    said = taken(sandbox, stage, masked(sandbox, stage, network, *flags), listens, *REACHED)
    assert (stage / ".env").read_text() == CANARY
    assert said == HELD


@pytest.mark.needs("mounts")
def test_a_wrapped_command_is_led_to_nothing_denied(sandbox: NonoRun, stage: Path) -> None:
    assert taken(sandbox, stage, masked(sandbox, stage, BLOCKED, verb="wrap"), "hand", *REACHED) == HELD


@pytest.mark.needs("mounts", "listener")
def test_a_socket_of_ones_own_leads_to_nothing_denied_where_sockets_are_judged(
    sandbox: NonoRun, stage: Path
) -> None:
    """A command may listen where it may write, and nobody judges the connect of the other run."""
    assert taken(sandbox, stage, masked(sandbox, stage, PROXIED), "take", *REACHED) == HELD


@pytest.mark.needs("mounts")
def test_it_leads_there_without_nono(sandbox: NonoRun, stage: Path) -> None:
    said = taken(sandbox, stage, [], "hand", "read:.env", "chdir:.env", "link:.env", "read:mine")
    there = {"read:mine": "mine", "passed": "passed on"}
    reached = dict.fromkeys(("read:.env", "chdir:.env", "link:.env", "opened anew"), CANARY)
    assert said == {**reached, **there}


# What lays a hook or takes one away.
LAID = (
    "write:.git/hooks/pre-commit",
    "write:.git/hooks/there",
    "remove:.git/hooks/there",
    "move:.git/hooks/there",
    "move:.git/hooks",
    "mkdir:.git/hooks/directory",
)


@pytest.mark.needs("namespaces", ordinary=True)
def test_a_directory_of_another_run_leads_to_no_hooks(sandbox: NonoRun, stage: Path) -> None:
    argv = [*NONO, "run", "--block-net", *grants(stage), "--"]
    said = taken(sandbox, stage, argv, "hand", *LAID, "read:mine")
    assert {act: said[act] for act in LAID} == dict.fromkeys(LAID, "EACCES")
    assert said["read:mine"] == "mine"
    assert [*(stage / ".git/hooks").iterdir()] == [stage / ".git/hooks/there"]
    assert (stage / ".git/hooks/there").read_text() == "laid outside"


@pytest.mark.needs("namespaces", ordinary=True)
@pytest.mark.parametrize("act", ["empty", "disable"])
def test_a_hook_that_it_leads_to_is_told_once_it_does_nothing(
    act: str, sandbox: NonoRun, stage: Path
) -> None:
    """Landlock holds neither: this is the price of reading that costs nothing (ADR 83)."""
    (stage / ".git/hooks/there").chmod(0o755)
    argv = [*NONO, "run", "--silent", "--block-net", *grants(stage), "--"]
    ended = second_run(sandbox, stage, argv, "hand", f"{act}:.git/hooks/there")
    assert ended.outcomes()[f"{act}:.git/hooks/there"] in ("emptied", "disabled")
    assert "git outside no longer runs there" in ended.stderr


@pytest.mark.needs("namespaces", ordinary=True)
def test_it_leads_to_hooks_that_nothing_holds(sandbox: NonoRun, stage: Path) -> None:
    argv = [*NONO, "run", "--block-net", NO_NAMESPACES, *grants(stage), "--"]
    assert taken(sandbox, stage, argv, "hand", LAID[0])[LAID[0]] == "written"


def handed_socket(
    sandbox: NonoRun, stage: Path, port: int, *flags: str, wrapper: Sequence[str] = ()
) -> Ended:
    """Return a run to which a run that may connect to nobody handed a TCP socket."""
    meeting = stage / "meeting"
    give, take = (program("sending.handed", act, f"{meeting}/socket", port) for act in ("hand", "take"))
    giving = ["--allow-domain=granted.test", f"--allow={meeting}", f"--workdir={meeting}", *PROGRAM_GRANTS]
    with sandbox.started([*NONO, "run", *giving, "--", *give], sandboxed=False) as first:
        second = sandbox.run(take, flags=(f"--allow={meeting}", *flags), wrapper=wrapper)
        first_said, _ = first.communicate(timeout=TIMEOUT_S)
    assert json.loads(first_said) == {"own": "EACCES"}
    return second


@pytest.mark.needs("listener")
@pytest.mark.skipif(not HAS_PORTS, reason="Landlock has no TCP rules here")
@pytest.mark.parametrize(
    "flags", [("--block-net",), ("--sandbox-policy=landlock",)], ids=lambda each: each[0]
)
def test_a_socket_of_another_run_is_held_by_rules_for_ports(
    flags: tuple[str, ...], sandbox: NonoRun, stage: Path
) -> None:
    with Canary() as canary:
        second = handed_socket(sandbox, stage, canary.tcp("stranger"), *flags)
        assert canary.seen() == {}
    assert second.outcomes()["handed"] == "EACCES"


BELOW_PORTS = Kernel(landlock_abi=3)


@pytest.mark.needs("listener")
@pytest.mark.parametrize(
    ("flags", "wrapper"),
    [(("--sandbox-policy=netns",), ()), (("--block-net",), BELOW_PORTS.command([]))],
    ids=["netns", "blocked, Landlock V3"],
)
def test_a_run_says_that_a_socket_of_another_run_is_not_held(
    flags: tuple[str, ...], wrapper: Sequence[str], sandbox: NonoRun, stage: Path
) -> None:
    with Canary() as canary:
        second = handed_socket(sandbox, stage, canary.tcp("stranger"), *flags, wrapper=wrapper)
        assert canary.seen() == {"stranger": 1}
    assert second.outcomes()["own"] in ("ECONNREFUSED", "EPERM")
    assert second.outcomes()["handed"] == "ok"
    said = [str(event) for event in second.events if event["type"] == "not_enforced"]
    assert any("a TCP socket that another run of yours" in each for each in said)


@pytest.mark.needs("namespaces", "user namespaces")  # the program outside hands one in
@pytest.mark.parametrize("flags", [(), (NO_NAMESPACES,), None], ids=["namespaces", "without", "bare"])
def test_what_a_program_outside_hands_in_for_reading_is_written_only_if_it_has_no_path(
    flags: tuple[str, ...] | None, sandbox: NonoRun, stage: Path
) -> None:
    meeting, not_granted = stage / "meeting", sandbox.user.home / "not-granted"
    not_granted.write_text("mine")
    sandbox.give(not_granted)
    hand, take = (
        program("files.opened_anew", act, f"{meeting}/socket", *more)
        for act, *more in (("hand", str(not_granted)), ("take",))
    )
    with sandbox.started(hand, sandboxed=False) as outside:
        if flags is None:
            second = sandbox.bare(take)
        else:
            second = sandbox.run(take, flags=("--block-net", f"--allow={meeting}", *flags))
        outside.communicate(timeout=TIMEOUT_S)
    held = {} if flags is None else {"file": "EACCES", "namespace": "EPERM"}
    assert second.outcomes() == dict.fromkeys(("file", "memory", "pipe", "namespace"), "ok") | held
