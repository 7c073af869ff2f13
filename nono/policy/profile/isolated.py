"""Validate a profile in a process that exits, because a supervisor would keep 12 MB of pydantic for hours."""

from __future__ import annotations

from typing import Any

from nono.forked import call_in_fork
from nono.policy.document.found import Found
from nono.policy.document.when import Host


def validate_in_fork(found: Found, host: Host) -> dict[str, Any]:
    """Validate like nono.policy.document.check.validated, errors included.

    Call this before any thread runs; it blocks until the process has exited.
    """
    entry = call_in_fork(lambda: _validated(found, host))
    # Usually the profile has a mistake: validating it again here reports it.
    return _validated(found, host) if entry is None else entry


def _validated(found: Found, host: Host) -> dict[str, Any]:
    from nono.policy.document.check import validated  # imports pydantic into this process

    return validated(found, host)
