"""Who attacks: whoever runs the suite."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nono.kernel import landlock
from support.attack_programs.building import command
from support.nono_run import SUPPORT, NonoRun, nono_run
from support.running.builds import Builds
from support.servers.http1 import HttpUpstream, upstream

BUILT = Path("/usr/lib/nono-attacks")  # of a guest: tests/guest/image.py
WHO = ["root" if os.geteuid() == 0 else "user"]  # CI and guests run the attacks once as each


@pytest.fixture(scope="module", params=WHO)
def sandbox(request: pytest.FixtureRequest) -> Iterator[NonoRun]:
    """Yield one account for the module; a test leaves nothing in its project that matters to the next."""
    if landlock.abi_version() == 0:
        pytest.skip("without Landlock every run is refused: tests/e2e/test_ladder.py")
    with nono_run(as_root=request.param == "root") as runner:
        yield runner


@pytest.fixture(scope="module")
def compiled(sandbox: NonoRun, builds: Builds) -> Callable[[str], str]:
    """Return a function that builds attack_programs/*/<name>.c in the project, and returns its path."""
    compiler = shutil.which("cc")

    def build(name: str) -> str:
        if (ready := BUILT / name).exists():
            return str(ready)
        if compiler is None:
            pytest.skip("there is no C compiler")
        (source,) = (SUPPORT / "attack_programs").glob(f"*/{name}.c")

        def make(target: Path) -> None:
            subprocess.run(command(source, target, compiler), check=True, timeout=60)
            target.chmod(0o755)

        target: Path = sandbox.project / name
        if not target.exists():
            shutil.copy(builds.get(name, make), target)
        return str(target)

    return build


@pytest.fixture
def server() -> Iterator[HttpUpstream]:
    """Yield an upstream that answers everything."""
    with upstream() as running:
        yield running


@pytest.fixture
def btrfs(sandbox: NonoRun, tmp_path: Path) -> Iterator[Path]:
    """Yield a new file system of btrfs, mounted in the project. Takes root."""
    if shutil.which("mkfs.btrfs") is None:
        pytest.skip("no btrfs-progs")
    image, mounted = tmp_path / "image", sandbox.project / "volume"
    with image.open("wb") as file:
        file.truncate(128 << 20)
    mounted.mkdir()
    subprocess.run(["mkfs.btrfs", "-q", image], check=True, timeout=60)
    if subprocess.run(["mount", "-o", "loop", image, mounted], check=False, timeout=60).returncode:
        mounted.rmdir()
        pytest.skip("btrfs cannot be mounted here")
    try:
        yield mounted
    finally:
        subprocess.run(["umount", mounted], check=True, timeout=60)
        mounted.rmdir()
