"""Run work in a thread while the loop goes on, or on the loop if no thread can be started."""

from __future__ import annotations

from collections.abc import Callable


async def in_thread[T](work: Callable[[], T], *, abandon_on_cancel: bool = False) -> T:
    """Return the result of `work`, which is called once. Raises what it raises.

    No thread can be started where the command has used up its user's limit of processes. The loop waits for
    the work then: a token that is not stored, for one, is lost.

    abandon_on_cancel: A caller that is cancelled does not wait for the thread.
    """
    # Imported here: some who import this have no loop yet.
    import anyio.to_thread

    has_begun = False

    def begin() -> T:
        nonlocal has_begun
        has_begun = True
        return work()

    try:
        return await anyio.to_thread.run_sync(begin, abandon_on_cancel=abandon_on_cancel)
    except RuntimeError:
        if has_begun:
            raise
    return work()
