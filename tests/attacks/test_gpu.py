"""--allow-gpu with device nodes that stand for GPUs: they are opened and driven, their neighbours are not.

There is no GPU here. The nodes have the number of /dev/null, in a /dev of their own mount namespace. What
a driver needs beyond opening its nodes and ioctl on them is not shown.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.nono_run import NonoRun, program

GPUS = ("dri/renderD128", "nvidia0", "nvidiactl", "nvidia-uvm", "nvidia-caps/nvidia-cap1", "kfd", "dxg")
OTHERS = ("dri/card0", "nvidia-modeset", "dri/controlD64", "mem0")
PLAIN = ("null", "zero", "full", "random", "urandom", "tty")
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes device nodes")

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


@NEEDS_ROOT
@pytest.mark.parametrize("flags", [("--allow-gpu",), ()], ids=["allowed", "not asked for"])
def test_gpus_are_opened_and_driven_and_their_neighbours_are_not(
    flags: tuple[str, ...], sandbox: NonoRun, tmp_path: Path
) -> None:
    paths = [f"/dev/{name}" for name in GPUS + OTHERS]
    command = program("devices", *paths)
    run = sandbox.run(command, profile={"allow_gpu": True}, flags=flags, stage=stage(tmp_path))
    gpus = "ok" if flags else "EACCES"
    expected = {f"/dev/{name}": gpus for name in GPUS} | {f"/dev/{name}": "EACCES" for name in OTHERS}
    assert run.outcomes() == expected
    assert ("the command cannot name its threads" in run.stderr) == bool(flags)
    assert ("    r+w  /dev/dxg (file)" in run.stderr.splitlines()) == bool(flags)


def test_without_a_gpu_nothing_starts(sandbox: NonoRun) -> None:
    if any(map(os.path.exists, ("/dev/dri", "/dev/dxg", "/dev/kfd", "/dev/nvidiactl"))):
        pytest.skip("there may be a GPU here")
    refused = sandbox.run(["echo", "started"], profile={"allow_gpu": True}, flags=("--allow-gpu",))
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "--allow-gpu: no GPU devices found." in refused.stderr
    gated = sandbox.run(["echo", "started"], profile={}, flags=("--allow-gpu",))
    assert "does not set allow_gpu" in gated.stderr
    assert sandbox.run(["echo", "started"], profile={}).stdout == "started\n"
