"""nono.kernel.signals: exit codes."""

from __future__ import annotations

import subprocess

import pytest

from nono.kernel.signals import shell_exit_code


@pytest.mark.parametrize("script", ["exit 0", "exit 3", "kill -TERM $$", "kill -KILL $$"])
def test_an_exit_code_is_what_a_shell_reports(script: str) -> None:
    ended = subprocess.run(["sh", "-c", script], check=False).returncode
    reported = subprocess.check_output(["sh", "-c", f"sh -c '{script}'; echo $?"], stderr=subprocess.DEVNULL)
    assert shell_exit_code(ended) == int(reported)
