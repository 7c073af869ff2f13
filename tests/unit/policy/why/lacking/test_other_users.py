"""nono.policy.why.lacking.other_users: programs that take another user's rights."""

from __future__ import annotations

import shlex

import pytest

from nono.policy.why.lacking.other_users import takes_rights


@pytest.mark.parametrize(
    ("line", "program"),
    [
        ("crontab -l", "crontab"),
        ("sh -c 'echo true | at now + 1 minute'", "at"),
        ("sh -c 'make && sudo make install'", "sudo"),
        ("/usr/bin/crontab -l", "crontab"),
        ("./batch", None),
        ("sh -c 'bin/at && make'", None),
        ("make crontab", None),
        ("cat at", None),
        ("", None),
    ],
)
def test_a_program_takes_rights_by_its_name(line: str, program: str | None) -> None:
    assert takes_rights(shlex.split(line)) == program
