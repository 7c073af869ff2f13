"""Where a command starts: in the working directory, granted or not, unless it cannot be entered (ADR 85)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import pytest

from support.nono_run import NO_NAMESPACES, NONO, PROGRAM_GRANTS, Ended, NonoRun
from support.running.needs import require

OPEN: dict[str, object] = {"workdir": {"access": "read"}}
WAYS = ((), (NO_NAMESPACES,), ("--sandbox-policy=netns", "--allow-domain=example.com"))
WHERE = ("sh", "-c", 'pwd -P; printf "%s\\n" "$PWD"')
STARTS_IN_ROOT = "the command starts in /: "


@pytest.fixture
def other(sandbox: NonoRun) -> Path:
    """Make a directory of the user that no run is granted, with two files."""
    directory = sandbox.user.home / "other"
    directory.mkdir()
    for name in ("notes", "secret"):
        (directory / name).write_text(f"{name}\n")
        sandbox.give(directory / name)
    return sandbox.give(directory)


@pytest.fixture
def shared(sandbox: NonoRun) -> Iterator[Path]:
    """Make such a directory below /tmp."""
    directory = Path(f"/tmp/nono-stands-{os.getpid()}")
    directory.mkdir()
    yield sandbox.give(directory)
    rmtree(directory)


def started_in(run: Ended) -> list[str]:
    assert run.exit_code == 0, run.stderr
    return run.stdout.splitlines()


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_it_is_kept_without_a_grant_and_gives_nothing(
    sandbox: NonoRun, other: Path, way: tuple[str, ...]
) -> None:
    here = ["--workdir", str(other), *way]
    run = sandbox.run(WHERE, profile=OPEN, flags=here)
    assert started_in(run) == [str(other)] * 2
    assert STARTS_IN_ROOT not in run.stderr
    tries = "cat notes; cat secret; ls; touch new; rm notes; mkdir made; true"
    tried = sandbox.run(["sh", "-c", tries], profile=OPEN, flags=here)
    assert (tried.exit_code, tried.stdout) == (0, "")
    assert tried.stderr.count("Permission denied") == 6
    assert sorted(path.name for path in other.iterdir()) == ["notes", "secret"]


def test_what_is_granted_is_named_from_there(sandbox: NonoRun, other: Path) -> None:
    flags = ["--workdir", str(other), "--read-file", str(other / "notes")]
    assert sandbox.run(["cat", "notes"], profile=OPEN, flags=flags).stdout == "notes\n"
    refused = sandbox.run(["cat", "secret"], profile=OPEN, flags=flags)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "Permission denied" in refused.stderr


def test_what_the_command_has_of_its_own_is_not_entered(sandbox: NonoRun, shared: Path) -> None:
    require("namespaces", sandbox.user.uid)
    here = ["--workdir", str(shared)]
    hidden = sandbox.run(WHERE, profile=OPEN, flags=here)
    assert started_in(hidden) == ["/", "/"]
    assert f"{STARTS_IN_ROOT}it has a /tmp of its own, without {shared}." in hidden.stderr
    for granted in (["--allow-cwd"], ["--read", str(sandbox.give(_made(shared / "inner")))]):
        shown = sandbox.run(WHERE, profile=OPEN, flags=[*here, *granted])
        assert started_in(shown) == [str(shared)] * 2
    without = sandbox.run(WHERE, profile=OPEN, flags=[*here, NO_NAMESPACES])
    assert started_in(without) == [str(shared)] * 2
    program = shared / "tool"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    sandbox.give(program)
    relative = sandbox.run(["./tool"], profile=OPEN, flags=here)
    assert "./tool: the working directory is not shared, so the command would start in /" in relative.stderr


def test_a_temporary_directory_of_the_persons_own_is_not_entered_either(
    sandbox: NonoRun, shared: Path
) -> None:
    """Groups let a command write there, into one of its own: the run failed."""
    require("namespaces", sandbox.user.uid)
    run = sandbox.run(
        WHERE, profile=OPEN, flags=["--workdir", str(shared)], environment={"TMPDIR": str(shared)}
    )
    assert started_in(run) == ["/", "/"]


def test_what_is_masked_is_not_entered(sandbox: NonoRun) -> None:
    require("namespaces", sandbox.user.uid)
    inner = sandbox.give(_made(sandbox.project / "keys"))
    here = ["--workdir", str(inner)]
    masked = sandbox.run(WHERE, profile={**OPEN, "filesystem": {"deny": [str(inner)]}}, flags=here)
    assert started_in(masked) == ["/", "/"]
    assert f"{STARTS_IN_ROOT}{inner} is denied." in masked.stderr
    assert started_in(sandbox.run(WHERE, profile=OPEN, flags=here)) == [str(inner)] * 2


def test_what_the_person_may_not_enter_by_its_path_is_not_entered(sandbox: NonoRun, other: Path) -> None:
    inner = sandbox.give(_made(other / "inner"))
    inside = [
        "sh",
        "-c",
        f'cd {inner}; chmod {{}} {other}; "$@"; status=$?; chmod 700 {other}; exit $status',
        "sh",
    ]
    for mode, place in (("000", "/"), ("700", str(inner))):
        wrapper = [word.format(mode) for word in inside]
        run = sandbox.run(WHERE, profile=OPEN, wrapper=wrapper)
        assert started_in(run) == [place] * 2
        wrapped = sandbox.user.run([*wrapper, *NONO, "wrap", *PROGRAM_GRANTS, "--", *WHERE])
        assert wrapped.stdout.splitlines() == [place] * 2, wrapped.stderr
        for stderr in (run.stderr, wrapped.stderr):
            assert (f"{STARTS_IN_ROOT}{inner} cannot be entered." in stderr) == (place == "/")


def _made(directory: Path) -> Path:
    directory.mkdir(exist_ok=True)
    return directory


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
@pytest.mark.parametrize("granted", [(), ("--allow-cwd",)], ids=" ".join)
def test_pwd_keeps_the_links_that_the_person_came_by(
    sandbox: NonoRun, other: Path, way: tuple[str, ...], granted: tuple[str, ...]
) -> None:
    link = sandbox.user.home / "link"
    link.symlink_to(other.parent)
    spelled = link / other.name
    run = sandbox.run(WHERE, profile=OPEN, flags=["--workdir", str(spelled), *way, *granted])
    assert started_in(run) == [str(other), str(spelled)]
    read = sandbox.run(
        ["sh", "-c", 'cat "$PWD/notes"'], profile=OPEN, flags=["--workdir", str(spelled), *way, *granted]
    )
    assert read.stdout == ("notes\n" if granted else "")


def test_pwd_keeps_them_beside_a_mask(sandbox: NonoRun, other: Path) -> None:
    require("namespaces", sandbox.user.uid)
    link = sandbox.user.home / "link"
    link.symlink_to(other.name)
    profile = {**OPEN, "filesystem": {"deny": [str(other / "secret")]}}
    tries = 'cat "$PWD/notes"; cat "$PWD/secret"; true'
    run = sandbox.run(["sh", "-c", tries], profile=profile, flags=["--workdir", str(link), "--allow-cwd"])
    assert run.stdout == "notes\n"


def test_pwd_names_no_link_that_the_command_does_not_see(sandbox: NonoRun, other: Path) -> None:
    require("namespaces", sandbox.user.uid)
    hidden = other / "hidden"
    hidden.mkdir()
    (hidden / "link").symlink_to(other)
    sandbox.give(hidden)
    here = ["--workdir", str(hidden / "link")]
    profile: dict[str, object] = {**OPEN, "filesystem": {"read": [str(other)], "deny": [str(hidden)]}}
    assert started_in(sandbox.run(WHERE, profile=profile, flags=here)) == [str(other)] * 2


def test_pwd_has_no_dots(sandbox: NonoRun, other: Path) -> None:
    run = sandbox.run(WHERE, profile=OPEN, flags=["--workdir", str(other / ".." / "other")])
    assert started_in(run) == [str(other)] * 2


@pytest.mark.parametrize(
    ("flags", "is_warned"),
    [
        pytest.param([], False, id="a /tmp of its own"),
        pytest.param([NO_NAMESPACES], True, id="the shared /tmp"),
        pytest.param(["--allow"], True, id="its directory granted"),
        pytest.param([NO_NAMESPACES, "--sandbox-policy=landlock"], True, id="without a listener"),
    ],
)
def test_a_profile_that_the_command_does_not_see_is_not_its_own_to_write(
    sandbox: NonoRun, shared: Path, flags: list[str], is_warned: bool
) -> None:
    require("namespaces", sandbox.user.uid)
    profile = shared / "profile.json"
    profile.write_text(json.dumps(OPEN))
    sandbox.give(profile)
    granted = [each if each != "--allow" else f"--allow={shared}" for each in flags]
    run = sandbox.run(["true"], profile=profile, flags=granted)
    assert ("may write its own profile" in run.stderr) == is_warned


def test_a_file_hidden_by_a_tmp_of_the_runs_own_is_told_with_the_option_that_shows_it(
    sandbox: NonoRun, shared: Path
) -> None:
    require("namespaces", sandbox.user.uid)
    file = shared / "notes"
    file.write_text("notes\n")
    sandbox.give(file)
    hidden = sandbox.run(["cat", str(file)], profile=OPEN)
    assert (hidden.exit_code, hidden.stdout) == (1, "")
    said = " ".join(hidden.stderr.split())
    assert "named in the command; the run has a /tmp of its own, without it (cat)" in said
    assert f"fix: --read-file {file}" in said
    shown = sandbox.run(["cat", str(file)], profile=OPEN, flags=["--read-file", str(file)])
    assert (shown.exit_code, shown.stdout) == (0, "notes\n")
    missing = sandbox.run(["cat", f"{file}-2"], profile=OPEN)
    assert "of its own" not in missing.stderr


def test_a_directory_that_is_granted_and_cannot_be_entered_is_named_without_an_errno(
    sandbox: NonoRun, other: Path
) -> None:
    inside = [
        "sh",
        "-c",
        f'cd {other}; chmod {{}} {other}; "$@"; status=$?; chmod 700 {other}; exit $status',
        "sh",
    ]
    refused, entered = ([word.format(mode) for word in inside] for mode in ("000", "700"))
    said = f"{other}, where it would start, cannot be entered: Permission denied"
    for verb in ("run", "wrap"):
        argv = [*NONO, verb, "--allow", str(other), *PROGRAM_GRANTS, "--", *WHERE]
        run = sandbox.user.run([*refused, *argv])
        assert (run.returncode, run.stderr.splitlines()[-1]) == (
            126,
            f"nono: the command was not started: {said}",
        )
        assert sandbox.user.run([*entered, *argv]).stdout.splitlines() == [str(other)] * 2
