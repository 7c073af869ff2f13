"""nono.policy.why.lacking.other_users: programs that take another user's rights, or give the caller's."""

from __future__ import annotations

import shlex
from time import process_time

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
        ("chmod u+x+s tool", "chmod"),
        ("chmod u=rws-x,g+x tool", "chmod"),
        ("chmod 4755 tool", "chmod"),
        ("sh -c 'make && chmod 06755 tool'", "chmod"),
        ("install -m 4755 tool bin", "install"),
        ("install -m4755 tool bin", "install"),
        ("install -Dm4755 tool bin/tool", "install"),
        ("install -Dm 4755 tool bin/tool", "install"),
        ("install --mode=u=rwxs,go=rx tool bin", "install"),
        ("chmod g+s shared", None),
        ("chmod go+x+s shared", None),
        ("chmod u-s tool", None),
        ("chmod u+x-s tool", None),
        ("chmod 2755 shared", None),
        ("chmod 0755 tool", None),
        ("chmod u+x s", None),
        ("install -m 755 tool bin", None),
        ("install -d 4755", None),
        ("install 4755 bin", None),
        ("cat u+s", None),
    ],
)
def test_a_program_gives_rights_by_the_mode_that_it_sets(line: str, program: str | None) -> None:
    assert gives_rights(shlex.split(line)) == program


def test_a_hostile_mode_takes_no_time() -> None:
    began = process_time()
    assert gives_rights(["chmod", "u" * 20_000, "tool"]) is None
    assert gives_rights(["chmod", "+s" * 20_000 + "!", "tool"]) is None
    assert process_time() - began < 1
