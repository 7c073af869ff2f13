"""Validates a profile in a process that exits: a supervisor would keep 12 MB of pydantic for hours."""

from __future__ import annotations

from typing import Any

from nono.forked import call_in_fork
from nono.policy.document.found import Found
from nono.policy.document.when import Host


def validate_in_fork(found: Found, host: Host) -> dict[str, Any]:
    """Validate as nono.policy.document.check.validated does, errors included.

    Call it before any thread runs; it blocks until the process has exited.
    """
    entry = call_in_fork(lambda: _validated(found, host))
    # Usually a mistake in the profile: validating it here again reports it.
    return _validated(found, host) if entry is None else entry


def _validated(found: Found, host: Host) -> dict[str, Any]:
    from nono.policy.document.check import validated  # imports pydantic, in whichever process this is

    return validated(found, host)
