"""`nono rollback restore`: restore directories to an earlier state."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence

from nono.cli.commands.rollback.progress import shown_progress
from nono.cli.text import rollback_text
from nono.cli.text.session_text import one_line
from nono.errors import ConfigError
from nono.undo.kept import LATEST, Kept, chosen
from nono.undo.model.left_out import VERSION_CONTROL
from nono.undo.model.restore_plan import Refused
from nono.undo.model.turns import number_before
from nono.undo.restoring import Prepared, prepare, restore

LISTED_MAX = 200


def run(
    query: str,
    paths: Sequence[str],
    environ: Mapping[str, str],
    *,
    number: int,
    turn: int | None,
    is_dry: bool,
    skips: bool,
    force: bool,
) -> int:
    """Restore, and return the exit status: 1 if anything was not restored."""
    only = [_unresolved(each) for each in paths]
    with chosen(query, environ) as session:
        if query == LATEST:  # the latest run that was kept, which need not be the latest run
            _say(rollback_text.meant_line(session.info))
        if not is_dry:
            session.lock()
        if turn is not None:
            number = _before(turn, session)
        prepared = prepare(session, number, only, force=force)
        for note in session.info.notes:
            print(f"note: {one_line(note)}", file=sys.stderr)
        if is_dry:
            return preview(prepared, skips=skips, force=force)
        return carry_out(session, prepared, skips=skips, force=force)


def _unresolved(path: str) -> str:
    """Return the absolute path of what is at `path`, which may be a link."""
    directory, name = os.path.split(path)
    if name in ("", ".", ".."):
        return os.path.realpath(path)
    return os.path.join(os.path.realpath(directory or "."), name)


def _before(turn: int, session: Kept) -> int:
    """Return the number of the snapshot before a turn. Raises ConfigError."""
    found = number_before(turn, session.snapshots())
    if found is None:
        raise ConfigError(
            f"no snapshot was taken before turn {turn} of {session.info.session_id}.",
            hint=f"nono rollback show {session.info.session_id} lists those that were",
        )
    return found


def preview(prepared: Prepared, *, skips: bool, force: bool) -> int:
    """Print what a restore with the same options would do."""
    plan = prepared.plan
    steps = [*plan.steps, *(plan.forced if force else ())]
    left, would = plan.left_alone(force=force), "Would restore"
    refuses = bool(plan.conflicts) and not (skips or force)
    if refuses and plan.is_end_known:
        _refused("Nothing would be restored, because somebody else changed since:", left)
        would = "--skip-changed would restore"
    elif refuses:
        _refused("Nothing would be restored. The run, or somebody since, changed:", left)
        steps += plan.forced
        would = "--force would restore"
    lines = rollback_text.step_lines(steps)
    if lines:
        _say(f"{would} {len(lines):,} path(s):")
    elif steps:
        _say(f"{would} times alone.")
    elif not refuses:
        _say("Nothing would be restored.")
    _list(lines)
    if steps or not refuses:
        _say_repository(prepared)
    if not refuses:
        _refused("Left as it is:", left)
    _refused("Cannot be restored:", plan.impossible)
    return 1 if plan.impossible or left else 0


def carry_out(session: Kept, prepared: Prepared, *, skips: bool = False, force: bool = False) -> int:
    """Restore, and print what was done."""
    plan, session_id = prepared.plan, session.info.session_id
    if plan.conflicts and not (skips or force):
        if plan.is_end_known:
            _refused("Nothing was restored, because somebody else changed since:", plan.conflicts)
            _say("--skip-changed restores the rest; --force these too, and keeps what is there.")
        else:
            _refused("Nothing was restored. The run, or somebody since, changed:", plan.conflicts)
            _say("--force restores these, and keeps what is there.")
        return 1
    with shown_progress("restoring") as progress:
        done = restore(session, prepared, force=force, progress=progress)
    lines = rollback_text.step_lines(done.done)
    _list(lines)
    _say(
        f"Restored {len(lines):,} path(s)."
        if lines
        else "Restored times alone."
        if done.done
        else "Nothing had to be restored."
    )
    _say_repository(prepared)
    _refused("Left as it is:", done.left)
    if done.safety is not None:
        _say(f"To undo this: nono rollback restore {session_id} --snapshot {done.safety}")
    return 1 if done.left else 0


def _say_repository(prepared: Prepared) -> None:
    """Say that the history of a repository is not among the things that were restored."""
    for tree in prepared.target.trees:
        for name in VERSION_CONTROL:
            is_covered = name in tree.entries or tree.only is not None
            if not is_covered and os.path.lexists(os.path.join(tree.path, name)):
                _say(f"{name} is left out: branch and commits stay as they are.")
                return


def _refused(title: str, refused: Sequence[Refused]) -> None:
    if refused:
        _say(title)
        _list(rollback_text.refused_lines(refused))


def _list(lines: Iterable[str]) -> None:
    for count, line in enumerate(lines):
        if count < LISTED_MAX:
            _say(line)
        elif count == LISTED_MAX:
            _say("  and more")


def _say(line: str) -> None:
    print(line)
