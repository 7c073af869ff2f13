"""nono itself runs no code that the command of this run, or of an earlier one, could have written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

import nono
from support.nono_run import NonoRun

# As an installed script starts it: with what the environment says to Python.
SCRIPT = "import sys; sys.path.remove(''); from nono.__main__ import main; main()"
PLANTED = "import os; print('planted code runs', os.path.basename(os.readlink('/proc/self/exe'))[:6])"


def start(
    sandbox: NonoRun,
    environment: Mapping[str, str],
    *,
    code: str = SCRIPT,
    verb: str = "run",
    options: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, *options, "-c", code, verb, f"--allow={sandbox.project}", "--", "true"]
    return subprocess.run(
        sandbox.user.command(argv),
        env=sandbox.user.environment(environment),
        cwd=sandbox.project,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def planted(sandbox: NonoRun) -> Iterator[Path]:
    """Yield a directory of the project in which the command has left what Python runs at its start."""
    place = sandbox.project / "place"
    place.mkdir()
    (place / "sitecustomize.py").write_text(PLANTED)
    yield place
    shutil.rmtree(place)


@pytest.mark.parametrize("verb", ["run", "wrap"])
@pytest.mark.parametrize("variable", ["PYTHONPATH", "PYTHONPYCACHEPREFIX"])
def test_a_variable_of_python_that_leads_into_a_grant_is_refused(
    variable: str, verb: str, sandbox: NonoRun, planted: Path
) -> None:
    refused = start(sandbox, {variable: str(planted)}, verb=verb)
    assert refused.returncode == 1, refused.stderr
    assert f"{variable} names '{planted}', which the command may write" in refused.stderr
    assert f"env -u {variable} nono" in refused.stderr
    elsewhere = start(sandbox, {variable: str(sandbox.user.home / "elsewhere")}, verb=verb)
    assert elsewhere.returncode == 0, elsewhere.stderr


def test_what_is_planted_on_pythonpath_would_have_run(sandbox: NonoRun, planted: Path) -> None:
    bare = sandbox.bare([sys.executable, "-c", ""], environment={"PYTHONPATH": str(planted)})
    assert bare.stdout == "planted code runs python\n"


def test_an_isolated_python_takes_no_code_from_the_environment(sandbox: NonoRun, planted: Path) -> None:
    environment = {"PYTHONPATH": str(planted), "PYTHONPYCACHEPREFIX": str(planted)}
    code = SCRIPT.replace("sys.path.remove('')", "assert '' not in sys.path")
    isolated = start(sandbox, environment, code=code, options=["-I"])
    assert isolated.returncode == 0, isolated.stderr
    assert "planted" not in isolated.stdout


def test_an_empty_entry_of_pythonpath_is_the_granted_directory(sandbox: NonoRun) -> None:
    refused = start(sandbox, {"PYTHONPATH": f"{os.sep}usr:"})
    assert refused.returncode == 1, refused.stderr
    assert "PYTHONPATH names '.', which the command may write" in refused.stderr


@pytest.mark.parametrize("granted", [True, False], ids=["granted", "beside"])
def test_a_nono_installed_in_a_grant_is_refused(granted: bool, sandbox: NonoRun) -> None:
    """One that is installed elsewhere is not."""
    place = (sandbox.project if granted else sandbox.user.home) / "installed"
    shutil.copytree(Path(nono.__file__).parent, place / "nono", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(Path(nono.__file__).parents[1] / "profiles", place / "profiles")
    try:
        done = start(sandbox, {}, code=f"import sys; sys.path.insert(0, {str(place)!r}); {SCRIPT}")
    finally:
        shutil.rmtree(place)
    assert done.returncode == granted, done.stderr
    assert (f"nono's own code in '{place}/nono' may be written by the command" in done.stderr) == granted
