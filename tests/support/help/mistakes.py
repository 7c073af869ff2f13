"""Record the answers to mistakes: ``python -m support.help.mistakes`` writes each below its command line.

Each is typed in a fresh home, in a project with a Makefile, without a terminal.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nono.cli.main import main as nono

FILE = Path(__file__).parents[2] / "golden" / "mistakes.txt"
PROJECT = {
    "Makefile": "test:\n\ttrue\n",
    "script.sh": "#!/bin/sh\n",
    "empty.json": "",
    "broken.json": '{"filesystem": {"alow": ["."]}}\n',
    "unclosed.json": '{"filesystem": {\n',
    "text.json": "root:x:0:0\n",
}
_LINES_MAX = 3  # the rest of an answer has tests of its own


@dataclass(frozen=True)
class Mistake:
    typed: str  # after `nono`
    answer: str  # the exit status, and the first lines on stderr


def mistakes() -> list[Mistake]:
    """Return the table as it is in the file."""
    parts = FILE.read_text(encoding="utf-8").split("$ nono")[1:]
    split = (part.partition("\n") for part in parts)
    return [Mistake(typed.strip(), answer.strip()) for typed, _, answer in split]


@contextlib.contextmanager
def stage() -> Iterator[Path]:
    """Yield a project in a fresh home, as the working directory."""
    before, environ = os.getcwd(), dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder).resolve()
        project = home / "project"
        project.mkdir()
        for name, text in PROJECT.items():
            (project / name).write_text(text, encoding="utf-8")
        (project / "loop").symlink_to("loop")
        os.environ.clear()
        os.environ.update(HOME=str(home), PATH="/usr/bin:/bin", LANG="C.UTF-8", TERM="xterm", COLUMNS="100")
        os.chdir(project)
        try:
            yield home
        finally:
            os.chdir(before)
            os.environ.clear()
            os.environ.update(environ)


def answer(typed: str, home: Path) -> str:
    """Type a command line and return the answer."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        stdin, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO())
        try:
            status = nono(shlex.split(typed))
        finally:
            sys.stdin = stdin
    said = (
        (err.getvalue() or out.getvalue()).replace(str(home / "project"), "PROJECT").replace(str(home), "~")
    )
    return "\n".join([str(status), *(line.rstrip() for line in said.splitlines()[:_LINES_MAX])]).strip()


def answers() -> dict[str, str]:
    """Type them all, in a process without threads, because a launcher is forked in it."""
    code = "import json; from support.help import mistakes; print(json.dumps(mistakes.answers_here()))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=FILE.parents[2], env={**os.environ, "PYTHONPATH": "tests"},
        capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL, timeout=100,
    )  # fmt: skip
    found: dict[str, str] = json.loads(done.stdout)
    return found


def answers_here() -> dict[str, str]:
    with stage() as home:
        return {each.typed: answer(each.typed, home) for each in mistakes()}


def main() -> None:
    parts = [f"$ nono {typed}".rstrip() + f"\n{said}\n" for typed, said in answers().items()]
    FILE.write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
