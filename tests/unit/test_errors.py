"""nono.errors: what the system says of a failure, as a person reads it."""

from __future__ import annotations

import errno

import pytest

from nono.errors import in_words, reason_of


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (OSError(errno.EACCES, "Permission denied", "/a/b"), "Permission denied", "/a/b: Permission denied"),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "No space left on device",
            "No space left on device",
        ),
        (OSError("cut short"), "cut short", "cut short"),
        (ValueError("not a number"), "not a number", "not a number"),
    ],
    ids=["with a file", "without one", "of one word", "not of the system"],
)
def test_a_failure_is_said_with_its_file_and_without_its_number(
    error: Exception, reason: str, words: str
) -> None:
    assert (reason_of(error), in_words(error)) == (reason, words)
