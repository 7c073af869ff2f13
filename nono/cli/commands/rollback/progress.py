"""Show at a terminal that files are being read or written, once that takes longer than a second."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

PATIENCE_S = 1.0


@contextmanager
def shown_progress(words: str) -> Iterator[Callable[[int], None]]:
    """Yield a function that takes the number of files so far. words: what is being done."""
    began = time.monotonic()
    with ExitStack() as stack:
        update: Callable[[int], None] | None = None

        def progress(count: int) -> None:
            nonlocal update
            if update is None and time.monotonic() - began > PATIENCE_S:
                update = _bar(stack, words) if _is_seen() else lambda count: None
            if update is not None:
                update(count)

        yield progress


def _is_seen() -> bool:
    """Return True if what is written to stderr is shown at a terminal: this process's, or a viewer's."""
    return os.isatty(2) or getattr(sys.stderr, "is_shown", False)


def _bar(stack: ExitStack, words: str) -> Callable[[int], None]:
    # Imported here: most trees are read within a second.
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn(words + ": {task.completed:,.0f}"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True, force_terminal=True)
    bar = stack.enter_context(Progress(*columns, console=console, transient=True))
    task = bar.add_task("", total=None)
    return lambda count: bar.update(task, completed=count)
