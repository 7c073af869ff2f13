"""D5: a daemon outside asks a host for its exports because the command looks at a directory with its name."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

import support.running.host_map
from support.nono_run import PROXY_ONLY, SANDBOX_POLICIES, NonoRun

RUNS = {
    **{policy: (PROXY_ONLY, (f"--sandbox-policy={policy}",)) for policy in SANDBOX_POLICIES},
    "blocked": ({}, ("--block-net",)),
}
HOW = pytest.mark.parametrize(("profile", "flags"), RUNS.values(), ids=RUNS)
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a map of autofs"),
    pytest.mark.needs("CAP_SYS_ADMIN", "namespaces"),
]


@pytest.fixture
def directory(sandbox: NonoRun) -> Path:
    if "\tautofs\n" not in Path("/proc/filesystems").read_text():
        pytest.skip("this kernel has no autofs")
    return sandbox.give(Path(tempfile.mkdtemp(dir=sandbox.user.home)))


def stage(directory: Path, asked: Path) -> list[str]:
    return [sys.executable, "-I", "-S", support.running.host_map.__file__, str(directory), str(asked)]


def look_at(directory: Path) -> list[str]:
    return ["sh", "-c", f"stat {directory}/data.host.test 2>/dev/null || echo gone"]


@HOW
def test_no_host_is_asked_for_its_exports(
    profile: Mapping[str, object],
    flags: tuple[str, ...],
    sandbox: NonoRun,
    directory: Path,
    tmp_path: Path,
) -> None:
    asked = tmp_path / "asked"
    run = sandbox.run(look_at(directory), profile=profile, flags=flags, stage=stage(directory, asked))
    assert run.stdout == "gone\n", run.stderr
    assert asked.read_text() == ""


@pytest.mark.parametrize("way", ["", "link"])
def test_nono_looks_for_nothing_there_that_a_command_says_it_missed(
    way: str, sandbox: NonoRun, directory: Path, tmp_path: Path
) -> None:
    link = sandbox.project / "to-a-host"
    link.symlink_to(directory / "data.host.test")
    asked = tmp_path / "asked"
    path = link / "file" if way else directory / "data.host.test"
    run = sandbox.run(["sh", "-c", f"cat {path}; exit 1"], stage=stage(directory, asked))
    link.unlink()
    assert run.exit_code == 1
    assert f"{path}: No such file or directory" in run.stderr
    assert asked.read_text() == ""


@pytest.mark.parametrize("is_written_by", ["this run", "an earlier one"])
def test_nono_looks_for_no_interpreter_there_that_a_command_has_named(
    is_written_by: str, sandbox: NonoRun, directory: Path, tmp_path: Path
) -> None:
    first_line = f"#!{directory}/data.host.test/sh\n"
    program = sandbox.project / "tool"
    rewritten = f"#!/bin/sh\nprintf '{first_line}' >{program}\nexit 127\n"
    program.write_text(rewritten if is_written_by == "this run" else first_line)
    program.chmod(0o755)
    sandbox.give(program)
    asked = tmp_path / "asked"
    run = sandbox.run([str(program)], stage=stage(directory, asked))
    left = program.read_text()
    program.unlink()
    assert (run.exit_code, left) == (127, first_line), run.stderr
    assert asked.read_text() == ""


def test_hosts_are_asked_where_the_directory_is_granted(
    sandbox: NonoRun, directory: Path, tmp_path: Path
) -> None:
    asked = tmp_path / "asked"
    sandbox.run(look_at(directory), flags=[f"--read={directory}"], stage=stage(directory, asked))
    assert "data.host.test" in asked.read_text().split()


def test_a_host_is_asked_without_nono(sandbox: NonoRun, directory: Path, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    sandbox.bare(look_at(directory), stage=stage(directory, asked))
    assert asked.read_text().split() == ["data.host.test"]
