"""Validates a profile in a process that ends: a supervisor would keep 12 MB of pydantic for hours."""

from __future__ import annotations

from typing import Any

from nono.forked import call_in_fork
from nono.policy.document.found import Found
from nono.policy.document.when import Host


def validate_in_fork(found: Found, host: Host) -> dict[str, Any]:
    """As nono.policy.document.check.validated, errors included. Call it before a thread runs; it waits."""
    entry = call_in_fork(lambda: _validated(found, host))
    # A mistake in the profile, mostly: it is found here once more, and complained about.
    return _validated(found, host) if entry is None else entry


def _validated(found: Found, host: Host) -> dict[str, Any]:
    from nono.policy.document.check import validated  # pydantic, in whichever process that is

    return validated(found, host)
