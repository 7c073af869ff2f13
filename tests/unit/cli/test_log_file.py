"""--log-file: nono's own lines are appended to a file that only its owner reads, or it is said why not."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest


def nono(home: Path, *argv: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-m", "nono", *argv],
        env={"HOME": str(home), "PATH": os.defpath, **variables},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )


def test_warnings_and_errors_are_appended(tmp_path: Path) -> None:
    log = tmp_path / "nono.log"
    for _ in range(2):
        nono(tmp_path, "--theme", "nonesuch", "run", "--log-file", str(log), "--", "no-such-program")
    lines = log.read_text().splitlines()
    assert len(lines) == 4
    assert "WARN [nono] WARNING: unknown theme 'nonesuch'" in lines[0]
    assert "ERROR" in lines[1]
    assert "no-such-program" in lines[1]
    assert lines[0][:4].isdecimal()  # when
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_v_logs_what_else_is_said(tmp_path: Path) -> None:
    log = tmp_path / "nono.log"
    done = nono(tmp_path, "run", "-v", "--dry-run", "--", "true", "--token", "s3cret", NONO_LOG_FILE=str(log))
    assert done.returncode == 0
    text = log.read_text()
    assert "INFO     net  outbound allowed" in text
    assert "$ true --token '[REDACTED]'" in text
    assert "ended with exit code 0" in text
    assert "s3cret" not in text


def test_silent_logs_nothing(tmp_path: Path) -> None:
    log = tmp_path / "nono.log"
    nono(tmp_path, "-s", "run", "-v", "--theme", "x", "--dry-run", "--", "true", NONO_LOG_FILE=str(log))
    assert not log.exists()


def test_a_log_that_cannot_be_opened_is_only_a_warning(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in ("none/there.log", "fifo", "."):
        done = nono(tmp_path, "run", f"--log-file={path}", "--dry-run", "--", "true")
        assert done.returncode == 0
        assert f"the log file {path} cannot be opened: " in done.stderr
        assert "dry-run sandbox would be applied" in done.stderr


@pytest.mark.parametrize("command", ["run", "wrap", "learn"])
def test_no_link_leads_the_log_to_another_file(command: str, tmp_path: Path) -> None:
    """A command of an earlier run may have left it in the project, and chooses words of the messages."""
    project, other = tmp_path / "project", tmp_path / "elsewhere"
    for directory in (project, other):
        directory.mkdir()
    (other / "profile").write_text("mine\n")
    (project / "a.log").symlink_to(other / "profile")
    (project / "logs").symlink_to(other)

    def logged_to(path: Path) -> subprocess.CompletedProcess[str]:
        granted = (f"--allow={project}", f"--workdir={project}")
        return nono(tmp_path, command, "-v", f"--log-file={path}", *granted, "--dry-run", "--", "true")

    at_the_end = logged_to(project / "a.log")
    assert f"{project}/a.log cannot be opened: It is a link: name the file that it" in at_the_end.stderr
    assert (other / "profile").read_text() == "mine\n"
    for ended in (at_the_end, logged_to(project / "logs/profile")):
        assert (ended.returncode, "which the command may write" in ended.stderr) == (1, True), ended.stderr
    assert logged_to(other / "profile").returncode == 0
    assert "INFO" in (other / "profile").read_text()


@pytest.mark.parametrize("command", ["run", "wrap", "learn"])
def test_the_kernels_links_may_lead_the_log(command: str, tmp_path: Path) -> None:
    """As in containers. Every command may use them as well."""
    (tmp_path / "project").mkdir()
    flags = ("--log-file=/dev/stdout", f"--workdir={tmp_path}/project", "--dry-run")
    done = nono(tmp_path, "--theme=x", command, *flags, "--", "true")
    assert (done.returncode, "WARN [nono] WARNING: unknown theme" in done.stdout) == (0, True), done.stderr


def test_what_is_logged_forges_no_line(tmp_path: Path) -> None:
    log = tmp_path / "nono.log"
    nono(tmp_path, "run", f"--log-file={log}", "--", "x\n2026-01-01T00:00:00+00:00 INFO forged\x1b[2J")
    assert "\x1b" not in log.read_text()
    assert all("nono" in line or "ERROR" in line for line in log.read_text().splitlines())


@pytest.mark.parametrize("full", ["/dev/full"])
def test_a_full_disk_stops_no_run(tmp_path: Path, full: str) -> None:
    done = nono(tmp_path, "run", "-v", f"--log-file={full}", "--dry-run", "--", "true")
    assert (done.returncode, "dry-run sandbox would be applied" in done.stderr) == (0, True)


def test_an_old_spelling_that_lifts_a_protection_is_always_said(tmp_path: Path) -> None:
    done = nono(tmp_path, "-s", "run", "--override-deny", "/nowhere", "--net-block", "--", "true")
    assert "`--override-deny` is deprecated; use `--bypass-protection` instead." in done.stderr
    assert "--net-block" not in done.stderr
    own = nono(tmp_path, "run", "--dry-run", "--", "echo", "--override-deny", "--net-block")
    assert "deprecated" not in own.stderr
