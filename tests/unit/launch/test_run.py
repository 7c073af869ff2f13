"""nono.launch.run: what is worked out once for a whole run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

COUNTED = (
    "import sys\n"
    "from nono.cli.main import main\n"
    "from nono.launch import run\n"
    "build, calls = run.effective_policy_of, []\n"
    "def counted(*values):\n"
    "    calls.append(values)\n"
    "    return build(*values)\n"
    "run.effective_policy_of = counted\n"
    "code = main()\n"
    "print(f'built {len(calls)}', file=sys.stderr)\n"
    "sys.exit(code)\n"
)


def test_the_policy_in_effect_is_built_once_for_state_file_and_report(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    command = ["sh", "-c", 'cat "$NONO_CAP_FILE" && kill -KILL $$']
    argv = [sys.executable, "-c", COUNTED, "run", "--allow-cwd", "--", *command]
    environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(argv, cwd=project, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 137, done.stderr
    assert '"rules"' in done.stdout
    assert "Command killed by signal 9 (SIGKILL)." in done.stderr
    assert done.stderr.endswith("built 1\n")
