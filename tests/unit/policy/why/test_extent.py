"""nono.policy.why.extent: what an option grants beyond what was refused."""

from __future__ import annotations

import pytest

from nono.policy.why.extent import extent


@pytest.mark.parametrize(
    ("flag", "grants"),
    [
        ("--read-file /a", None),
        ("--read /a", "grants reading everything in /a"),
        ("--allow '/a b'", "grants reading and writing everything in '/a b'"),
        ("--read $'/a\\nb'", "grants reading everything in $'/a\\nb'"),
        ("--read /a --bypass-protection /a", "lifts the rule that keeps /a from the command"),
        ("--open-port 9", "grants connecting to port 9 of this machine, and listening there"),
        ("--open-port 3000-3010", "grants connecting to port 3000-3010 of this machine, and listening there"),
        (
            "--open-port 4226",
            "grants starting programs outside the sandbox: sccache, whose server runs what it is told; "
            "`--env SCCACHE_SERVER_PORT=4227` has the run start its own",
        ),
        (
            "--open-port 9229",
            "grants starting programs outside the sandbox: a debugged Node program, which runs the code of "
            "whoever connects",
        ),
        (
            "--open-port 6379",
            "grants connecting to port 6379 of this machine, and listening there; Redis there would let "
            "whoever connects run code outside the sandbox",
        ),
        ("--listen-port 6379", "grants listening on port 6379, for other machines too"),
        ("--allow-domain x.example", "grants any request to x.example"),
        ("--allow-domain https://x.example/a", None),
        ("--allow-unix-socket /run/x.sock", None),
        (
            "--allow-unix-socket /run/docker.sock",
            "grants starting programs outside the sandbox: a container engine, which mounts any of its files",
        ),
        ("--allow-unix-socket-bind /run/docker.sock", None),
        ("--read '/a", None),
    ],
)
def test_an_option_says_what_it_grants_beyond_what_was_refused(flag: str, grants: str | None) -> None:
    assert extent(flag) == grants
