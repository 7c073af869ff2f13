"""What is installed is what was tested: the wheel carries all that the code reads."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    [built] = target.glob("*.whl")
    return built


def test_the_wheel_carries_what_the_code_reads(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for machine in ("x86_64", "aarch64"):
        for program in ("block_all", "notify", "open_net", "tcp_only"):
            assert f"nono/kernel/filters/{machine}/{program}.bpf" in names
    assert {"nono/policy/data/policy.json", "nono/policy/data/network-policy.json"} <= names
    assert {f"nono/profiles/{path.name}" for path in (ROOT / "profiles").glob("*.json")} <= names
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in names)


def test_the_unpacked_wheel_finds_its_own_files(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import nono; from nono.policy import builtin; "
        "from nono.kernel import filters; assert nono.__file__.startswith(sys.argv[1]); "
        "builtin.profile_document('python-dev'); builtin.groups(); print(len(filters.load('notify')) > 100)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=20, cwd="/"
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
