"""The events about what left the machine, or did not."""

from __future__ import annotations

from nono.audit.event import Event
from nono.clock import rfc3339
from nono.outward.head import Head


def audit_anchored(anchor: str, head: Head, file: str, sha256: str) -> Event:
    """Report that an anchor vouches for the log up to `head`.

    file: Its token, beside the log. sha256: Of that file.
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
    """Report that an anchor that was asked for could not be had."""
    return {"type": "audit_not_anchored", "at": rfc3339(), "anchor": anchor, "records": records, "why": why}


def audit_not_sent(endpoint: str, records: int, why: str) -> Event:
    """Report that a collector takes no records. They are sent later; `records` is how many it has so far."""
    return {"type": "audit_not_sent", "at": rfc3339(), "endpoint": endpoint, "records": records, "why": why}


def audit_carrier_ended() -> Event:
    """Report that nothing carries the log outward any more, although the run goes on."""
    return {"type": "audit_carrier_ended", "at": rfc3339()}


def audit_altered(why: str) -> Event:
    """Report that the log on disk is not what was written to it."""
    return {"type": "audit_altered", "at": rfc3339(), "why": why}
