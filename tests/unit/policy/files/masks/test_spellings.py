"""Which denied paths have another spelling, past their masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from nono.errors import SandboxError
from nono.policy.files.masks.spellings import respelled
from nono.policy.path_expansion import Entry, Filesystem
from nono.policy.resolve import Resolved
from nono.policy.schema.profile import Filesystem as Files
from nono.policy.schema.profile import Meta, Profile
from unit.policy.conftest import MemoryFilesystem

Resolve = Callable[..., Resolved]
MakeFilesystem = Callable[..., Filesystem]

SITE = "/mnt/c/Site"


@dataclass(frozen=True)
class IgnoringCase(MemoryFilesystem):
    """Finds an entry by any spelling below /mnt/c."""

    def entry(self, path: str) -> Entry | None:
        if not path.startswith("/mnt/c/"):
            return super().entry(path)
        known = {each.casefold(): each for each in (*self.directories, *self.files)}
        return super().entry(known.get(path.casefold(), path))


def windows_drive(make_fs: MakeFilesystem, kind: str = "9p") -> Filesystem:
    mounts = f"20 1 8:1 / / rw - ext4 /dev/a rw\n21 20 0:50 / /mnt/c rw - {kind} C: rw\n"
    names = (
        ".env",
        "2024",
        "both",
        "BOTH",
        "Sub/key",
        ".git/hooks/pre-commit",
        ".git/HEAD",
        ".git/refs/x",
        ".git/objects/x",
    )
    made = make_fs((SITE,), tuple(f"{SITE}/{name}" for name in names), mountinfo=mounts)
    return IgnoringCase(**vars(made))


@pytest.mark.parametrize(
    ("path", "other"),
    [
        (f"{SITE}/.env", f"{SITE}/.ENV"),
        (f"{SITE}/Sub/key", f"{SITE}/Sub/KEY"),
        (f"{SITE}/2024", "/mnt/c/sITE/2024"),  # no letters
        (f"{SITE}/Sub/missing", f"{SITE}/sUB/missing"),
        ("/mnt/c", None),
        ("/mnt/2024", None),
        ("/etc/hosts", None),
    ],
)
def test_a_path_has_another_spelling_where_its_drive_ignores_case(
    make_fs: MakeFilesystem, path: str, other: str | None
) -> None:
    found = [each.other for each in respelled([path], windows_drive(make_fs))]
    assert found == ([] if other is None else [other])


@pytest.mark.parametrize(
    "kind", ["9p", "fuse.sshfs", "virtiofs", "cifs", "overlay", "ecryptfs", "aufs", "unheard-of"]
)
def test_only_drives_that_ignore_case_have_other_spellings(make_fs: MakeFilesystem, kind: str) -> None:
    ignoring = windows_drive(make_fs, kind)
    telling_apart = MemoryFilesystem(**vars(ignoring))
    assert [*respelled([f"{SITE}/.env"], ignoring)] != []
    assert [*respelled([f"{SITE}/.env", f"{SITE}/both"], telling_apart)] == []


@pytest.mark.parametrize("kind", ["ext4", "vfat", "ntfs3", "zfs"])
def test_a_file_system_whose_names_this_kernel_compares_has_none(make_fs: MakeFilesystem, kind: str) -> None:
    assert [*respelled([f"{SITE}/.env"], windows_drive(make_fs, kind))] == []


@dataclass(frozen=True)
class Respelling(MemoryFilesystem):
    """Finds the only file of SITE by another spelling too, which it does not list."""

    other: str = ""

    def entry(self, path: str) -> Entry | None:
        return super().entry(next(iter(self.files)) if path == f"{SITE}/{self.other}" else path)


@pytest.mark.parametrize(
    ("kind", "name", "other", "is_found"),
    [
        ("fuseblk", ".env", "ENV~1", True),
        ("ntfs3", ".env", "ENV~1", True),
        ("ntfs3", "my first.private+key.json", "MYFIRS~4.JSO", True),
        ("ntfs3", "private+key.pem", "PRIVAT~2.PEM", True),
        ("ntfs3", "a+b.keys", "A_B~1.KEY", True),
        ("vfat", ".env", "ENV~1", False),
        ("nfs4", ".env", "ENV~1", False),
        ("zfs", "schl\u00fcssel", "schlu\u0308ssel", True),
        ("virtiofs", "schlu\u0308ssel", "schl\u00fcssel", True),
        ("ext4", "schl\u00fcssel", "schlu\u0308ssel", False),
        ("cifs", "stra\u00dfe", "STRA\u00dfE", True),
        ("cifs", "\u043a\u043b\u044e\u0447", "\u041a\u041b\u042e\u0427", True),
        ("fuse.fusefat", "1234", "1234.", True),
        ("ext4", "1234", "1234.", False),
    ],
)
def test_a_file_found_by_a_name_that_is_not_listed_has_another_spelling(
    make_fs: MakeFilesystem, kind: str, name: str, other: str, is_found: bool
) -> None:
    mounts = f"20 1 8:1 / / rw - ext4 /dev/a rw\n21 20 0:50 / {SITE} rw - {kind} x rw\n"
    path = f"{SITE}/{name}"
    respelling = Respelling(**vars(make_fs((), (path,), mountinfo=mounts)), other=other)
    assert [each.other for each in respelled([path], respelling)] == [f"{SITE}/{other}"] * is_found
    listed = make_fs((), (path, f"{SITE}/{other}"), mountinfo=mounts)
    assert [*respelled([path], listed)] == []


def test_a_denial_with_another_spelling_is_refused(run: Resolve, make_fs: MakeFilesystem) -> None:
    denying = Profile(meta=Meta(name="web"), filesystem=Files(deny=(f"{SITE}/.env",)))
    with pytest.raises(SandboxError, match=r"ignores the case of names, so '/mnt/c/Site/.ENV' leads there"):
        run(denying, fs=windows_drive(make_fs), allow=(SITE,))
    masking = run(denying, fs=windows_drive(make_fs, "ext4"), allow=(SITE,)).capabilities.masking
    assert [mask.path for mask in masking.masks] == [f"{SITE}/.env"]


@pytest.mark.parametrize(
    ("kind", "is_served"),
    [
        *((kind, True) for kind in ("9p", "fuse.sshfs", "nfs4", "ecryptfs", "aufs")),
        *((kind, False) for kind in ("ext4", "btrfs", "xfs", "tmpfs", "overlay", "iso9660", "rootfs")),
    ],
)
def test_masks_on_a_served_file_system_are_looked_at_again(
    run: Resolve, make_fs: MakeFilesystem, kind: str, is_served: bool
) -> None:
    denying = Profile(meta=Meta(name="web"), filesystem=Files(deny=(f"{SITE}/.env",)))
    telling_apart = MemoryFilesystem(**vars(windows_drive(make_fs, kind)))
    capabilities = run(denying, fs=telling_apart, allow=(SITE,)).capabilities
    assert capabilities.masking.is_served is is_served


def test_hooks_with_another_spelling_are_a_warning(run: Resolve, make_fs: MakeFilesystem) -> None:
    for kind, told in (("9p", [f"{SITE}/.git/hooks"]), ("ext4", [])):
        found = run(fs=windows_drive(make_fs, kind), allow=(SITE,), workdir=SITE)
        assert found.capabilities.hooks == f"{SITE}/.git/hooks"
        assert _told(found) == told


def test_a_missing_path_with_another_spelling_is_a_warning(run: Resolve, make_fs: MakeFilesystem) -> None:
    absent = Profile(meta=Meta(name="web"), filesystem=Files(deny=(f"{SITE}/Sub/token",)))
    for kind, told in (("9p", [f"{SITE}/Sub/token"]), ("ext4", [])):
        assert _told(run(absent, fs=windows_drive(make_fs, kind), read=(SITE,))) == told


def _told(resolved: Resolved) -> list[str]:
    return [text.split()[2] for text in resolved.warnings if "another spelling" in text]
