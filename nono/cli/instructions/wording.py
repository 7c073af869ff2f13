"""Word the result of the check of instruction files."""

from __future__ import annotations

from collections.abc import Iterator

from nono.amounts import several
from nono.cli.text.session_text import one_line
from nono.trust.policy import Enforcement
from nono.trust.verdict import Status, Verdict

DIFF_LINES_MAX = 80
SHOWN_MAX = 100  # files that a start names
_LINE_CHARACTERS_MAX = 2000
_WORDS = {Enforcement.DENY: "FAIL", Enforcement.WARN: "WARN", Enforcement.AUDIT: "WARN"}


def line(verdict: Verdict, enforcement: Enforcement) -> str:
    """Return the line about one file. Its name and what its bundle says may come from the command."""
    return one_line(_line(verdict, enforcement))


def _line(verdict: Verdict, enforcement: Enforcement) -> str:
    if verdict.status is Status.BLOCKED:
        return f"  BLOCK  {verdict.path}: {verdict.reason}"
    if verdict.is_trusted:
        return f"  PASS   {verdict.path}: {known(verdict)}"
    return f"  {_WORDS[enforcement]}   {verdict.path}: {verdict.reason}"


def known(verdict: Verdict) -> str:
    """Say why a file is trusted."""
    return f"signed by {verdict.signer}" if verdict.signer is not None else "approved"


def difference(path: str, before: bytes | None, after: bytes) -> Iterator[str]:
    """Yield the lines of a unified diff, at most DIFF_LINES_MAX. before: None if it is not known."""
    path = one_line(path)
    try:
        old = [] if before is None else before.decode().splitlines()
        new = after.decode().splitlines()
    except UnicodeDecodeError:
        yield f"    {path}: not text, {several(len(after), 'byte')}"
        return
    # Imported here: most runs have nothing to show.
    from nono.undo.model.line_diff import unified

    came_from = "(nothing approved)" if before is None else f"{path} (approved)"
    lines = [*unified(old, new, (came_from, path), 2)]
    for each in lines[:DIFF_LINES_MAX]:
        more = len(each) - _LINE_CHARACTERS_MAX
        cut = f" ... and {several(more, 'more character')} not shown; see {path}" if more > 0 else ""
        yield f"    {each[:_LINE_CHARACTERS_MAX]}{cut}"
    if len(lines) > DIFF_LINES_MAX:
        yield f"    ... and {several(len(lines) - DIFF_LINES_MAX, 'more line')} not shown; see {path}"
