"""nono.policy.files.system.entries: what /etc holds, entry by entry."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nono.policy.builtin import shipped
from nono.policy.capability import Access, Grant
from nono.policy.effective_policy import effective_policy_of
from nono.policy.files.grants import accesses
from nono.policy.files.system.entries import KEPT_BACK, entry_grants, listed_directories
from nono.policy.path_expansion import Filesystem
from nono.policy.resolve import Resolved
from nono.policy.schema.profile import Groups, Profile
from nono.policy.why.paths import why_path

LISTED = (Grant("/etc", Access.READ, False, "group:system_settings_linux", "/etc"),)

MakeFilesystem = Callable[..., Filesystem]
Resolve = Callable[..., Resolved]


def access_to(resolved: Resolved, path: str) -> Access | None:
    return accesses(resolved.capabilities.grants, path)


def granted(fs: Filesystem) -> dict[str, Grant]:
    return {grant.path: grant for grant in entry_grants("/etc", "group:x", fs)}


def test_every_entry_that_everybody_may_read_is_granted_for_reading(make_fs: MakeFilesystem) -> None:
    fs = make_fs(
        directories=("/etc/subversion",), files=("/etc/tigrc", "/etc/closed"), private=("/etc/closed",)
    )
    found = granted(fs)
    assert found["/etc/subversion"] == Grant(
        "/etc/subversion", Access.READ, True, "group:x", "/etc/subversion"
    )
    assert found["/etc/tigrc"] == Grant("/etc/tigrc", Access.READ, False, "group:x", "/etc/tigrc")
    assert "/etc/closed" not in found


@pytest.mark.parametrize(
    "name",
    [
        *sorted(KEPT_BACK),
        *("shadow-", "fstab.bak", "sudoers.d", "environment.d", "auto.master", "my.cnf"),
        *("proxychains4.conf", "tomcat10", "icinga2", "turnserver.conf", "redsocks.conf", "mongod.conf"),
    ],
)
def test_an_entry_that_may_hold_secrets_is_kept_back_though_everybody_may_read_it(
    name: str, make_fs: MakeFilesystem
) -> None:
    assert granted(make_fs(files=(f"/etc/{name}", "/etc/networks"))).keys() == {"/etc/hosts", "/etc/networks"}


@pytest.mark.parametrize(
    "name",
    ["sshrc", "services", "mailcap", "bindresvport.blacklist", "initramfs-tools", "python3.13", "rc2.d"],
)
def test_a_name_that_only_begins_like_a_kept_one_is_granted(name: str, make_fs: MakeFilesystem) -> None:
    assert f"/etc/{name}" in granted(make_fs(files=(f"/etc/{name}",)))


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/usr/lib/os-release", "/usr/lib/os-release"),
        ("/nix/store/x/tigrc", "/nix/store/x/tigrc"),
        ("/etc/other", "/etc/other"),
        ("/srv/tigrc", None),
        ("/home/alice/.ssh", None),
        ("/proc/77/status", None),
        ("/usr/private", None),
        ("/nowhere", None),
        ("/etc/open/other", "/etc/open/other"),
        ("/etc/mysql/debian.cnf", None),
        ("/etc/shadow", None),
        ("/etc/closed/below/other", None),
        ("/etc", None),
        ("/", None),
    ],
)
def test_a_link_is_followed_within_the_system_only(
    target: str, path: str | None, make_fs: MakeFilesystem
) -> None:
    fs = make_fs(
        files=(
            *("/usr/lib/os-release", "/nix/store/x/tigrc", "/etc/other", "/srv/tigrc", "/usr/private"),
            *("/etc/open/other", "/etc/mysql/debian.cnf", "/etc/closed/below/other"),
        ),
        links={"/etc/link": target},
        private=("/usr/private", "/etc/closed"),
    )
    found = [each.path for each in entry_grants("/etc", "group:x", fs) if each.original == "/etc/link"]
    assert found == ([path] if path else [])


def test_the_names_in_it_may_be_listed_where_the_group_is_in_force(
    run: Resolve, make_fs: MakeFilesystem
) -> None:
    fs = make_fs(files=("/etc/tigrc",))
    usual = run(fs=fs)
    assert usual.capabilities.listed == LISTED
    assert access_to(usual, "/etc/tigrc") is Access.READ
    assert access_to(usual, "/etc") is None  # not what it holds
    assert listed_directories(shipped.groups().values()) == LISTED


def test_without_its_group_neither_entries_nor_names_are_granted(
    run: Resolve, make_fs: MakeFilesystem
) -> None:
    fs = make_fs(files=("/etc/tigrc",))
    bare = run(Profile(groups=Groups(exclude=("system_settings_linux",))), fs=fs)
    assert bare.capabilities.listed == ()
    assert access_to(bare, "/etc/tigrc") is None
    assert access_to(bare, "/etc/hosts") is Access.READ


@pytest.mark.parametrize(
    ("path", "access", "status"),
    [
        ("/etc", Access.READ, "allowed"),
        ("/etc", Access.WRITE, "denied"),
        ("/etc/shadow", Access.READ, "denied"),
        ("/etc/tigrc", Access.READ, "allowed"),
    ],
    ids=str,
)
def test_why_tells_listing_the_directory_from_reading_what_is_kept_back(
    path: str, access: Access, status: str, run: Resolve, make_fs: MakeFilesystem
) -> None:
    fs = make_fs(files=("/etc/tigrc",))
    resolved = run(fs=fs)
    answer = why_path(effective_policy_of(resolved, fs), resolved.path_context, path, access, fs)
    assert answer.status == status
