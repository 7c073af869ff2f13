"""nono.policy.why.refusals: what a watched command was refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nono.policy.capability import Access
from nono.policy.effective_policy import effective_policy_of
from nono.policy.path_expansion import Filesystem
from nono.policy.resolve import Resolved
from nono.policy.why.refusals import KEPT_HOOKS, REFUSED_MAX, Refusals, Refused

HOME = "/home/ada"
WORK = f"{HOME}/work"

Resolve = Callable[..., Resolved]


@pytest.fixture
def refusals(run: Resolve, fs: Filesystem) -> Refusals:
    """Return the refusals of a run that may read its working directory."""
    watched = Refusals()
    watched.starts(effective_policy_of(run(read=(".",)), fs).files)
    return watched


def test_a_granted_access_is_none(refusals: Refusals) -> None:
    refusals.used(f"{WORK}/main.py", Access.READ, is_dir=False)
    assert refusals.listed() == ()


def test_a_refused_access_has_its_reason(refusals: Refusals) -> None:
    refusals.used(f"{WORK}/main.py", Access.WRITE, is_dir=False)
    refusals.used("/data/x", Access.READ, is_dir=False)
    refusals.used(f"{HOME}/.ssh/id_rsa", Access.READ, is_dir=False)
    assert [(each.path, each.reason) for each in refusals.listed()] == [
        (f"{WORK}/main.py", "granted for read only"),
        ("/data/x", "not granted"),
        (f"{HOME}/.ssh/id_rsa", f"'{HOME}/.ssh' is denied by group:deny_credentials"),
    ]


def test_a_path_is_listed_once_with_all_its_accesses(refusals: Refusals) -> None:
    for access in (Access.READ, Access.WRITE, Access.READ):
        refusals.used("/data/x", access, is_dir=False)
    assert refusals.listed() == (Refused("/data/x", Access.READWRITE, "not granted", "/data/x"),)


def test_a_name_is_changed_in_its_directory(refusals: Refusals) -> None:
    refusals.changed(WORK, "out", Access.WRITE, is_made=True)
    assert refusals.listed() == (Refused(f"{WORK}/out", Access.WRITE, "granted for read only", WORK),)


@pytest.mark.parametrize("as_file", [True, False])
def test_what_open_would_have_made_is_a_file(refusals: Refusals, as_file: bool) -> None:
    refusals.changed(HOME, "out", Access.WRITE, is_made=True, as_file=as_file)
    assert [each.is_new_file for each in refusals.listed()] == [as_file]


def test_what_every_program_tries_is_not_listed(refusals: Refusals) -> None:
    refusals.used("/etc/locale.alias", Access.READ, is_dir=False)
    assert refusals.listed() == ()


def test_the_list_is_bounded(refusals: Refusals) -> None:
    assert refusals.is_complete
    for number in range(REFUSED_MAX + 1):
        refusals.used(f"/data/{number}", Access.READ, is_dir=False)
    assert (len(refusals.listed()), refusals.is_complete) == (REFUSED_MAX, False)


def test_a_missed_access_is_not_forgotten(refusals: Refusals) -> None:
    refusals.missed()
    assert not refusals.is_complete


def test_a_change_of_hooks_that_a_mount_keeps_is_refused(run: Resolve, fs: Filesystem) -> None:
    hooks = f"{WORK}/.git/hooks"
    for kept, listed in ((hooks, [(f"{hooks}/pre-commit", KEPT_HOOKS)]), (None, [])):
        watched = Refusals()
        watched.starts(effective_policy_of(run(allow=(".",)), fs).files, kept)
        watched.used(f"{hooks}/pre-commit", Access.READ, is_dir=False)
        watched.changed(f"{WORK}/.git", "index", Access.WRITE, is_made=True)
        watched.changed(hooks, "pre-commit", Access.WRITE, is_made=True)
        assert [(each.path, each.reason) for each in watched.listed()] == listed
