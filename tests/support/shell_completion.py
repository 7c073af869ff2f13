"""What a real bash, zsh or fish offers where the cursor stands at the end of a line."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

# The words as readline cuts them: it knows `=` as a boundary.
_BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
compopt() { :; }  # outside of a completion it would complain
_nono nono
printf '%s\\n' "${COMPREPLY[@]}"
"""

_ZSHRC = """
PS1='> '; fpath=({directory} $fpath); autoload -Uz compinit; compinit -u -D
compadd() {{
    if [[ ${{@[1,(i)(-|--)]}} == *-(O|A|D)\\ * ]]; then builtin compadd "$@"; return; fi
    local -a hits
    builtin compadd -A hits "$@"
    print -rl -- $hits >> {directory}/hits
    builtin compadd "$@"
}}
complete-and-tell() {{ zle complete-word; print > {directory}/done }}
zle -N complete-and-tell; bindkey '^T' complete-and-tell
print > {directory}/ready
"""
_WAIT_S = 20.0


def bash(line: str, script: Path, home: Path) -> list[str]:
    words = []
    for word in line.split(" "):
        flag, sign, value = word.partition("=")
        words += [flag, sign, *([value] if value else [])] if sign else [word]
    argv = ["bash", "--norc", "-c", _BASH, "bash", str(script), *words]
    return _offered(argv, home)


def fish(line: str, script: Path, home: Path) -> list[str]:
    argv = ["fish", "--no-config", "-c", f'source {script}; complete -C "$argv[1]"', line]
    return _offered(argv, home)


def zsh(line: str, script: Path, home: Path) -> list[str]:
    """Its completion needs its line editor, and that a terminal."""
    directory = home / "zsh"
    directory.mkdir(exist_ok=True)
    for name in ("hits", "done", "ready"):
        (directory / name).unlink(missing_ok=True)
    (directory / "_nono").write_bytes(script.read_bytes())
    (home / ".zshrc").write_text(_ZSHRC.format(directory=directory))
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(home)
        os.execvpe("zsh", ["zsh", "-i"], {**_environ(home), "TERM": "dumb"})
    try:
        _until((directory / "ready").exists, terminal)
        os.write(terminal, line.encode() + b"\x14")
        _until((directory / "done").exists, terminal)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
    hits = directory / "hits"
    return sorted(set(hits.read_text().splitlines()) - {""}) if hits.exists() else []


SHELLS: Mapping[str, Callable[[str, Path, Path], list[str]]] = {"bash": bash, "fish": fish, "zsh": zsh}


def _environ(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


def _offered(argv: list[str], home: Path) -> list[str]:
    done = subprocess.run(
        argv, env=_environ(home), cwd=home, capture_output=True, text=True, check=True, timeout=_WAIT_S
    )
    assert done.stderr == ""
    return sorted({line.partition("\t")[0] for line in done.stdout.splitlines()} - {""})


def _until(condition: Callable[[], bool], terminal: int) -> None:
    """Reads what the shell writes meanwhile, or it would stop when the terminal's buffer is full."""
    end = time.monotonic() + _WAIT_S
    while not condition():
        assert time.monotonic() < end, "the shell does not get there"
        if select.select([terminal], [], [], 0.02)[0]:
            with suppress(OSError):
                os.read(terminal, 65536)
