"""F6 to F8: the command changes nothing that decides how a later run is held, nor does what it was given."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.nono_run import NONO, PROGRAM_GRANTS, NonoRun

# What a checked-out repository may hold: whatever name a program might look for.
NAMES = (
    ".nono.json",
    "nono.json",
    ".nono/profile.json",
    ".nono/profiles/default.json",
    "default.json",
    "repo.json",
)
WIDE = {"filesystem": {"allow": ["~/outside"]}, "network": {"allow_domain": ["*"]}}
WRITE = 'for each in "$@"; do (: >> "$each"); done; echo ended'
# Landlock keeps this program and what it executes from making device nodes, and from that alone.
INSIDE = """
import os, sys
from nono.kernel import landlock
from nono.kernel.uapi.landlock import LANDLOCK_ACCESS_FS_MAKE_BLOCK
for _ in range(int(sys.argv[1])):
    landlock.restrict_self(landlock.create_ruleset(LANDLOCK_ACCESS_FS_MAKE_BLOCK))
os.execvp(sys.argv[2], sys.argv[2:])
"""
WITHOUT = "import sys; sys.modules[sys.argv.pop(1)] = None;from nono.__main__ import main; sys.exit(main())"


@pytest.fixture
def profiles(sandbox: NonoRun) -> Iterator[Path]:
    """Yield the user's profile directory, with one profile in it."""
    folder = sandbox.user.home / ".config/nono/profiles"
    folder.mkdir(parents=True)
    (folder / "mine.json").write_text("{}")
    for made in (folder, folder.parent, folder.parents[1], folder / "mine.json"):
        sandbox.give(made)
    yield folder
    (folder / "mine.json").unlink()
    for made in (folder, folder.parent, folder.parents[1]):
        made.rmdir()


@pytest.mark.needs("mounts")
def test_a_command_with_write_access_nearby_cannot_change_profiles(sandbox: NonoRun, profiles: Path) -> None:
    beside = profiles.parents[1] / "beside"
    written = [str(profiles / "mine.json"), str(profiles / "new.json"), str(beside)]
    for flags in ((), (f"--allow={profiles.parents[1]}",)):
        run = sandbox.run(["sh", "-c", WRITE, "sh", *written], flags=flags)
        assert run.stdout == "ended\n", run.stderr
        assert [path.name for path in profiles.iterdir()] == ["mine.json"]
        assert (profiles / "mine.json").read_text() == "{}"
        assert beside.exists() == bool(flags)
    beside.unlink()


@pytest.mark.needs("mounts")
def test_nor_can_one_whose_run_has_its_profiles_elsewhere(sandbox: NonoRun, profiles: Path) -> None:
    """Runs from another terminal obey them."""
    beside = profiles.parents[1] / "beside"
    written = [str(profiles / "mine.json"), str(profiles / "new.json"), str(beside)]
    environment = {"XDG_CONFIG_HOME": str(sandbox.user.home / "elsewhere")}
    flags = [f"--allow={profiles.parents[1]}"]
    run = sandbox.run(["sh", "-c", WRITE, "sh", *written], flags=flags, environment=environment)
    assert run.stdout == "ended\n", run.stderr
    assert (profiles / "mine.json").read_text() == "{}"
    assert not (profiles / "new.json").exists()
    beside.unlink()  # it was written


@pytest.mark.parametrize("name", ["", "profiles", "profiles/mine.json"])
def test_a_grant_to_write_profiles_has_to_be_meant(name: str, sandbox: NonoRun, profiles: Path) -> None:
    place = profiles.parent / name
    flag = f"--{'allow-file' if place.is_file() else 'allow'}={place}"
    refused = sandbox.run(["true"], flags=[flag])
    assert refused.exit_code == 1
    assert "nono's own profiles" in refused.stderr
    meant = sandbox.run(
        ["sh", "-c", WRITE, "sh", str(profiles / "mine.json")], flags=[flag, f"--bypass-protection={place}"]
    )
    assert (meant.exit_code, meant.stdout) == (0, "ended\n"), meant.stderr


def test_profiles_can_be_granted_to_be_read(sandbox: NonoRun, profiles: Path) -> None:
    run = sandbox.run(["cat", str(profiles / "mine.json")], flags=[f"--read={profiles.parents[1]}"])
    assert run.stdout == "{}"


def test_where_there_are_no_profiles_yet_none_can_be_made(sandbox: NonoRun) -> None:
    folder = sandbox.user.home / ".config"
    folder.mkdir()
    sandbox.give(folder)
    run = sandbox.run(["mkdir", str(folder / "nono")], flags=[f"--allow={folder}"])
    assert run.exit_code == 1
    assert f"mkdir -p {folder}/nono" in run.stderr
    folder.rmdir()


def test_nothing_in_the_working_directory_is_taken_for_a_profile(sandbox: NonoRun) -> None:
    """F7."""

    def said(*flags: str) -> tuple[int, str]:
        run = sandbox.run(["true"], flags=["--dry-run", "-v", *flags])
        return run.exit_code, run.stderr

    before, unknown = said(), said("--profile=repo")
    made = [sandbox.project / name for name in NAMES]
    for path in made:
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(json.dumps(WIDE))
    try:
        assert said() == before
        assert before[0] == 0
        assert said("--profile=repo") == unknown
        assert unknown[0] != 0
        assert said("--profile=./repo.json")[1] != before[1]  # by its path it is one
    finally:
        for path in made:
            path.unlink()


def test_without_what_it_needs_nothing_is_started(sandbox: NonoRun) -> None:
    """F8."""
    argv = sandbox.argv(["echo", "started"])
    rest = argv[argv.index("run") :]
    for module in ("uvloop", "nono.kernel.landlock", "nono.supervisor.notify_loop", "nobody_needs_this"):
        ended = sandbox.bare([sys.executable, "-I", "-c", WITHOUT, module, *rest])
        is_needed = module != "nobody_needs_this"
        assert (ended.exit_code != 0) == is_needed
        assert ended.stdout == ("" if is_needed else "started\n")


@pytest.mark.parametrize("around", [15, 16])
def test_inside_as_many_sandboxes_as_the_kernel_takes_nothing_is_started(
    around: int, sandbox: NonoRun
) -> None:
    wrapper = [sys.executable, "-I", "-c", INSIDE, str(around)]
    run = sandbox.run(["echo", "started"], profile={}, flags=("--block-net",), wrapper=wrapper)
    fits = around < 16
    assert (run.exit_code, run.stdout) == ((0, "started\n") if fits else (126, ""))
    assert ("it holds 16 sandboxes inside each other and no more" in run.stderr) is not fits


@pytest.fixture
def dotfiles(sandbox: NonoRun) -> Iterator[Path]:
    """Yield a project in which nono's configuration is kept: the home has links to it."""
    kept = sandbox.make(sandbox.project / "dotfiles")
    config = sandbox.user.home / ".config/nono"
    for directory in (config.parent, config, config / "profiles"):
        sandbox.make(directory)
    for link in (config / "profiles/other.json", config / "config.toml"):
        (kept / link.name).write_text("{}" if link.suffix == ".json" else "")
        sandbox.give(kept / link.name)
        link.symlink_to(kept / link.name)
    yield kept
    shutil.rmtree(config.parent)
    shutil.rmtree(kept)


@pytest.mark.needs("mounts")
def test_configuration_that_is_kept_in_a_granted_directory_cannot_be_changed(
    sandbox: NonoRun, dotfiles: Path
) -> None:
    files = [dotfiles / "other.json", dotfiles / "config.toml"]
    before = [file.read_text() for file in files]
    change = 'for each in "$@"; do (echo changed >"$each"); (rm -f "$each"); done; echo ended'
    run = sandbox.run(["sh", "-c", change, "sh", *map(str, files), str(dotfiles / "new")])
    assert run.stdout == "ended\n", run.stderr
    assert [file.read_text() for file in files] == before
    masked = {event["path"]: event["origin"] for event in run.events if event["type"] == "masked"}
    assert masked == dict.fromkeys(map(str, files), "nono's own profiles")
    bare = sandbox.bare(["sh", "-c", change, "sh", *map(str, files)])
    assert (bare.stdout, [file.exists() for file in files]) == ("ended\n", [False, False])


@pytest.mark.parametrize("silent", [True, False])
def test_a_profile_that_the_command_may_change_is_said_to_be(silent: bool, sandbox: NonoRun) -> None:
    """Its file, and a link to it that the command could turn."""
    real = sandbox.project / "real.json"
    link = sandbox.project / "link.json"
    outside = sandbox.user.home / "outside.json"
    for file in (real, outside):
        file.write_text("{}")
        sandbox.give(file)
    link.symlink_to(outside)
    try:
        for profile, named in ((real, real), (link, link), (outside, None)):
            flags = [*(["-s"] if silent else []), "run", f"--profile={profile}", f"--allow={sandbox.project}"]
            said = sandbox.bare([*NONO, *flags, *PROGRAM_GRANTS, "--block-net", "--", "true"]).stderr
            assert ("may write its own profile" in said) == (named is not None)
            assert named is None or str(named) in said
    finally:
        for file in (real, link, outside):
            file.unlink()
