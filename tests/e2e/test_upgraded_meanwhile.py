"""Who upgrades or removes nono while a command runs loses the report of that run, and not its exit code."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.hosted.installed_copy import InstalledCopy, install

REPORT = "nono/cli/diagnostics/report.py"
UNTIL_READ = ("--", "bash", "-c", "echo started; read -r _; : < /dev/tcp/192.0.2.1/80; exit 7")
UNTOLD = "what the run did cannot be reported"


@pytest.fixture
def copy(tmp_path: Path) -> InstalledCopy:
    return install(tmp_path, compiled=True)


def ended(
    copy: InstalledCopy, tmp_path: Path, upgrade: dict[str, str | None], *options: str
) -> tuple[int, str]:
    """Return the exit code and standard error of a run, during which files were replaced (None: removed)."""
    with (tmp_path / "stderr").open("w+", encoding="utf-8") as said:
        with copy.started("run", f"--allow={copy.project}", *options, *UNTIL_READ, stderr=said) as run:
            assert run.stdout is not None
            assert run.stdout.readline() == "started\n"
            for name, text in upgrade.items():
                path = copy.site / name
                if text is not None:
                    path.write_text(text)
                elif path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        said.seek(0)
        return run.returncode, said.read()


@pytest.mark.parametrize(
    ("upgrade", "fault"),
    [
        pytest.param({"nono": None}, "ModuleNotFoundError", id="removed"),
        pytest.param({REPORT: "def report(outcome): ..."}, "TypeError", id="another version"),
        pytest.param({REPORT: "def report(:"}, "SyntaxError", id="half written"),
    ],
)
def test_the_exit_code_of_a_run_outlives_an_upgrade(
    copy: InstalledCopy, tmp_path: Path, upgrade: dict[str, str | None], fault: str
) -> None:
    exit_code, said = ended(copy, tmp_path, upgrade)
    assert exit_code == 7, said
    assert f"{UNTOLD} ({fault}" in " ".join(said.split())
    assert "Traceback" not in said


def test_without_what_keeps_bytecode_a_run_ends_as_its_command(copy: InstalledCopy, tmp_path: Path) -> None:
    assert not copy.file.exists()  # a run that lacks it writes it at its end
    exit_code, said = ended(copy, tmp_path, {"nono/bytecode/writer.py": None})
    assert exit_code == 7, said
    assert "Traceback" not in said
    assert not copy.file.exists()


@pytest.mark.parametrize(
    ("part", "text"),
    [
        pytest.param("nono/launch/lifecycle.py", None, id="before the command"),
        pytest.param("nono/proxy/service.py", None, id="beside the command"),
        pytest.param("nono/proxy/service.py", "def x(:", id="half written"),
    ],
)
def test_a_run_that_starts_while_nono_is_upgraded_ends_in_a_sentence(
    copy: InstalledCopy, part: str, text: str | None
) -> None:
    run = ("run", f"--allow={copy.project}", "--allow-domain=a.test", "--", "sh", "-c", "sleep 2; exit 7")
    assert copy.nono(*run).returncode == 7
    path = copy.site / part
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    done = copy.nono(*run)
    assert done.returncode == 1
    assert "nono: a part of nono cannot be loaded: " in done.stderr
    assert "hint: if nono is being updated, start again afterwards" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.needs("listener")
def test_without_an_upgrade_the_run_is_reported(copy: InstalledCopy, tmp_path: Path) -> None:
    exit_code, said = ended(copy, tmp_path, {}, "--allow-domain=a.test")
    assert exit_code == 7
    assert "NONO DIAGNOSTIC" in said
    assert UNTOLD not in said
