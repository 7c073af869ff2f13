"""K24, K25: what the kernel shares among all processes of a user, and no path or address leads to."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.nono_run import PROXY_ONLY, SANDBOX_POLICIES, NonoRun, program

# Every rung of a proxy-only run, a blocked network and an open one.
RUNS = {
    **{policy: (PROXY_ONLY, (f"--sandbox-policy={policy}",)) for policy in SANDBOX_POLICIES},
    "blocked": ({}, ("--block-net",)),
    "open": ({}, ()),
}
HOW = pytest.mark.parametrize(("profile", "flags"), RUNS.values(), ids=RUNS)
KEYS = ("add_key", "request_key", "keyctl")
OF_GROUPS = {
    "setpriority(PRIO_PGRP, 0)": "setpriority(which=1)",
    "setpriority(PRIO_PGRP)": "setpriority(which=1)",
    "setpriority(PRIO_PGRP), high bits": "setpriority(which=1)",
    "ioprio_set(PGRP)": "ioprio_set(which=2)",
}
OF_USERS = {"setpriority(PRIO_USER)": "setpriority(which=2)", "ioprio_set(USER)": "ioprio_set(which=3)"}
OWN = (
    *("setpriority(PRIO_PROCESS, 0)", "setpriority(PRIO_PROCESS, own)", "nice"),
    "ioprio_set(PROCESS, 0)",
)
FAULTS = "/dev/userfaultfd"
PYTHON = (sys.executable, "-I", "-S", "-c")
# A test that fails must not have changed the priority of who runs the tests.
OWN_GROUP = (*PYTHON, "import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])")
TELL_PRIORITY = (
    *PYTHON,
    "import os, subprocess, sys; subprocess.run(sys.argv[1:]); print(os.getpriority(os.PRIO_PROCESS, 0))",
)


@pytest.mark.needs("keyrings")
@HOW
def test_no_key_is_reached(profile: Mapping[str, object], flags: tuple[str, ...], sandbox: NonoRun) -> None:
    run = sandbox.run(program("processes.keys"), profile=profile, flags=flags)
    assert run.outcomes() == dict.fromkeys((*KEYS, "key of a cipher"), "EPERM")


@pytest.mark.needs("keyrings", "listener")
def test_the_refusal_of_a_key_is_recorded(sandbox: NonoRun) -> None:
    run = sandbox.run(program("processes.keys"))
    reason = "the kernel's keyrings are shared with processes outside the sandbox"
    recorded = [(event["target"], event["rule"], event["reason"]) for event in run.denied]
    calls = (*KEYS, "setsockopt(level=279, option=7)")
    assert sorted(recorded) == sorted((call, "network.static_filter", reason) for call in calls)


@pytest.mark.needs("keyrings")
def test_keys_are_reached_without_nono(sandbox: NonoRun) -> None:
    outcomes = sandbox.bare(program("processes.keys")).outcomes()
    if outcomes["keyctl"] == "ENOSYS":
        pytest.skip("this kernel has no keyrings")
    assert (outcomes["add_key"], outcomes["keyctl"]) == ("ok", "ok")
    assert outcomes["request_key"] not in ("EPERM", "ENOSYS")  # a helper would have been started
    assert outcomes["key of a cipher"] != "EPERM"


def faults_on_stdin() -> tuple[str, ...]:
    """Return an argv prefix by which a program outside hands the device over, if it can open it."""
    can_open = os.access(FAULTS, os.R_OK | os.W_OK)
    return ("sh", "-c", f'exec "$@" <>{FAULTS}', "sh") if can_open else ()


@HOW
def test_no_memory_stalls_its_reader(
    profile: Mapping[str, object], flags: tuple[str, ...], sandbox: NonoRun
) -> None:
    """The supervisor reads the memory of the command to judge its calls."""
    run = sandbox.run(program("processes.faults"), profile=profile, flags=flags, stage=faults_on_stdin())
    assert run.outcomes() == {"userfaultfd": "EPERM", "device": "EPERM"}


@pytest.mark.needs("userfaultfd")
def test_memory_stalls_its_reader_without_nono(sandbox: NonoRun) -> None:
    said = sandbox.bare(program("processes.faults"), stage=faults_on_stdin()).outcomes()
    if said["userfaultfd"] == "ENOSYS":
        pytest.skip("this kernel has no userfaultfd")
    assert said == {"userfaultfd": "ok", "device": "ok" if faults_on_stdin() else "ENOTTY"}


LEASES = {
    "file, write": "EPERM",
    "file, read": "EPERM",
    "file, high bits": "EPERM",
    "file, delegation": "EPERM",
}
REST = {"file, flags": "ok", "file, lock": "ok"}


@HOW
def test_nobody_waits_for_a_lease_on_a_file_that_may_be_read(
    profile: Mapping[str, object], flags: tuple[str, ...], sandbox: NonoRun
) -> None:
    """Whoever opens it outside would wait for 45 s, and so would nono for a file of its installation."""
    path = own_file(sandbox)
    argv = program("files.leases", str(path))
    run = sandbox.run(argv, profile=profile, flags=[*flags, f"--read-file={path}"])
    assert run.outcomes() == LEASES | REST
    path.read_bytes()


def test_a_lease_is_had_without_nono(sandbox: NonoRun) -> None:
    outcomes = sandbox.bare(program("files.leases", str(own_file(sandbox)))).outcomes()
    assert [outcomes[f"file, {kind}"] for kind in ("write", "read", "high bits")] == ["ok"] * 3
    assert outcomes["file, delegation"] != "EPERM"  # EINVAL before Linux 6.19


def own_file(sandbox: NonoRun) -> Path:
    path = sandbox.user.home / "file"
    path.write_text("settings")
    return sandbox.give(path)


def everything(sandbox: NonoRun) -> tuple[dict[str, str], list[str]]:
    """Return the calls to try. As root, PRIO_USER would mean the whole machine if it were not refused."""
    is_root = sandbox.user.uid == 0
    return (OF_GROUPS, []) if is_root else (OF_GROUPS | OF_USERS, ["all"])


@pytest.mark.needs("namespaces")
@HOW
def test_the_priority_of_a_group_is_not_set(
    profile: Mapping[str, object], flags: tuple[str, ...], sandbox: NonoRun
) -> None:
    """nono is in the process group of the command, and so is whoever started it."""
    refused, arguments = everything(sandbox)
    command = program("processes.priorities", *arguments)
    wrapper = (*OWN_GROUP, *TELL_PRIORITY)
    run = sandbox.run(command, profile=profile, flags=flags, wrapper=wrapper)
    outcomes, priority = run.stdout.splitlines()
    assert int(priority) == os.getpriority(os.PRIO_PROCESS, 0)
    assert json.loads(outcomes) == dict.fromkeys(refused, "EPERM") | dict.fromkeys(OWN, "ok")


@pytest.mark.needs("listener")
def test_the_refusal_of_a_priority_is_recorded(sandbox: NonoRun) -> None:
    refused, arguments = everything(sandbox)
    run = sandbox.run(program("processes.priorities", *arguments), wrapper=OWN_GROUP)
    reason = "the group or user has processes outside the sandbox, nono itself among them"
    assert {(event["target"], event["reason"]) for event in run.denied} == {
        (target, reason) for target in refused.values()
    }


def test_the_priority_of_a_group_is_set_without_nono(sandbox: NonoRun) -> None:
    command = program("processes.priorities")
    outer = [*OWN_GROUP, *TELL_PRIORITY, *command]
    outcomes, priority = sandbox.bare(outer).stdout.splitlines()
    assert int(priority) == 19
    assert set(json.loads(outcomes).values()) == {"ok"}


# By number, <linux/capability.h>: immutable files, accounting, the clock, consoles, audit, suspending.
OF_THE_MACHINE = (9, 20, 25, 26, 30, 35, 36, 37)


@pytest.mark.root
@pytest.mark.parametrize("sandbox", ["root"], indirect=True)
@HOW
def test_root_has_no_capability_over_the_whole_machine(
    profile: Mapping[str, object], flags: tuple[str, ...], sandbox: NonoRun
) -> None:
    run = sandbox.run(["grep", "^Cap", "/proc/self/status"], profile=profile, flags=flags)
    sets = {line.split()[0]: int(line.split()[1], 16) for line in run.stdout.splitlines()}
    assert len(sets) == 5, run.stderr
    of_the_machine = sum(1 << number for number in OF_THE_MACHINE)
    assert {name: held & of_the_machine for name, held in sets.items()} == dict.fromkeys(sets, 0)


@pytest.mark.root
@pytest.mark.parametrize("sandbox", ["root"], indirect=True)
def test_root_may_have_them_without_nono(sandbox: NonoRun) -> None:
    held = int(sandbox.bare(["sed", "-n", "s/^CapEff://p", "/proc/self/status"]).stdout, 16)
    if not any(held >> each & 1 for each in OF_THE_MACHINE):
        pytest.skip("root has none of them here: a container")
    assert held >> 0 & 1  # CAP_CHOWN, which the command keeps
