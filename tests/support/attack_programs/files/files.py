"""Access files by every name that may bypass a path rule: files HOME, started in GRANTED."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from support.attack_programs.outcome import Attempt, report_all


def read(path: str) -> Attempt:
    def attempt() -> None:
        with open(path, "rb") as file:
            file.read()

    return attempt


def write(path: str) -> Attempt:
    def attempt() -> None:
        with open(path, "ab"):
            pass

    return attempt


def through_link(target: str, then: Callable[[str], Attempt]) -> Attempt:
    def attempt() -> None:
        os.symlink(target, "made-link")
        try:
            then("made-link")()
        finally:
            os.unlink("made-link")

    return attempt


def by_descriptor(path: str) -> Attempt:
    """Open an O_PATH descriptor, which grants no access, again through /proc. That must not grant any."""

    def attempt() -> None:
        descriptor = os.open(path, os.O_PATH)
        try:
            os.close(os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY))
        finally:
            os.close(descriptor)

    return attempt


def reaches(home: str) -> dict[str, Attempt]:
    secret, victim = f"{home}/outside/secret", f"{home}/outside/victim"
    return {
        "read": read(secret),
        "read by ..": read("../outside/secret"),
        "read by /proc/self/root": read(f"/proc/self/root{secret}"),
        "read by /proc/self/cwd": read("/proc/self/cwd/../outside/secret"),
        "read by a symbolic link": through_link(secret, read),
        "read by O_PATH": by_descriptor(secret),
        "list": lambda: os.listdir(f"{home}/outside"),
        "read a key": read(f"{home}/.ssh/id_ed25519"),
        "write": write(victim),
        "write by a symbolic link": through_link(victim, write),
        "truncate": lambda: os.truncate(victim, 0),
        "create": write(f"{home}/outside/new"),
        "unlink": lambda: os.unlink(victim),
        "mkdir": lambda: os.mkdir(f"{home}/outside/directory"),
        "rename out": lambda: os.rename("mine", f"{home}/outside/mine"),
        "rename in": lambda: os.rename(victim, "taken"),
        "rename over": lambda: os.rename("mine", victim),
        "hard link out": lambda: os.link("mine", f"{home}/outside/mine"),
        "hard link in": lambda: os.link(secret, "taken"),
        "rename the parent": lambda: os.rename(f"{home}/outside", f"{home}/elsewhere"),
    }


def main(home: str) -> None:
    attempts = reaches(home)
    attempts |= {
        "read inside": read("mine"),
        "write inside": write("mine"),
        "rename inside": lambda: os.rename("mine", "mine"),
        "hard link inside": lambda: os.link("mine", "second"),
    }
    report_all(attempts)


if __name__ == "__main__":
    main(sys.argv[1])
