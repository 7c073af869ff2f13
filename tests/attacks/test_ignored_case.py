"""What is denied is out of reach by any spelling where a file system finds a name by several."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.nono_run import NonoRun

CANARY = "canary under another name"
READ = 'cat "$1/.env" "$1/.ENV" "$1/ENV~1" "$1/plain"'

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("lowntfs-3g") is None, reason="needs ntfs-3g"),
]


@pytest.fixture
def drive(request: pytest.FixtureRequest, sandbox: NonoRun, tmp_path: Path) -> Iterator[Path]:
    """Yield a directory of the project with an NTFS that a program serves, as a Windows drive in WSL2."""
    image, mounted = tmp_path / "image", sandbox.make(sandbox.project / "Drive")
    with image.open("wb") as file:
        file.truncate(8 << 20)
    subprocess.run(["mkntfs", "-F", "-Q", "-q", image], check=True, capture_output=True)
    program = request.param.partition(",")[0]
    options = (
        f"allow_other,uid={sandbox.user.uid},gid={sandbox.user.gid}{request.param.removeprefix(program)}"
    )
    made = subprocess.run([program, image, mounted, "-o", options], capture_output=True, check=False)
    try:
        if made.returncode:
            pytest.skip(f"no FUSE can be had: {made.stderr.decode()}")
        (mounted / ".env").write_text(CANARY)
        (mounted / "plain").write_text("plain")
        yield mounted
        subprocess.run(["umount", mounted], check=True)
    finally:
        mounted.rmdir()


@pytest.mark.parametrize("drive", ["lowntfs-3g,ignore_case"], indirect=True)
def test_a_denial_that_another_spelling_leads_past_starts_nothing(sandbox: NonoRun, drive: Path) -> None:
    assert (drive / ".ENV").read_text() == CANARY
    profile = {"filesystem": {"deny": [str(drive / ".env")]}}
    run = sandbox.run(["sh", "-c", READ, "sh", str(drive)], profile=profile)
    assert (run.exit_code, run.stdout) == (1, "")
    assert f"cannot be masked: the file system at {drive} ignores the case of names" in run.stderr
    assert f"'{drive}/.ENV' leads there as well" in run.stderr


@pytest.mark.parametrize("drive", ["ntfs-3g"], indirect=True)
def test_a_denial_on_a_drive_that_tells_cases_apart_is_masked(sandbox: NonoRun, drive: Path) -> None:
    assert not (drive / ".ENV").exists()
    profile = {"filesystem": {"deny": [str(drive / ".env")]}}
    run = sandbox.run(["sh", "-c", READ, "sh", str(drive)], profile=profile)
    assert run.stdout == "plain", run.stderr


@pytest.mark.parametrize("drive", ["ntfs-3g"], indirect=True)
def test_a_denial_that_a_short_name_of_windows_leads_past_starts_nothing(
    sandbox: NonoRun, drive: Path
) -> None:
    os.setxattr(drive / ".env", "system.ntfs_dos_name", b"ENV~1")
    assert (drive / "ENV~1").read_text() == CANARY
    profile = {"filesystem": {"deny": [str(drive / ".env")]}}
    run = sandbox.run(["sh", "-c", READ, "sh", str(drive)], profile=profile)
    assert (run.exit_code, run.stdout) == (1, "")
    assert f"'{drive}/ENV~1' leads there as well" in run.stderr
