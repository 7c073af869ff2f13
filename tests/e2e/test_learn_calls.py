"""Every way of doing something with a file is seen by `nono learn`: what it wrote lets it be done again."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.learning import Learner
from support.nono_run import PROGRAM_GRANTS, nono_run

SYSTEM_PYTHON = "/usr/bin/python3"
OPENAT2 = 437

# Each in a directory of its own, or in two. What is used again is put back.
DEEDS = {
    "mkdir": "os.mkdir('made'); os.rmdir('made')",
    "mkdirat": "d = os.open('.', os.O_PATH); os.mkdir('made', dir_fd=d); os.rmdir('made', dir_fd=d)",
    "unlink": "os.remove('file'); os.link('kept', 'file')",
    "rename": "os.rename('file', 'other'); os.rename('other', 'file')",
    "symlink": "os.symlink('x', 'made'); os.remove('made')",
    "mkfifo": "os.mkfifo('made'); os.remove('made')",
    "create": "open('made', 'w').close(); os.remove('made')",
    "tmpfile": "os.close(os.open('.', os.O_TMPFILE | os.O_WRONLY))",
    "openat2": (
        "how = struct.pack('=QQQ', os.O_CREAT | os.O_WRONLY, 0o600, 0);"
        f"assert libc.syscall({OPENAT2}, -100, b'made', how, len(how)) >= 0; os.remove('made')"
    ),
    "absolute": "os.mkdir(os.path.abspath('made')); os.rmdir('../.absolute/made/')",
}
PROGRAM = """
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
home = os.path.expanduser('~')
for name, deed in {deeds!r}.items():
    os.chdir(f'{{home}}/.{{name}}')
    exec(deed)
os.chdir(home)
os.rename('.from/file', '.to/file'); os.rename('.to/file', '.from/file')
os.link('.from/file', '.link/new'); os.remove('.link/new')
os.truncate('.truncate/file', 0)
"""


@pytest.fixture
def learner() -> Iterator[Learner]:
    with nono_run() as runner:
        yield Learner(runner)


def make(learner: Learner, path: str, text: str = "x", mode: int = 0o600) -> Path:
    file = learner.runner.user.home / path
    for directory in [*reversed(file.parents)]:
        if not directory.exists():
            directory.mkdir(mode=0o700)
            learner.runner.give(directory)
    file.write_text(text)
    file.chmod(mode)
    return learner.runner.give(file)


def test_changes_of_directories_are_seen_whatever_the_call(learner: Learner) -> None:
    directories = [*DEEDS, "from", "to", "link"]
    for name in (*directories, "truncate"):
        make(learner, f".{name}/file")
        make(learner, f".{name}/kept")
    command = [sys.executable, "-I", "-S", "-B", "-c", PROGRAM.format(deeds=DEEDS)]
    home = learner.runner.user.home
    flags = [f"--allow={home}/.{name}" for name in (*directories, "truncate")]
    learned = learner.learn(command, flags=("--yes", *flags))
    assert learned.exit_code == 0, learned.stderr
    assert learner.granted("write") == {f"~/.{name}" for name in directories}
    assert learner.granted("write_file") == {"~/.truncate/file"}
    assert learner.granted("allow") == set()
    again = learner.again(command, flags=PROGRAM_GRANTS)
    assert again.exit_code == 0, again.stderr


FUTILE = {
    "made": "os.mkdir('file')",  # is there
    "link": "os.symlink('x', 'file')",
    "gone": "os.remove('missing')",
    "moved": "os.rename('missing', 'other')",
    "linked": "os.link('missing', 'other')",
}
IN_VAIN = """
import contextlib, os
home = os.path.expanduser('~')
for name, deed in {deeds!r}.items():
    os.chdir(f'{{home}}/.{{name}}')
    with contextlib.suppress(FileExistsError, FileNotFoundError):
        exec(deed)
        raise AssertionError(name)
os.chdir(f'{{home}}/.done')
os.mkdir('made')
"""


def test_what_changed_nothing_takes_no_grant(learner: Learner) -> None:
    for name in (*FUTILE, "done"):
        make(learner, f".{name}/file")
    command = [sys.executable, "-I", "-S", "-B", "-c", IN_VAIN.format(deeds=FUTILE)]
    home = learner.runner.user.home
    learned = learner.learn(
        command, flags=("--yes", *(f"--allow={home}/.{name}" for name in (*FUTILE, "done")))
    )
    assert learned.exit_code == 0, learned.stderr
    assert learner.granted("write") == {"~/.done"}
    assert learner.granted("allow") == set()


@pytest.mark.skipif(not os.path.exists(SYSTEM_PYTHON), reason="there is no Python of the system's")
def test_programs_and_the_interpreters_of_scripts_are_seen(learner: Learner) -> None:
    home = learner.runner.user.home
    shell = shutil.copy(os.path.realpath("/bin/sh"), make(learner, ".lang/bin/shell"))
    os.chmod(shell, 0o755)
    make(learner, ".tools/inner", f"#!{home}/.lang/bin/shell\necho ran $1\n", 0o700)
    make(learner, ".tools/outer", f"#!{home}/.tools/inner\n", 0o700)
    make(learner, ".tools/other", f"#!{home}/.lang/bin/shell\necho other\n", 0o700)
    program = f"""
import os, sys
if os.fork() == 0:
    os.execv({str(home)!r} + '/.tools/outer', ['outer'])
os.wait()
descriptor = os.open({str(home)!r} + '/.tools/inner', os.O_RDONLY)
os.set_inheritable(descriptor, True)
os.execve(descriptor, ['inner', 'again'], dict(os.environ))
"""
    command = [SYSTEM_PYTHON, "-I", "-S", "-B", "-c", program]
    learned = learner.learn(command)
    assert learned.exit_code == 0, learned.stderr
    assert learner.granted("read_file") == {"~/.lang/bin/shell", "~/.tools/inner", "~/.tools/outer"}
    again = learner.again(command)
    assert (again.exit_code, again.stdout) == (0, learned.stdout), again.stderr
    refused = learner.again([f"{home}/.tools/other"])
    assert refused.exit_code != 0
    assert "other" not in refused.stdout
