"""Try to reach denied paths below the granted working directory by every way around a mount.

masks CANARY [NAME ...]: each attempt runs in a child process, which then looks for CANARY wherever the
attempt may have brought it. The report gives the errno of the attempt and the places where CANARY was found.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Callable, Iterable

from support.attack_programs.outcome import outcome, report, syscall

DENIED = (".env", "link", "keys/id", "sub/deep/key", ".git/hooks/pre-commit")
MASKS = (".env", "link", "keys", "sub/deep/key", ".git/hooks")
MOVED = ("taken", "taken/id", "taken/key", "taken/deep/key", "taken/hooks/pre-commit", "taken/pre-commit")

AT_EMPTY_PATH, AT_RECURSIVE, MNT_DETACH, MS_BIND, MS_REC, MS_REMOUNT = (
    0x1000, 0x8000, 2, 0x1000, 0x4000, 32,
)  # fmt: skip
OPEN_TREE_CLONE, RENAME_EXCHANGE = 1, 2
MOVE_MOUNT_BOTH_EMPTY = 0x44
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NODEV = 1, 4

# The places to search afterwards: an attempt may add descriptors of directories.
Attempt = Callable[[list[int]], object]


def text(value: str) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(os.fsencode(value))


def call(name: str, *arguments: int | str | None) -> int:
    """Make the raw system call. Texts are kept alive until it has returned."""
    kept = [text(one) if isinstance(one, str) else one for one in arguments]
    addresses = [one if isinstance(one, int) else 0 if one is None else ctypes.addressof(one) for one in kept]
    return syscall(name, *addresses)


def read(path: str) -> Attempt:
    return lambda _: open(path, "rb").read()


def write(path: str, mode: str = "ab") -> Attempt:
    return lambda _: open(path, mode).write(b"x")


def mount_tree(path: str, flags: int = 0) -> Attempt:
    """Copy the tree at path, without its mounts unless flags include them, to be searched by descriptor."""

    def attempt(places: list[int]) -> None:
        places.append(call("open_tree", -100, path, OPEN_TREE_CLONE | flags))

    return attempt


def overlay(path: str) -> Attempt:
    """Create a file system that shows its lower layer and is not mounted anywhere."""

    def attempt(places: list[int]) -> None:
        context = call("fsopen", "overlay", 0)
        call("fsconfig", context, 1, "lowerdir", f"{os.getcwd()}/{path}:{os.getcwd()}/other", 0)
        call("fsconfig", context, 6, None, None, 0)
        places.append(call("fsmount", context, 0, 0))

    return attempt


def unlocked(path: str) -> Attempt:
    """Make the mask writable."""

    def attempt(_: list[int]) -> None:
        attributes = ctypes.create_string_buffer(
            b"".join(n.to_bytes(8, "little") for n in (0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, 0, 0)), 32
        )
        name = text(path)
        syscall("mount_setattr", -100, ctypes.addressof(name), 0, ctypes.addressof(attributes), 32)

    return attempt


def moved_away(path: str) -> Attempt:
    def attempt(_: list[int]) -> None:
        mask, other = os.open(path, os.O_PATH | os.O_NOFOLLOW), os.open("other", os.O_PATH)
        call("move_mount", mask, "", other, "", MOVE_MOUNT_BOTH_EMPTY)

    return attempt


def by_handle(directory: str, name: str) -> Attempt:
    """Open, from a directory next to it, the handle of a directory that contains something masked."""

    def attempt(places: list[int]) -> None:
        handle = ctypes.create_string_buffer((128).to_bytes(4, "little") + bytes(132), 136)
        mount_id = ctypes.c_int()
        path = text(name)
        at = ctypes.addressof(handle)
        syscall("name_to_handle_at", -100, ctypes.addressof(path), at, ctypes.addressof(mount_id), 0)
        beside = os.open(directory, os.O_RDONLY)
        places.append(syscall("open_by_handle_at", beside, at, os.O_RDONLY | os.O_DIRECTORY))

    return attempt


def chrooted(_: list[int]) -> None:
    os.chroot(".")
    os.chdir("/")


def exchanged(one: str, other: str) -> Attempt:
    return lambda _: call("renameat2", -100, one, -100, other, RENAME_EXCHANGE)


def through(link: str) -> Attempt:
    """Follow a magic link of a process to a root or a working directory (proc(5))."""

    def attempt(places: list[int]) -> None:
        descriptor = os.open(link, os.O_PATH)
        places.append(descriptor)
        if link.endswith("root"):
            places.append(os.open(os.getcwd().lstrip("/"), os.O_PATH, dir_fd=descriptor))

    return attempt


def of_another_process(name: str) -> Attempt:
    def attempt(places: list[int]) -> None:
        reading, writing = os.pipe()
        other = os.fork()
        if other == 0:
            os.read(reading, 1)
            os._exit(0)
        try:
            through(f"/proc/{other}/{name}")(places)
        finally:
            os.write(writing, b"!")
            os.waitpid(other, 0)

    return attempt


def reopened(path: str) -> Attempt:
    def attempt(_: list[int]) -> None:
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW)
        os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY)

    return attempt


def entered(path: str) -> Attempt:
    return lambda _: os.setns(os.open(path, os.O_RDONLY), os.CLONE_NEWNS)


def bind(source: str, onto: str, flags: int) -> Attempt:
    return lambda _: call("mount", source, onto, None, flags, None)


def pivoted(_: list[int]) -> None:
    os.chdir("other")
    call("pivot_root", ".", ".")


def nested(attempt: Attempt) -> Attempt:
    """Run the attempt with every capability, over mounts that are a copy of ours (unshare -Urm)."""

    def inside(places: list[int]) -> None:
        os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNS)
        attempt(places)

    return inside


def on_files() -> Iterable[tuple[str, Attempt]]:
    for path in DENIED:
        yield f"read {path}", read(path)
        yield f"append to {path}", write(path)
        yield f"truncate {path}", lambda _, path=path: os.truncate(path, 0)  # type: ignore[misc]  # bound
        yield f"reopen {path}", reopened(path)
    for path in MASKS:
        yield f"unlink {path}", lambda _, path=path: os.unlink(path)  # type: ignore[misc]  # bound
        yield f"rmdir {path}", lambda _, path=path: os.rmdir(path)  # type: ignore[misc]  # bound
        yield f"move {path}", lambda _, path=path: os.rename(path, "taken")  # type: ignore[misc]  # bound
        yield f"replace {path}", lambda _, path=path: os.rename("mine", path)  # type: ignore[misc]  # bound
        yield f"exchange {path}", exchanged("mine", path)
        yield f"link {path}", lambda _, path=path: os.link(path, "taken", follow_symlinks=False)  # type: ignore[misc]  # bound
        yield f"mode of {path}", lambda _, path=path: os.chmod(path, 0o777)  # type: ignore[misc]  # bound
        yield f"times of {path}", lambda _, path=path: os.utime(path, follow_symlinks=False)  # type: ignore[misc]  # bound
    for path in ("keys", ".git/hooks"):
        yield f"create in {path}", write(f"{path}/new")
        yield f"make a directory in {path}", lambda _, path=path: os.mkdir(f"{path}/d")  # type: ignore[misc]  # bound
    for path in (".git", "sub", "sub/deep"):
        yield f"move {path}", lambda _, path=path: os.rename(path, "taken")  # type: ignore[misc]  # bound
        yield f"exchange {path}", exchanged("other", path)


def around_mounts() -> Iterable[tuple[str, Attempt]]:
    parent = os.getppid()
    yield "root of process 1", through("/proc/1/root")
    yield "root of the parent", through(f"/proc/{parent}/root")
    yield "cwd of the parent", through(f"/proc/{parent}/cwd")
    yield "mounts of the parent", entered(f"/proc/{parent}/ns/mnt")
    yield "own root", through("/proc/self/root")
    yield "own cwd", through("/proc/self/cwd")
    yield "root of a child", of_another_process("root")
    yield "cwd of a child", of_another_process("cwd")
    yield "chroot", chrooted
    yield "pivot_root", pivoted
    for path in MASKS:
        yield f"umount {path}", lambda _, path=path: call("umount2", path, MNT_DETACH)  # type: ignore[misc]  # bound
        yield f"make usable {path}", unlocked(path)
        yield f"mount away {path}", moved_away(path)
    for path in (".", ".git", "sub", "sub/deep"):
        yield f"umount {path}", lambda _, path=path: call("umount2", path, MNT_DETACH)  # type: ignore[misc]  # bound
        yield f"bind {path}", bind(path, "other", MS_BIND)
        yield f"bind all of {path}", bind(path, "other", MS_BIND | MS_REC)
        yield f"tree of {path}", mount_tree(path)
        yield f"whole tree of {path}", mount_tree(path, AT_RECURSIVE)
        yield f"overlay of {path}", overlay(path)
        yield f"handle of {path}", by_handle("other", path)
        yield f"handle of {path} from itself", by_handle(path, path)


def found(canary: bytes, places: Iterable[int]) -> list[str]:
    """Return where canary can be read: below the working directory, and below each of places."""
    here = os.open(".", os.O_PATH)
    names = [
        (place, name) for place in (here, *places) for name in (*DENIED, *MOVED, "id", "key", "deep/key")
    ]
    names += [(here, f"other/{name}") for name in (*DENIED, "deep/key", "key", "hooks/pre-commit")]
    leaks = []
    for place, name in names:
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK, dir_fd=place)
            if canary in os.read(descriptor, 4096):
                leaks.append(name)
            os.close(descriptor)
        except OSError:
            continue
    return leaks


def in_child(attempt: Attempt, canary: bytes) -> dict[str, object]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            places: list[int] = []
            tried = outcome(lambda: attempt(places))
            os.write(writing, json.dumps({"attempt": tried, "leaks": found(canary, places)}).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        outcomes: dict[str, object] = json.load(said)
    os.waitpid(child, 0)
    return outcomes


def main(canary: str, wanted: list[str]) -> None:
    attempts: dict[str, Attempt] = {"nothing": lambda _: None, **dict(on_files()), **dict(around_mounts())}
    attempts |= {f"{name}, nested": nested(attempt) for name, attempt in [*attempts.items()]}
    report({name: in_child(attempts[name], canary.encode()) for name in wanted or attempts})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
