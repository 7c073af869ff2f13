"""Build the audit events about data that was, or was not, sent to others."""

from __future__ import annotations

from nono.audit.event import Event
from nono.clock import rfc3339
from nono.outward.head import Head


def audit_anchored(anchor: str, head: Head, file: str, sha256: str) -> Event:
    """Report that an anchor vouches for the log up to `head`.

    file: The token's file beside the log.
    sha256: The digest of that file.
    """
    return {
        "type": "audit_anchored",
        "at": rfc3339(),
        "anchor": anchor,
        "records": head.records,
        "chain": head.chain,
        "file": file,
        "sha256": sha256,
    }


def audit_not_anchored(anchor: str, records: int, why: str) -> Event:
    """Report that a requested anchor was not available."""
    return {"type": "audit_not_anchored", "at": rfc3339(), "anchor": anchor, "records": records, "why": why}


def audit_not_sent(endpoint: str, records: int, why: str) -> Event:
    """Report that a collector accepts no records.

    They are sent later; `records` is how many it has so far.
    """
    return {"type": "audit_not_sent", "at": rfc3339(), "endpoint": endpoint, "records": records, "why": why}


def audit_carrier_ended() -> Event:
    """Report that the carrier has ended although the run goes on, so nothing is sent any more."""
    return {"type": "audit_carrier_ended", "at": rfc3339()}


def audit_altered(why: str) -> Event:
    """Report that the log on disk differs from what was written."""
    return {"type": "audit_altered", "at": rfc3339(), "why": why}
