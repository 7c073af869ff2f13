"""nono.policy.why.lacking.other_users: programs that take another user's rights, or give the caller's."""

from __future__ import annotations

import shlex

import pytest

from nono.policy.why.lacking.other_users import gives_rights, takes_rights


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


@pytest.mark.parametrize(
    ("line", "program"),
    [
        ("chmod u+s tool", "chmod"),
        ("chmod -R +s .", "chmod"),
        ("chmod g-w,ug=rwxs tool", "chmod"),
        ("chmod 4755 tool", "chmod"),
        ("sh -c 'make && chmod 06755 tool'", "chmod"),
        ("install -m 4755 tool bin", "install"),
        ("install -m4755 tool bin", "install"),
        ("install --mode=u=rwxs,go=rx tool bin", "install"),
        ("chmod g+s shared", None),
        ("chmod 2755 shared", None),
        ("chmod 0755 tool", None),
        ("chmod u+x s", None),
        ("install -m 755 tool bin", None),
        ("install 4755 bin", None),
        ("cat u+s", None),
    ],
)
def test_a_program_gives_rights_by_the_mode_that_it_sets(line: str, program: str | None) -> None:
    assert gives_rights(shlex.split(line)) == program
