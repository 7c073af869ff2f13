"""Ask a real bash, zsh or fish what it offers where the cursor is at the end of a line."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

# The words as readline splits them: `=` is a boundary.
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
complete-and-tell() {{ zle complete-word; zle kill-whole-line; print > {directory}/done }}
zle -N complete-and-tell; bindkey '^T' complete-and-tell
print > {directory}/ready
"""
_WAIT_S = 20.0

Offers = Callable[[str], list[str]]  # takes a line, and returns what can stand at its end


@contextmanager
def bash(script: Path, home: Path) -> Iterator[Offers]:
    def offers(line: str) -> list[str]:
        words = []
        for word in line.split(" "):
            flag, sign, value = word.partition("=")
            words += [flag, sign, *([value] if value else [])] if sign else [word]
        return _offered(["bash", "--norc", "-c", _BASH, "bash", str(script), *words], home)

    yield offers


@contextmanager
def fish(script: Path, home: Path) -> Iterator[Offers]:
    program = f'source {script}; complete -C "$argv[1]"'
    yield lambda line: _offered(["fish", "--no-config", "-c", program, line], home)


@contextmanager
def zsh(script: Path, home: Path) -> Iterator[Offers]:
    """Yield zsh's offers. Completion needs its line editor, and so a terminal: one shell answers all."""
    directory = home / "zsh"
    directory.mkdir()
    hits, done = directory / "hits", directory / "done"
    (directory / "_nono").write_bytes(script.read_bytes())
    (home / ".zshrc").write_text(_ZSHRC.format(directory=directory))
    with interactive(["zsh", "-i"], home) as terminal:
        terminal.until((directory / "ready").exists)

        def offers(line: str) -> list[str]:
            hits.write_text("")
            terminal.type(f"{line}\x14")
            terminal.until(done.exists)
            done.unlink()
            return sorted(set(hits.read_text().splitlines()) - {""})

        yield offers


SHELLS: Mapping[str, Callable[[Path, Path], AbstractContextManager[Offers]]] = {
    "bash": bash,
    "fish": fish,
    "zsh": zsh,
}


class Terminal:
    """What a person at the terminal of a shell types and sees."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def until(self, condition: Callable[[], bool]) -> None:
        """Read what the shell writes meanwhile; it would stop once the terminal's buffer is full."""
        end = time.monotonic() + _WAIT_S
        while not condition():
            assert time.monotonic() < end, f"the shell does not get there: {self.seen}"
            if select.select([self._descriptor], [], [], 0.02)[0]:
                with suppress(OSError):
                    self.seen += os.read(self._descriptor, 65536).decode("utf-8", "replace")


@contextmanager
def interactive(argv: list[str], home: Path) -> Iterator[Terminal]:
    pid, descriptor = pty.fork()
    if pid == 0:
        os.chdir(home)
        os.execvpe(argv[0], argv, {**_environ(home), "TERM": "dumb"})
    try:
        yield Terminal(descriptor)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(descriptor)


def _environ(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


def _offered(argv: list[str], home: Path) -> list[str]:
    done = subprocess.run(
        argv, env=_environ(home), cwd=home, capture_output=True, text=True, check=True, timeout=_WAIT_S
    )
    assert done.stderr == ""
    return sorted({line.partition("\t")[0] for line in done.stdout.splitlines()} - {""})
