"""Show the sessions as they change: in place on a terminal, elsewhere with a line for each change."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress

from nono.cli.commands.sessions.chosen import Seen, sessions
from nono.cli.shapes.printed import list_line
from nono.cli.text import session_text
from nono.clock import local_time, unix_ms
from nono.kernel import inotify
from nono.sessions.registry import directory_of

# A session that is stopped, killed or continued writes nothing, and the times shown advance anyway.
LOOK_EVERY_S = 1.0
_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"  # the cursor

Shown = Callable[[list[Seen]], list[Seen]]


def watch(environ: Mapping[str, str], shown: Shown, columns: Callable[[], int], *, as_json: bool) -> None:
    """Show the sessions until interrupted. `shown` chooses which; `columns` tells the width."""
    rounds = (shown(sessions(environ)) for _ in _rounds(environ))
    with suppress(KeyboardInterrupt):
        if as_json:
            _print_json(rounds)
        elif sys.stdout.isatty() and environ.get("TERM") != "dumb":  # which cannot draw over what is there
            _redraw(rounds, columns, is_coloured=not environ.get("NO_COLOR"))
        else:
            _print_changes(rounds)


def _rounds(environ: Mapping[str, str]) -> Iterator[None]:
    """Yield at once, then whenever a record is written or LOOK_EVERY_S has passed."""
    with ExitStack() as stack:
        poll, queue = select.poll(), None
        with suppress(OSError):
            queue = inotify.new_queue()
            stack.callback(os.close, queue)
            poll.register(queue, select.POLLIN)
        while True:
            if queue is not None:
                with suppress(OSError):  # there has never been a session
                    inotify.watch_names(queue, directory_of(environ))
                for _ in inotify.changed_names(queue):
                    pass
            yield
            poll.poll(LOOK_EVERY_S * 1000)


def _print_json(rounds: Iterator[list[Seen]]) -> None:
    """Print the array of `ps --json` on one line whenever it has changed."""
    said = None
    for every in rounds:
        line = list_line(session_text.document(each.record, each.questions) for each in every)
        if line != said:
            print(line, flush=True)
            said = line


def _print_changes(rounds: Iterator[list[Seen]]) -> None:
    """Print a line for each session, and another when something about it has changed or it is gone."""
    known: dict[str, str] = {}
    for every in rounds:
        lines = {
            each.record.session_id: session_text.change_line(each.record, each.questions) for each in every
        }
        gone = {each: session_text.gone_line(each) for each in known if each not in lines}
        for session_id, line in (*lines.items(), *gone.items()):
            if known.get(session_id) != line:
                print(f"{local_time(unix_ms())[11:19]}  {line}", flush=True)
        known = lines


def _redraw(rounds: Iterator[list[Seen]], columns: Callable[[], int], *, is_coloured: bool) -> None:
    """Draw the table and redraw it in place. It remains when the watch ends."""
    drawn = 0
    sys.stdout.write(_HIDE)
    try:
        for every in rounds:
            table = [*session_text.table(every, unix_ms(), columns(), is_coloured)]
            height = _height()
            if len(table) > height:
                table = [*table[: height - 1], f"... and {len(table) - height + 1} more"]
            up = f"\x1b[{drawn}A" if drawn else ""
            # Clear to the end of the screen: there may be fewer lines than before.
            sys.stdout.write(f"{up}\r\x1b[J" + "".join(f"{line}\r\n" for line in table))
            sys.stdout.flush()
            drawn = len(table)
    finally:
        sys.stdout.write(_SHOW)
        sys.stdout.flush()


def _height() -> int:
    """Return how many lines fit above the one that holds the cursor."""
    try:
        return max(os.get_terminal_size(1).lines - 1, 2)
    except OSError:
        return 23
