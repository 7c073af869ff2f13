"""--allow-cwd is advised for the working directory, where it grants what is needed."""

from __future__ import annotations

import pytest

from nono.policy.capability import Access
from nono.policy.why.extent import WorkdirOffer

READS = "grants reading everything in '/home/ada/my work'"
BOTH = "grants reading and writing everything in '/home/ada/my work'"


@pytest.mark.parametrize(
    ("offered", "flag", "spelled"),
    [
        (Access.READ, "--read", ("--allow-cwd", READS)),
        (Access.READ, "--write", None),
        (Access.READ, "--allow", None),
        (Access.READWRITE, "--read", ("--allow-cwd", BOTH)),
        (Access.READWRITE, "--write", ("--allow-cwd", BOTH)),
        (Access.READWRITE, "--allow", ("--allow-cwd", BOTH)),
        (Access.READWRITE, "--allow-file", None),
    ],
)
def test_the_working_directory_is_shared_by_its_own_option(
    offered: Access, flag: str, spelled: tuple[str, str] | None
) -> None:
    offer = WorkdirOffer("/home/ada/my work", offered)
    assert offer.spelled(f"{flag} '/home/ada/my work'") == spelled


@pytest.mark.parametrize("place", ["/home/ada", "/home/ada/work/src", "/home/ada/works"])
def test_another_directory_is_named(place: str) -> None:
    assert WorkdirOffer("/home/ada/work", Access.READWRITE).spelled(f"--read {place}") is None
