"""nono.policy.why.lacking.namespaces: programs that make namespaces and mounts."""

from __future__ import annotations

import shlex

import pytest

from nono.policy.why.lacking.namespaces import makes_mounts


@pytest.mark.parametrize(
    ("line", "program"),
    [
        ("bwrap --ro-bind / / true", "bwrap"),
        ("sh -c 'make && unshare -Ur make check'", "unshare"),
        ("echo bwrap", None),
        ("podman run a", None),
        ("", None),
    ],
)
def test_a_program_makes_mounts_by_its_name(line: str, program: str | None) -> None:
    assert makes_mounts(shlex.split(line)) == program
