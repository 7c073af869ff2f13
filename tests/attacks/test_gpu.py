"""--allow-gpu with device nodes that stand for GPUs: they are opened and driven, their neighbours are not.

There is no GPU here. The nodes have the number of /dev/null, in a /dev of their own mount namespace. What
a driver needs beyond opening its nodes, ioctl on them and naming threads is not shown.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nono.kernel import landlock
from support.kernelsim.kernel import Kernel
from support.nono_run import NONO, SUPPORT, Ended, NonoRun, program
from support.private_network import can_be_made

GPUS = ("dri/renderD128", "nvidia0", "nvidiactl", "nvidia-uvm", "nvidia-caps/nvidia-cap1", "kfd", "dxg")
OTHERS = ("dri/card0", "nvidia-modeset", "dri/controlD64", "mem0")
PLAIN = ("null", "zero", "full", "random", "urandom", "tty")
LONG = bool(os.environ.get("NONO_TEST_LONG"))
NEEDS_ROOT = pytest.mark.skipif(not can_be_made(), reason="only root makes device nodes, and mounts them")

# sh -c SETUP sh DIRECTORY COMMAND...: the command in a mount namespace where DIRECTORY is /dev.
SETUP = f"""
set -e; new=$1; shift
mount -t tmpfs -o mode=755 nono-gpu "$new"
for name in {" ".join(PLAIN)}; do : >"$new/$name"; mount --bind "/dev/$name" "$new/$name"; done
mkdir "$new/pts" "$new/dri" "$new/nvidia-caps"; mount --bind /dev/pts "$new/pts"
ln -s /proc/self/fd "$new/fd"
for name in {" ".join(GPUS + OTHERS)}; do mknod -m 666 "$new/$name" c 1 3; done
mount --rbind "$new" /dev
exec "$@"
"""


def stage(directory: Path) -> list[str]:
    return ["unshare", "--mount", "sh", "-c", SETUP, "sh", str(directory)]


def before(abi: int) -> list[str]:
    """Return how a command is run on a kernel before this ABI of Landlock: on this one, if it is."""
    return Kernel(landlock_abi=abi - 1).command([]) if landlock.abi_version() >= abi else []


ALLOWED = pytest.param(("--allow-gpu",), marks=pytest.mark.needs("listener"), id="allowed")


@NEEDS_ROOT
@pytest.mark.parametrize("flags", [ALLOWED, pytest.param((), id="not asked for")])
def test_only_gpus_are_opened_and_driven(flags: tuple[str, ...], sandbox: NonoRun, tmp_path: Path) -> None:
    paths = [f"/dev/{name}" for name in GPUS + OTHERS]
    command = program("files.devices", *paths)
    run = sandbox.run(command, profile={"allow_gpu": True}, flags=flags, stage=stage(tmp_path))
    gpus = "ok" if flags else "EACCES"
    expected = {f"/dev/{name}": gpus for name in GPUS} | {f"/dev/{name}": "EACCES" for name in OTHERS}
    assert run.outcomes() == expected
    assert ("NVIDIA: the driver names its threads through the supervisor" in run.stderr) == bool(flags)
    assert ("    r+w  /dev/dxg (file)" in run.stderr.splitlines()) == bool(flags)


@NEEDS_ROOT
@pytest.mark.needs("namespaces")
@pytest.mark.parametrize("abi", [4, 5])
def test_no_request_of_ioctl_reaches_a_device_outside_the_grants(
    abi: int, sandbox: NonoRun, tmp_path: Path
) -> None:
    """Not in access mode 3 either, of which Landlock asks no right; before V5 nor of its ioctl."""
    granted, others = ["/dev/null", "/dev/zero", "/dev/kfd"], [f"/dev/{name}" for name in OTHERS]
    command = program("files.devices", "--mode-3", *granted, *others)
    run = sandbox.run(
        command,
        profile={},
        flags=("--allow-file=/dev/kfd",),
        wrapper=before(abi + 1),
        stage=stage(tmp_path),
    )
    assert run.outcomes() == dict.fromkeys(granted, "ok") | dict.fromkeys(others, "EACCES"), run.stderr
    bare = sandbox.bare(command, stage=stage(tmp_path))
    assert set(bare.outcomes().values()) == {"ok"}


@NEEDS_ROOT
@pytest.mark.needs("namespaces")
def test_before_landlock_v5_a_person_may_grant_all_devices(sandbox: NonoRun, tmp_path: Path) -> None:
    run = sandbox.run(
        program("files.devices", *(f"/dev/{name}" for name in OTHERS)),
        profile={},
        flags=("--allow=/dev",),
        wrapper=before(5),
        stage=stage(tmp_path),
    )
    assert set(run.outcomes().values()) == {"ok"}, run.stderr


def test_without_a_gpu_nothing_starts(sandbox: NonoRun) -> None:
    if any(map(os.path.exists, ("/dev/dri", "/dev/dxg", "/dev/kfd", "/dev/nvidiactl"))):
        pytest.skip("there may be a GPU here")
    refused = sandbox.run(["echo", "started"], profile={"allow_gpu": True}, flags=("--allow-gpu",))
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "--allow-gpu: no GPU devices found." in refused.stderr
    gated = sandbox.run(["echo", "started"], profile={}, flags=("--allow-gpu",))
    assert "does not set allow_gpu" in gated.stderr
    assert sandbox.run(["echo", "started"], profile={}).stdout == "started\n"


# -- names of threads

ELEVATED = {"security": {"capability_elevation": True}, "network": {"allow_domain": []}}


def names(sandbox: NonoRun, directory: Path, *flags: str, **profile: object) -> Ended:
    link = sandbox.project / "comm"
    run = sandbox.run(
        program("files.thread_names", str(link)),
        profile={"allow_gpu": True, **profile},
        flags=("--read=/proc/self", *flags),
        stage=stage(directory),
    )
    link.unlink()
    return run


@NEEDS_ROOT
@pytest.mark.needs("listener")
@pytest.mark.parametrize("profile", [{}, ELEVATED], ids=["open network", "proxy and elevation"])
def test_naming_its_own_threads_opens_nothing_else(
    profile: dict[str, object], sandbox: NonoRun, tmp_path: Path
) -> None:
    """Beside the same run without the flag: what is no name of an own thread fails with the same errno."""
    run = names(sandbox, tmp_path, "--allow-gpu", **profile)
    found, usual = run.outcomes(), names(sandbox, tmp_path, **profile).outcomes()
    assert {way: name for way, (_, name) in found["named"].items()} == {
        way: name for way, (name, _) in found["named"].items()
    }
    assert (found["thread-self"], found["of a child"]) == ("ok", "ok")
    assert {name for _, name in usual["named"].values()} <= {"EACCES", "EPERM"}
    assert {usual["thread-self"], usual["of a child"]} <= {"EACCES", "EPERM"}
    assert found["others"] == usual["others"]
    opened = {name for name, answer in found["others"].items() if answer == "ok"}
    assert opened == {"read", "seen", "mode 3"}  # which write nothing
    assert found["of another namespace"] == "EACCES"
    # The kernel's own answer to a write from another process.
    assert (found["passed on"], found["unchanged"]) == ("EINVAL", True)

    granted = [
        event["entry"]
        for event in run.events
        if event["type"] == "capability_decision" and event["entry"]["decision"] == "Granted"
    ]
    path = f"/proc/{found['pid']}/task/{found['tid']}/comm"
    of_sibling = [entry for entry in granted if entry["request"]["path"] == path]
    assert {entry["request"]["access"] for entry in of_sibling} == {"Write", "ReadWrite"}
    assert {entry["backend"] for entry in of_sibling} == {"policy"}
    assert sum(entry.get("repeats", 1) for entry in of_sibling) >= 300
    assert len(granted) < 30  # folded


@NEEDS_ROOT
@pytest.mark.needs("listener")
def test_a_path_that_changes_while_it_is_judged_opens_no_name_but_an_own(
    sandbox: NonoRun, tmp_path: Path
) -> None:
    tries = 100_000 if LONG else 3000
    command = program("files.thread_names", "race", tries)
    flags = ("--allow-gpu",)
    found = sandbox.run(command, profile={"allow_gpu": True}, flags=flags, stage=stage(tmp_path)).outcomes()
    assert found["other"] == 0
    assert found["mine"] > tries / 100
    assert found["refused"] > tries / 100


@NEEDS_ROOT
@pytest.mark.needs("listener")
def test_a_name_that_cannot_be_recorded_is_not_opened(sandbox: NonoRun, tmp_path: Path) -> None:
    """Processes name themselves one after the other, until the audit log is full."""
    run = sandbox.run(
        program("files.thread_names", "children", 40),
        profile={"allow_gpu": True},
        flags=("--allow-gpu",),
        stage=stage(tmp_path),
        wrapper=("prlimit", "--fsize=12000"),
    )
    outcomes = run.outcomes()
    opened = outcomes.count("ok")
    assert 0 < opened < 40
    assert outcomes == ["ok"] * opened + ["EACCES"] * (40 - opened)
    assert sum(event["type"] == "capability_decision" for event in run.events) == opened


@NEEDS_ROOT
def test_without_a_listener_only_nvidia_gpus_are_refused(sandbox: NonoRun, tmp_path: Path) -> None:
    simulated = (sys.executable, "-P", "-m", "support.kernelsim", "--wsl2", "--notify-busy", "--")
    there = [*stage(tmp_path), "env", f"PYTHONPATH={SUPPORT.parent}"]
    profile, flags = {"allow_gpu": True}, ("--allow-gpu",)
    run = sandbox.run(["echo", "started"], profile=profile, flags=flags, stage=there, wrapper=simulated)
    assert (run.exit_code, run.stdout) == (1, "")
    assert "WSL2: NVIDIA GPU thread-name mediation is not available here" in run.stderr
    assert "leave --allow-gpu out" in run.stderr
    only_wsl2 = [*there, "sh", "-c", 'rm -r /dev/nvidia*; exec "$@"', "sh"]
    run = sandbox.run(["echo", "started"], profile=profile, flags=flags, stage=only_wsl2, wrapper=simulated)
    assert (run.exit_code, run.stdout) == (0, "started\n"), run.stderr


@NEEDS_ROOT
def test_wrap_has_nobody_who_could_name_threads(sandbox: NonoRun, tmp_path: Path) -> None:
    file = sandbox.write_profile({"allow_gpu": True})
    wrap = [*NONO, "wrap", f"--profile={file}", "--allow-gpu", "--", "echo", "started"]
    argv = [*stage(tmp_path), *sandbox.user.command(wrap)]
    environment = sandbox.user.environment()
    ended = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "NVIDIA GPU thread-name mediation needs a supervisor" in ended.stderr
    assert "nono run, with the same options" in ended.stderr
