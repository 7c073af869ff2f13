"""What a working directory in a linked worktree gets of its repository, which lies elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from nono.policy.capability import Access, Denial, Grant
from nono.policy.files.denials import DenyRules
from nono.policy.files.repositories import repository_grants
from nono.policy.git.repository import Repository

WORK, MAIN = "/home/ada/work", "/home/ada/main/.git"
REPOSITORY = Repository(MAIN, WORK)
READ, WRITE, BOTH = Access.READ, Access.WRITE, Access.READWRITE


def granted(path: str, access: Access) -> Grant:
    return Grant(path, access, True, "user", path)


def given(grants: Sequence[Grant], denied: Sequence[str] = ()) -> list[tuple[str, Access]]:
    rules = DenyRules(tuple(Denial(path, path, "profile p, filesystem.deny") for path in denied))
    return [(each.path, each.access) for each in repository_grants(REPOSITORY, WORK, grants, rules)]


@pytest.mark.parametrize("access", [READ, WRITE, BOTH])
def test_a_repository_elsewhere_is_granted_as_the_working_directory_is(access: Access) -> None:
    assert given([granted(WORK, access)]) == [(MAIN, access)]
    assert given([granted("/home/ada/other", access)]) == []


def test_a_repository_is_granted_where_a_grant_gives_less_than_the_working_directory_has() -> None:
    assert given([granted(WORK, BOTH), granted(MAIN, READ)]) == [(MAIN, BOTH)]
    assert given([granted(WORK, READ), granted(MAIN, BOTH)]) == []
    assert given([granted(WORK, BOTH), granted("/home/ada/main", BOTH)]) == []


@pytest.mark.parametrize(
    ("denied", "is_granted"),
    [
        pytest.param(MAIN, False, id="it"),
        pytest.param("/home/ada/main", False, id="above it"),
        pytest.param(f"{MAIN}/hooks", False, id="below it"),
        pytest.param("/home/ada/main/.github", True, id="beside it"),
    ],
)
def test_a_repository_is_not_granted_if_a_denial_touches_it(denied: str, is_granted: bool) -> None:
    assert given([granted(WORK, BOTH)], [denied]) == ([(MAIN, BOTH)] if is_granted else [])
