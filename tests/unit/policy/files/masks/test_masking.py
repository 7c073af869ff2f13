"""Which denied paths lie below granted directories, and what is done about each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nono.errors import NonoError, SandboxError
from nono.policy.capability import Masking
from nono.policy.files.masks import masking
from nono.policy.files.masks.masking import with_own_file
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.path_expansion import Entry, Filesystem
from nono.policy.resolve import Resolved
from nono.policy.schema.profile import Filesystem as Files
from nono.policy.schema.profile import Meta, Profile

Resolve = Callable[..., Resolved]
MakeFilesystem = Callable[..., Filesystem]

HOME = "/home/ada"
WORK = f"{HOME}/work"


def denying(*paths: str) -> Profile:
    return Profile(meta=Meta(name="web"), filesystem=Files(deny=paths))


def masked(resolved: Resolved) -> dict[str, str]:
    return {mask.path: mask.kind for mask in resolved.capabilities.masking.masks}


@pytest.fixture
def project(make_fs: MakeFilesystem) -> Filesystem:
    return make_fs(
        directories=(f"{WORK}/.git/hooks", f"{WORK}/sub/deep"),
        files=(f"{WORK}/.env", f"{WORK}/sub/deep/key", f"{WORK}/.git/hooks/pre-commit"),
        links={f"{WORK}/link": f"{WORK}/sub/deep/key", f"{WORK}/away": "/data/vault"},
    )


@pytest.mark.parametrize("access", ["allow", "read", "write"])
def test_a_denial_below_a_grant_of_any_kind_is_masked(run: Resolve, project: Filesystem, access: str) -> None:
    resolved = run(denying(".env", ".git/hooks"), fs=project, **{access: (".",)})
    assert masked(resolved) == {f"{WORK}/.env": "file", f"{WORK}/.git/hooks": "dir"}
    assert {mask.grant.path for mask in resolved.capabilities.masking.masks} == {WORK}
    assert resolved.deny_rules.covering(f"{WORK}/.env") is not None


def test_what_is_denied_where_nothing_is_granted_needs_no_mask(run: Resolve, project: Filesystem) -> None:
    assert run(denying(".env"), fs=project, read=("sub",)).capabilities.masking == Masking()


def test_a_denial_of_what_may_be_absent_is_left_out_only_where_nothing_is(
    run: Resolve, project: Filesystem
) -> None:
    one_for_all = Profile(
        meta=Meta(name="web"), filesystem=Files(deny_if_present=(".env", "link", "else/.env"))
    )
    masking = run(one_for_all, fs=project, allow=(".",)).capabilities.masking
    assert {mask.path for mask in masking.masks} == {
        f"{WORK}/.env",
        f"{WORK}/link",
        f"{WORK}/sub/deep/key",
    }
    assert masking.absent == ()
    certain = run(denying("else/.env"), fs=project, allow=(".",)).capabilities.masking
    assert [gap.path for gap in certain.absent] == [f"{WORK}/else/.env"]


def test_what_a_group_denies_is_masked_as_well(run: Resolve, make_fs: MakeFilesystem) -> None:
    resolved = run(fs=make_fs((f"{HOME}/.config/gcloud",)), read=("~/.config",))
    assert masked(resolved) == {f"{HOME}/.config/gcloud": "dir", f"{HOME}/.config/gh": "dir"}
    assert resolved.capabilities.masking.masks[0].denial.origin == "group:deny_credentials"


def test_a_symlink_is_masked_together_with_its_target(run: Resolve, project: Filesystem) -> None:
    resolved = run(denying("link", "away"), fs=project, allow=(".",))
    assert masked(resolved) == {
        f"{WORK}/link": "link",
        f"{WORK}/sub/deep/key": "file",
        f"{WORK}/away": "link",
    }


def test_a_mask_covers_what_is_denied_below_it(run: Resolve, project: Filesystem) -> None:
    resolved = run(denying(".git/hooks/pre-commit", ".git/hooks", ".git/hooks/new"), fs=project, allow=(".",))
    assert masked(resolved) == {f"{WORK}/.git/hooks": "dir"}
    assert resolved.capabilities.masking.absent == ()


def test_more_masks_than_a_start_should_wait_for_are_refused(
    run: Resolve, project: Filesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command makes any number of files with a denied name, and the next run would mount over each."""
    monkeypatch.setattr(masking, "MASKS_MAX", 2)
    assert len(masked(run(denying(".env", "sub/deep"), fs=project, read=(".",)))) == 2
    with pytest.raises(
        SandboxError, match=rf"more than 2 denied paths .* such as '{WORK}/sub/deep' \(profile web"
    ) as refused:
        run(denying(".env", ".git/hooks", "sub/deep"), fs=project, read=(".",))
    assert "or fewer by a narrower pattern" in str(refused.value.hint)  # a large project has as many


def test_what_lies_deeper_than_a_start_should_wait_for_is_refused(
    run: Resolve, project: Filesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each directory on the way is mounted over itself, and a command makes any number of them."""
    above = ["/", *(WORK[:at] for at in range(1, len(WORK)) if WORK[at] == "/"), WORK]
    enough = sum(len(each) + 100 for each in above[1:]) + len(f"{WORK}/sub/deep") + len(f"{WORK}/sub") + 200
    monkeypatch.setattr(masking, "ABOVE_MAX", enough)
    assert len(masked(run(denying(".env", "sub/deep/key"), fs=project, allow=(".",)))) == 2
    monkeypatch.setattr(masking, "ABOVE_MAX", enough - 1)
    assert len(masked(run(denying(".env", "sub/deep"), fs=project, allow=(".",)))) == 2
    with pytest.raises(SandboxError, match=rf"lie too deep .* such as '{WORK}/sub/deep/key' \(profile web"):
        run(denying(".env", "sub/deep/key"), fs=project, allow=(".",))


def test_only_directories_that_the_command_could_move_are_pinned(run: Resolve, project: Filesystem) -> None:
    def pinned(**grants: tuple[str, ...]) -> tuple[str, ...]:
        return run(denying("sub/deep/key"), fs=project, **grants).capabilities.masking.pinned

    assert pinned(allow=(".",)) == (f"{WORK}/sub", f"{WORK}/sub/deep")
    assert pinned(read=(".",)) == ()
    assert pinned(allow=("sub",)) == (f"{WORK}/sub/deep",)
    assert pinned(read=(".",), write=("sub/deep",)) == ()
    assert pinned(write=(".",), read=("sub/deep",)) == (f"{WORK}/sub", f"{WORK}/sub/deep")


def test_an_absent_path_is_named_with_its_denial(run: Resolve, project: Filesystem) -> None:
    def absent(**grants: tuple[str, ...]) -> list[tuple[str, bool, bool]]:
        profile = denying("new/.env", "new", ".envrc", "~/.config/op")
        found = run(profile, fs=project, **grants).capabilities.masking.absent
        return [(one.path, one.denial.is_of_group, one.is_creatable) for one in found]

    work = [(f"{WORK}/.envrc", False), (f"{WORK}/new", False)]
    assert absent(allow=(".",)) == [(*one, True) for one in work]
    assert absent(read=(".",)) == [(*one, False) for one in work]
    # Both deny it: what a person asked for counts.
    of_config = absent(write=("~/.config",))
    assert (f"{HOME}/.config/op", False, True) in of_config
    assert (f"{HOME}/.config/gcloud", True, True) in of_config


def test_an_absent_path_is_named_with_the_grant_that_could_create_it(
    run: Resolve, project: Filesystem
) -> None:
    (absent,) = run(denying("sub/.env"), fs=project, read=(".",), write=("sub",)).capabilities.masking.absent
    assert absent.grant.path == f"{WORK}/sub"
    (absent,) = run(denying("sub/.env"), fs=project, read=(".",)).capabilities.masking.absent
    assert absent.grant.path == WORK


def test_a_bypass_below_a_masked_path_is_refused(run: Resolve, project: Filesystem) -> None:
    with pytest.raises(SandboxError, match="cannot be reached through the denied") as refused:
        run(
            denying("sub"),
            fs=project,
            allow=(".",),
            read=("sub/deep",),
            bypass_protection=("sub/deep",),
        )
    assert f"--bypass-protection {WORK}/sub," in str(refused.value.hint)


def test_a_bypass_of_a_masked_path_lifts_its_mask(run: Resolve, project: Filesystem) -> None:
    lifted = run(denying("sub"), fs=project, allow=(".",), bypass_protection=("sub",))
    assert lifted.capabilities.masking == Masking()


def test_a_user_denial_below_an_absent_group_denial_still_counts(run: Resolve) -> None:
    found = run(denying("~/.config/op/key"), write=("~/.config",)).capabilities.masking.absent
    assert {one.path for one in found} > {f"{HOME}/.config/op", f"{HOME}/.config/op/key"}


def test_the_names_of_a_file_are_counted(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("")
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    (tmp_path / "link").symlink_to("one")
    (tmp_path / "dangling").symlink_to("nothing")
    entries = {
        name: HostFilesystem().entry(str(tmp_path / name)) for name in ("one", "link", "dangling", "no")
    }
    links = {"link": Entry("link", 1, "one"), "dangling": Entry("link", 1, "nothing")}
    assert entries == {**links, "one": Entry("file", 2), "no": None}


def test_the_granted_directories_on_the_way_are_watched(run: Resolve, project: Filesystem) -> None:
    def watched(**grants: tuple[str, ...]) -> tuple[str, ...]:
        return run(denying("sub/deep/key", "new"), fs=project, **grants).capabilities.masking.watched

    assert watched(read=(".",)) == (WORK, f"{WORK}/sub", f"{WORK}/sub/deep")
    assert watched(read=("sub",)) == (f"{WORK}/sub", f"{WORK}/sub/deep")
    assert watched(read=(".cache",)) == ()


TWICE = "20 1 8:1 / / rw - ext4 /dev/sda rw\n21 20 8:1 / /mnt/x rw - ext4 /dev/sda rw\n"


@pytest.fixture
def twice(make_fs: MakeFilesystem) -> Filesystem:
    """Return a host whose whole disk is mounted a second time."""
    return make_fs((f"/mnt/x{WORK}",), (f"{WORK}/.env", f"/mnt/x{WORK}/.env"), mountinfo=TWICE)


def test_a_denial_is_masked_wherever_a_mount_shows_it(run: Resolve, twice: Filesystem) -> None:
    resolved = run(denying(".env"), fs=twice, allow=(".",))
    assert masked(resolved) == {f"{WORK}/.env": "file", f"/mnt/x{WORK}/.env": "file"}


def test_a_bypass_lifts_the_masks_at_every_mount(run: Resolve, twice: Filesystem) -> None:
    lifted = run(denying(".env"), fs=twice, allow=(".",), bypass_protection=(".env",))
    assert lifted.capabilities.masking == Masking()


@pytest.mark.parametrize("access", ["read_file", "allow_file"])
def test_a_denied_file_cannot_be_granted_at_another_mount(
    run: Resolve, twice: Filesystem, access: str
) -> None:
    with pytest.raises(SandboxError, match=f"for it is '{WORK}/.env' at another mount"):
        run(denying(".env"), fs=twice, **{access: (f"/mnt/x{WORK}/.env",)})


STATE = f"{HOME}/.local/state/nono"


@pytest.mark.parametrize("place", ["/mnt/x", f"/mnt/x{HOME}", f"/mnt/x{STATE}"])
def test_nonos_state_cannot_be_granted_at_another_mount(
    run: Resolve, make_fs: MakeFilesystem, place: str
) -> None:
    fs = make_fs((f"/mnt/x{HOME}/.local/state/nono",), mountinfo=TWICE)
    with pytest.raises(NonoError, match=r"overlaps protected nono state root '/home/ada/\.local/state/nono'"):
        run(fs=fs, read=(place,))


@pytest.mark.parametrize(
    ("place", "is_above"),
    [(HOME, True), (f"{HOME}/.local/state", True), (STATE, False), (f"{STATE}/audit", False)],
)
def test_a_part_is_suggested_only_of_what_lies_around_nonos_state(
    run: Resolve, make_fs: MakeFilesystem, place: str, is_above: bool
) -> None:
    with pytest.raises(NonoError, match="overlaps protected nono state root") as refused:
        run(fs=make_fs((f"{STATE}/audit",)), read=(place,))
    assert (refused.value.hint is not None) is is_above


def test_a_mount_that_hides_what_it_shows_is_granted_with_all_of_it(
    run: Resolve, make_fs: MakeFilesystem
) -> None:
    """A rule on the root of a file system holds for all of it, whatever hides it where that was granted."""
    hiding = f"{TWICE}22 21 8:2 / /mnt/x/home rw - ext4 /dev/sdb rw\n"
    with pytest.raises(NonoError, match="overlaps protected nono state root"):
        run(fs=make_fs(("/mnt/x/home",), mountinfo=hiding), read=("/mnt/x",))


def test_nonos_profiles_are_masked_at_every_mount(run: Resolve, make_fs: MakeFilesystem) -> None:
    fs = make_fs((f"{HOME}/.config/nono", f"/mnt/x{HOME}/.config/nono"), mountinfo=TWICE)
    resolved = run(fs=fs, allow=("~/.config",))
    assert {f"{HOME}/.config/nono", f"/mnt/x{HOME}/.config/nono"} <= masked(resolved).keys()


def test_temporary_files_are_not_granted_where_home_is_mounted_among_them(
    run: Resolve, make_fs: MakeFilesystem
) -> None:
    fs = make_fs(("/tmp/x",), mountinfo=TWICE.replace("/mnt/x", "/tmp/x"))
    assert "/tmp" not in {grant.path for grant in run(fs=fs).capabilities.grants}
    assert "/tmp" in {grant.path for grant in run().capabilities.grants}


def test_temporary_files_that_are_a_part_of_home_are_named_once(
    run: Resolve, make_fs: MakeFilesystem
) -> None:
    mounts = f"20 1 8:1 / / rw - ext4 a rw\n21 20 8:1 {HOME}/tmp /tmp rw - ext4 a rw\n"
    said = [warning for warning in run(fs=make_fs(mountinfo=mounts)).warnings if "/tmp" in warning]
    assert said == [f"/tmp is not granted: it is a part of {HOME}."]


def test_what_a_program_could_make_in_its_own_state_directory_is_told_from_the_rest(run: Resolve) -> None:
    profile = Profile(meta=Meta(name="web"), filesystem=Files(state_dir=("~/.codex",), allow=("~/.config",)))
    absent = run(profile).capabilities.masking.absent
    logins = {f"{HOME}/.codex/{name}" for name in ("auth.json", ".credentials.json", ".env")}
    assert {gap.path for gap in absent if gap.is_own} == logins
    assert f"{HOME}/.config/gcloud" in {gap.path for gap in absent if not gap.is_own}


@pytest.mark.parametrize("where", ["/srv/codex", "codex"], ids=["absolute", "relative"])
def test_the_login_of_an_agent_is_denied_where_its_variable_has_it(
    run: Resolve, make_fs: MakeFilesystem, where: str
) -> None:
    at = where if where.startswith("/") else f"{WORK}/{where}"
    fs = make_fs((at,), files=(f"{at}/auth.json",))
    kept = run(fs=fs, environ={"CODEX_HOME": where}, allow=(at,))
    assert masked(kept) == {f"{at}/auth.json": "file"}
    assert masked(run(fs=fs, allow=(at,))) == {}


def test_a_file_that_an_engine_hides_does_not_take_the_null_device_along(
    run: Resolve, make_fs: MakeFilesystem
) -> None:
    null = "21 20 0:5 / /dev rw - tmpfs t rw\n22 20 0:5 /null /proc/kcore rw - tmpfs t rw\n"
    fs = make_fs(files=("/dev/null", "/proc/kcore"), mountinfo=f"20 1 8:1 / / rw - ext4 a rw\n{null}")
    assert "/dev/null" in {grant.path for grant in run(denying("/proc/kcore"), fs=fs).capabilities.grants}


CODEX, LOGIN, OWN = f"{HOME}/.codex", f"{HOME}/.codex/auth.json", f"{HOME}/.codex/nono"


def with_own(resolved: Resolved) -> Masking:
    capabilities = resolved.capabilities
    return with_own_file(capabilities.masking, LOGIN, OWN, capabilities.grants)


@pytest.mark.parametrize("is_there", [True, False], ids=["a login outside", "none"])
def test_a_file_of_the_commands_own_takes_the_place_of_a_login(
    run: Resolve, make_fs: MakeFilesystem, is_there: bool
) -> None:
    fs = make_fs((CODEX,), files=(LOGIN,) if is_there else ())
    masking = with_own(run(fs=fs, allow=("~/.codex",)))
    assert {mask.path: mask.own for mask in masking.masks} == {LOGIN: OWN}
    assert [gap.path for gap in masking.absent] == [f"{CODEX}/.credentials.json", f"{CODEX}/.env"]
    assert CODEX in masking.watched


def test_a_login_that_a_person_denies_is_not_replaced(run: Resolve, make_fs: MakeFilesystem) -> None:
    fs = make_fs((CODEX,), files=(LOGIN,))
    resolved = run(denying("~/.codex/auth.json"), fs=fs, allow=("~/.codex",))
    assert with_own(resolved) == resolved.capabilities.masking


def test_a_directory_in_the_place_of_a_login_is_not_replaced(run: Resolve, make_fs: MakeFilesystem) -> None:
    resolved = run(fs=make_fs((CODEX, LOGIN)), allow=("~/.codex",))
    assert with_own(resolved) == resolved.capabilities.masking


def test_what_the_private_directory_hides_needs_no_mask(run: Resolve, make_fs: MakeFilesystem) -> None:
    """The link that held a place was written through, so the login of the person lies where it leads."""
    written = f"{OWN}/outside.json"
    fs = make_fs((CODEX, OWN), files=(written,), links={LOGIN: written})
    resolved = run(fs=fs, allow=("~/.codex",))
    assert set(masked(resolved)) == {LOGIN, written}
    masking = with_own(resolved)
    assert [mask.path for mask in masking.masks] == [LOGIN]
    assert OWN not in masking.pinned
