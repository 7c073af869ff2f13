"""Validates a profile in a process that ends: a supervisor would keep 12 MB of pydantic for hours."""

from __future__ import annotations

import json
import os
from typing import Any, NoReturn

from nono.policy.profile_files import Found
from nono.policy.profile_when import Host


def validated_apart(found: Found, host: Host) -> dict[str, Any]:
    """As nono.policy.profile_check.validated, errors included. Call it before a thread runs; it waits."""
    said, say = os.pipe()
    pid = os.fork()
    if pid == 0:
        _validate(found, host, say)
    os.close(say)
    with open(said, "rb") as answer:
        entry = answer.read()
    _, status = os.waitpid(pid, 0)
    # A mistake in the profile, mostly: it is found here once more, and complained about. A process that was
    # killed may have said a part.
    if status or not entry:
        from nono.policy.profile_check import validated

        return validated(found, host)
    document: dict[str, Any] = json.loads(entry)
    return document


def _validate(found: Found, host: Host, say: int) -> NoReturn:
    """The whole life of the process; it says nothing where it fails."""
    try:
        from nono.policy.profile_check import validated

        entry = json.dumps(validated(found, host)).encode()
        with open(say, "wb") as answer:
            answer.write(entry)
    finally:
        os._exit(0)
