"""nono.policy.files.system.around: a home or nono's state below a directory of the system."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nono.errors import NonoError
from nono.policy.capability import Access
from nono.policy.files.grants import accesses
from nono.policy.path_expansion import Filesystem
from nono.policy.resolve import Resolved

MakeFilesystem = Callable[..., Filesystem]
Resolve = Callable[..., Resolved]

HOME = "/opt/app-root/src"
MACHINE = (
    *(f"{HOME}/project", f"{HOME}/.local/state/nono", f"{HOME}/.config"),
    *("/opt/app-root/bin", "/opt/other", "/usr/bin"),
)


def access_to(resolved: Resolved, path: str) -> Access | None:
    return accesses(resolved.capabilities.grants, path)


def test_what_is_beside_a_home_below_opt_is_read_and_the_home_is_not(
    run: Resolve, make_fs: MakeFilesystem
) -> None:
    fs = make_fs(directories=MACHINE, files=(f"{HOME}/notes", "/opt/app-root/pyvenv.cfg"))
    resolved = run(environ={"HOME": HOME}, fs=fs, allow=(f"{HOME}/project",))
    assert access_to(resolved, f"{HOME}/project") is Access.READWRITE
    for path in ("/opt/other/x", "/opt/app-root/bin/python", "/opt/app-root/pyvenv.cfg", "/usr/bin/sh"):
        assert access_to(resolved, path) is Access.READ, path
    for path in (HOME, f"{HOME}/notes", f"{HOME}/.local/state/nono", "/opt/app-root", "/opt"):
        assert access_to(resolved, path) is None, path


@pytest.mark.parametrize("state", ["/usr/local/state", "/opt/state"])
def test_state_of_nono_below_a_directory_of_the_system_is_kept_out_of_its_grant(
    state: str, run: Resolve, make_fs: MakeFilesystem
) -> None:
    fs = make_fs(directories=(f"{state}/nono", f"{state}/other", "/opt/x", "/usr/local/lib"))
    resolved = run(environ={"XDG_STATE_HOME": state}, fs=fs)
    assert access_to(resolved, f"{state}/nono/keys") is None
    for path in (f"{state}/other", "/opt/x", "/usr/lib", "/usr/local/lib"):
        assert access_to(resolved, path) is Access.READ, path


def test_a_link_beside_such_a_home_leads_to_nothing_that_is_granted(
    run: Resolve, make_fs: MakeFilesystem
) -> None:
    fs = make_fs(directories=MACHINE, links={"/opt/app-root/home": HOME, "/opt/vault": "/data/vault"})
    resolved = run(environ={"HOME": HOME}, fs=fs)
    assert access_to(resolved, HOME) is None
    assert access_to(resolved, "/data/vault") is None


def test_elsewhere_such_a_directory_is_granted_whole(run: Resolve, make_fs: MakeFilesystem) -> None:
    assert access_to(run(fs=make_fs(directories=MACHINE)), "/opt") is Access.READ


def test_a_person_who_grants_the_directory_above_is_refused(run: Resolve, make_fs: MakeFilesystem) -> None:
    with pytest.raises(NonoError, match="overlaps protected nono state root"):
        run(environ={"HOME": HOME}, fs=make_fs(directories=MACHINE), read=("/opt",))
