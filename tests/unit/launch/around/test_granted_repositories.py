"""Which directories are watched for what git runs there: those that a person lets the command write."""

from __future__ import annotations

import pytest

from nono.launch.around.granted_repositories import places_of
from nono.policy.capability import Access, Grant


def granted(
    path: str, access: Access = Access.READWRITE, source: str = "user", *, is_dir: bool = True
) -> Grant:
    return Grant(path, access, is_dir, source, path)


@pytest.mark.parametrize(
    ("grants", "watched"),
    [
        ([], []),
        ([granted("/work")], ["/work"]),
        ([granted("/work", Access.READ)], ["/work"]),
        ([granted("/", Access.READ)], ["/work"]),
        ([granted("/work/project")], ["/work/project"]),
        ([granted("/work"), granted("/other")], ["/work", "/other"]),
        ([granted("/other", Access.READ), granted("/cache", source="group:g")], []),
        ([granted("/other/file", is_dir=False)], []),
    ],
)
def test_a_working_directory_is_watched_if_it_is_granted(grants: list[Grant], watched: list[str]) -> None:
    assert places_of("/work", grants) == watched
