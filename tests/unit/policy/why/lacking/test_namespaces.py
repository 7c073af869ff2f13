"""nono.policy.why.lacking.namespaces: programs that make namespaces and mounts."""

from __future__ import annotations

import shlex

import pytest

from nono.policy.why.lacking.namespaces import confines_itself, makes_mounts


@pytest.mark.parametrize(
    ("line", "program"),
    [
        ("bwrap --ro-bind / / true", "bwrap"),
        ("sh -c 'make && unshare -Ur make check'", "unshare"),
        ("sshfs host.example: mnt", "sshfs"),
        ("fusermount3 -u mnt", "fusermount3"),
        ("ssh host.example", None),
        ("echo bwrap", None),
        ("podman run a", None),
        ("", None),
    ],
)
def test_a_program_makes_mounts_by_its_name(line: str, program: str | None) -> None:
    assert makes_mounts(shlex.split(line)) == program


@pytest.mark.parametrize(
    ("line", "program"),
    [
        ("chromium --headless --dump-dom a.html", "chromium"),
        ("sh -c 'make && xvfb-run -a npx electron .'", None),
        ("sh -c 'make && npx electron .'", "electron"),
        ("chromium --headless --no-sandbox a.html", None),
        ("echo chromium", None),
        ("", None),
    ],
)
def test_a_browser_confines_itself_unless_it_is_told_not_to(line: str, program: str | None) -> None:
    assert confines_itself(shlex.split(line)) == program
