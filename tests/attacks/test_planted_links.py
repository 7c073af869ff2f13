"""F12: a link that a run left behind, or that a repository brings, is not what a later run is granted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.nono_run import NO_NAMESPACES, NONO, PROGRAM_GRANTS, Ended, NonoRun

SECRET, PLANTED = "canary outside the project", "planted by the command"
TRY = 'cat "$1/file"; echo planted > "$1/new"; true'
MAKE = 'echo here > "$1/new"; cat "$1/new"'
# What each profile grants in the project; `out` and `.cache` become links.
PROFILES: dict[str, list[str]] = {
    "beside its directory": ["$WORKDIR", "$WORKDIR/out"],
    "by a relative path": ["out"],
    "below the link": ["$WORKDIR/out/deep"],
    "by a detour": ["$WORKDIR/real/../out"],
}


@pytest.fixture
def outside(sandbox: NonoRun) -> Iterator[Path]:
    """Yield a directory of the home that nothing grants, and directories of the project."""
    home = sandbox.user.home
    for directory in (home / "outside", home / "outside/deep", sandbox.project / "real"):
        directory.mkdir()
        sandbox.give(directory)
    for directory in (home / "outside", home / "outside/deep"):
        (directory / "file").write_text(SECRET)
        sandbox.give(directory / "file")
    yield home / "outside"
    shutil.rmtree(home / "outside")
    for left in sandbox.project.iterdir():
        shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()


def granting(sandbox: NonoRun, profile: dict[str, Any], *command: str, flags: tuple[str, ...] = ()) -> Ended:
    """Run `command` with no other grants than those of `profile` and `flags`."""
    file = sandbox.write_profile({"network": {"block": True}, **profile})
    return sandbox.bare([*NONO, "-s", "run", f"--profile={file}", *PROGRAM_GRANTS, *flags, "--", *command])


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_grants_nothing_through_a_link_in_the_project(
    name: str, sandbox: NonoRun, outside: Path
) -> None:
    link = sandbox.project / "out"
    link.symlink_to("../outside")
    place = str(link / "deep" if "below" in name else link)
    run = granting(sandbox, {"filesystem": {"allow": PROFILES[name]}}, "sh", "-c", TRY, "sh", place)
    assert SECRET not in run.stdout
    assert not list(outside.rglob("new"))
    assert f"'{link}' is a link" in run.stderr  # although it is silent
    assert str(outside) in run.stderr
    assert sandbox.bare(["sh", "-c", TRY, "sh", place]).stdout == SECRET
    assert list(outside.rglob("new"))


def test_a_directory_in_the_place_of_the_link_is_granted(sandbox: NonoRun, outside: Path) -> None:
    sandbox.make(sandbox.project / "out")
    grants = {"filesystem": {"allow": ["$WORKDIR", "$WORKDIR/out"]}}
    run = granting(sandbox, grants, "sh", "-c", MAKE, "sh", str(sandbox.project / "out"))
    assert run.stdout == "here\n", run.stderr


def test_a_run_does_not_choose_what_the_next_one_is_granted(sandbox: NonoRun, outside: Path) -> None:
    sandbox.make(sandbox.project / "out")
    profile = {"filesystem": {"allow": ["$WORKDIR", "$WORKDIR/out"]}}
    first = granting(sandbox, profile, "sh", "-c", "rmdir out && ln -s ../outside out && echo laid")
    assert first.stdout == "laid\n", first.stderr
    second = granting(sandbox, profile, "sh", "-c", TRY, "sh", str(sandbox.project / "out"))
    assert SECRET not in second.stdout
    assert not (outside / "new").exists()


@pytest.mark.parametrize("field", ["read", "read_file", "unix_socket_dir_bind"])
def test_no_kind_of_grant_follows_it(field: str, sandbox: NonoRun, outside: Path) -> None:
    link = sandbox.project / "out"
    link.symlink_to(outside / "file" if field == "read_file" else outside)
    run = granting(
        sandbox, {"filesystem": {field: ["$WORKDIR/out"]}}, "sh", "-c", 'cat "$1"; ls "$1"', "sh", str(link)
    )
    assert (SECRET in run.stdout, "file" in run.stdout) == (False, False)
    assert f"'{link}' is a link" in run.stderr


def test_a_state_directory_that_became_a_link_is_refused(sandbox: NonoRun, outside: Path) -> None:
    link = sandbox.project / ".state"
    link.symlink_to(outside)
    profile = {"filesystem": {"state_dir": ["$WORKDIR/.state"]}}
    refused = granting(sandbox, profile, "sh", "-c", TRY, "sh", str(link))
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert f"'{link}' is a link" in refused.stderr
    link.unlink()
    assert granting(sandbox, profile, "sh", "-c", MAKE, "sh", str(link)).stdout == "here\n"


@pytest.mark.needs("mounts")
def test_no_denial_is_lifted_through_it(sandbox: NonoRun, outside: Path) -> None:
    (sandbox.project / "out").symlink_to(outside)
    files = {
        "read": [str(outside.parent / "outside")],
        "deny": [str(outside / "deep")],
        "bypass_protection": ["$WORKDIR/out/deep"],
    }
    run = granting(sandbox, {"filesystem": files}, "cat", str(outside / "file"), str(outside / "deep/file"))
    assert run.stdout == SECRET, run.stderr


@pytest.mark.needs("mounts")
def test_a_denial_through_a_link_of_the_project_is_refused(sandbox: NonoRun, outside: Path) -> None:
    """The command could turn the link, and the next run would deny something else."""
    (sandbox.project / "out").symlink_to(outside)
    files = {"allow": ["$WORKDIR", str(outside)], "deny": ["$WORKDIR/out/deep"]}
    refused = granting(sandbox, {"filesystem": files}, "cat", str(outside / "deep/file"))
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert f"'{sandbox.project}/out' is a link" in refused.stderr
    files["deny"] = [str(outside / "deep")]
    assert granting(sandbox, {"filesystem": files}, "cat", str(outside / "file")).stdout == SECRET


def test_a_flag_through_a_link_that_the_command_could_lay_is_refused(sandbox: NonoRun, outside: Path) -> None:
    link = sandbox.project / "out"
    link.symlink_to(outside)
    command = ("sh", "-c", TRY, "sh", str(link))
    refused = granting(sandbox, {}, *command, flags=("--allow=.", "--allow=./out"))
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert f"--allow {outside}" in refused.stderr
    assert not (outside / "new").exists()
    meant = granting(sandbox, {}, *command, flags=("--allow=.", f"--allow={outside}"))
    assert meant.stdout == SECRET, meant.stderr


def test_a_flag_through_a_link_that_it_could_not_lay_is_followed(sandbox: NonoRun, outside: Path) -> None:
    link = sandbox.project / "out"
    link.symlink_to(outside)
    run = granting(sandbox, {}, "sh", "-c", TRY, "sh", str(link), flags=("--read=.", "--allow=./out"))
    assert run.stdout == SECRET, run.stderr
    assert (outside / "new").exists()


def test_a_temporary_directory_that_became_a_link_is_not_granted(sandbox: NonoRun, outside: Path) -> None:
    """No profile, no flag: whatever a command finds in /tmp it may replace."""
    base = Path("/tmp", f"nono-tmpdir-{outside.parent.name}")
    temporary = base / "nix-shell"
    argv = [*NONO, "-s", "run", "--block-net", *PROGRAM_GRANTS, "--", "sh", "-c"]
    environment = {"TMPDIR": str(temporary)}
    try:
        for directory in (base, temporary):
            sandbox.make(directory)
        turn = 'rmdir "$2" && ln -s "$1" "$2" && echo laid'
        shared = [*argv[:-3], NO_NAMESPACES, *argv[-3:]]
        laid = sandbox.bare([*shared, turn, "sh", str(outside), str(temporary)], environment=environment)
        assert laid.stdout == "laid\n", laid.stderr
        then = sandbox.bare([*argv, TRY, "sh", str(temporary)], environment=environment)
        assert SECRET not in then.stdout
        assert not (outside / "new").exists()
        assert f"'{temporary}' is a link" in then.stderr
        assert str(outside) in then.stderr
    finally:
        temporary.unlink()
        base.rmdir()


TURN = 'rm -r "$1" && ln -s "$2" "$1" && echo laid'


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        pytest.param(".prettierrc", {"groups": {"include": ["user_tools"]}}, id="settings above a project"),
        pytest.param(".gitconfig", {"groups": {"include": ["git_config"]}}, id="settings of git"),
        pytest.param(".agent", {"filesystem": {"allow": ["~/.agent"]}}, id="state of an agent"),
    ],
)
def test_a_run_with_the_dotfiles_does_not_choose_what_the_next_profile_grants(
    name: str, profile: dict[str, Any], sandbox: NonoRun, outside: Path
) -> None:
    """They lie in a directory of their own, and the home has links to them, as GNU Stow makes them."""
    home = sandbox.user.home
    dotfiles, kept = home / "dotfiles", home / "dotfiles" / name
    for directory in (dotfiles, kept):
        sandbox.make(directory)
    (kept / "file").write_text("here")
    sandbox.give(kept / "file")
    (home / name).symlink_to(kept)
    try:
        command = ("sh", "-c", TRY, "sh", str(home / name))
        assert granting(sandbox, profile, *command).stdout == "here"
        laid = granting(
            sandbox, {}, "sh", "-c", TURN, "sh", str(kept), str(outside), flags=(f"--allow={dotfiles}",)
        )
        assert laid.stdout == "laid\n", laid.stderr
        then = granting(sandbox, profile, *command)
        assert SECRET not in then.stdout
        assert not (outside / "new").exists()
        assert f"'{kept}' is a link that leads to '{outside}'" in then.stderr
        assert sandbox.bare([*command]).stdout == SECRET
        (outside / "new").unlink()
    finally:
        (home / name).unlink()
        kept.unlink() if kept.is_symlink() else shutil.rmtree(kept)
        dotfiles.rmdir()
