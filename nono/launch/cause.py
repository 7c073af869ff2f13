"""What went wrong on a loop, without the task groups it came through."""

from __future__ import annotations

from nono.errors import NonoError


def cause_of(error: BaseException) -> BaseException:
    """The one exception to raise for a group: what a person was meant to read, else the first."""
    while isinstance(error, BaseExceptionGroup):
        error = next((each for each in error.exceptions if isinstance(each, NonoError)), error.exceptions[0])
    return error
