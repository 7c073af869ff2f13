"""nono.sandbox.become_command: what the launcher says of a command that did not start."""

from __future__ import annotations

import errno
import os

import pytest

from nono.sandbox.become_command import sentence
from nono.sandbox.command import STATUS_NOT_RESTRICTED


@pytest.mark.parametrize(("cause", "is_limit"), [(errno.EAGAIN, True), (errno.ENOMEM, False)])
def test_a_fork_that_a_limit_prevents_names_the_limit(cause: int, is_limit: bool) -> None:
    said = sentence(OSError(cause, os.strerror(cause)), STATUS_NOT_RESTRICTED)
    assert said.startswith("the command was not started: ")
    assert ("ulimit -u shows how many processes" in said) is is_limit
