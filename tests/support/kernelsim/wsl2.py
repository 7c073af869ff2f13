"""Give a process and its descendants the /proc of WSL2, in a mount namespace of their own.

Covers what programs look at: /proc/version, /proc/sys/kernel/osrelease, binfmt_misc/WSLInterop.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.kernelsim.calls import MS_BIND, MS_PRIVATE, MS_REC, mount, unmount
from support.kernelsim.standin import WSL2_VERSION

COMPILER = "gcc (GCC) 11.2.0, GNU ld (GNU Binutils) 2.37"
INTEROP = "enabled\ninterpreter /init\nflags: PF\noffset 0\nmagic 4d5a\n"
PROC_SYS_FS = Path("/proc/sys/fs")
STAGE = Path("/tmp")


def dress_as_wsl2(release: str) -> None:
    """Change what this process sees. OSError EPERM: it may neither mount nor create a user namespace."""
    enter_private_mounts()
    with _stage() as stage:
        version = f"Linux version {release} (root@kernelsim) ({COMPILER}) {WSL2_VERSION}\n"
        _cover(Path("/proc/version"), version, stage)
        _cover(Path("/proc/sys/kernel/osrelease"), f"{release}\n", stage)
        if (PROC_SYS_FS / "binfmt_misc").is_dir():
            mount("binfmt_misc", f"{PROC_SYS_FS}/binfmt_misc", "tmpfs", 0, "mode=755")
            _fill_binfmt_misc(PROC_SYS_FS / "binfmt_misc")
        else:  # a kernel without CONFIG_BINFMT_MISC, where nobody can make the directory in procfs
            rebuild_proc_sys_fs(stage)


def enter_private_mounts() -> None:
    """Enter a mount namespace whose changes stay inside, within a user namespace if that is necessary.

    In a user namespace the ids stay the same, the capabilities are lost with the next execve(2), and files of
    other users appear to belong to the overflow uid (user_namespaces(7)).
    """
    uid, gid = os.geteuid(), os.getegid()
    try:
        os.unshare(os.CLONE_NEWNS)
    except PermissionError:
        os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNS)
        Path("/proc/self/setgroups").write_text("deny")  # required before the gid map can be written
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    mount("none", "/", None, MS_REC | MS_PRIVATE)


@contextmanager
def _stage() -> Iterator[Path]:
    """Yield a directory for files to bind from. It is in memory, so nothing remains however the tree ends."""
    mount("kernelsim", str(STAGE), "tmpfs", 0, "mode=755")
    try:
        yield STAGE
    finally:
        unmount(str(STAGE))


def _cover(path: Path, content: str, stage: Path) -> None:
    substitute = stage / path.name
    substitute.write_text(content)
    substitute.chmod(0o444)
    mount(str(substitute), str(path), None, MS_BIND)


def _fill_binfmt_misc(directory: Path) -> None:
    (directory / "status").write_text("enabled\n")
    (directory / "WSLInterop").write_text(INTEROP)


def rebuild_proc_sys_fs(stage: Path) -> None:
    """Replace /proc/sys/fs with a directory that has the same entries, bound from it, plus binfmt_misc."""
    rebuilt = stage / "fs"
    rebuilt.mkdir()
    for entry in PROC_SYS_FS.iterdir():
        if entry.name == "binfmt_misc":
            continue
        copy = rebuilt / entry.name
        if entry.is_dir():
            copy.mkdir()
        else:
            copy.touch()
        mount(str(entry), str(copy), None, MS_BIND | MS_REC)
    (rebuilt / "binfmt_misc").mkdir()
    _fill_binfmt_misc(rebuilt / "binfmt_misc")
    mount(str(rebuilt), str(PROC_SYS_FS), None, MS_BIND | MS_REC)
