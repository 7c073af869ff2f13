"""Say what an option grants beyond the access for which it was suggested."""

from __future__ import annotations

import shlex

_OF_FLAG = {
    "--allow": "grants reading and writing everything in {}",
    "--read": "grants reading everything in {}",
    "--write": "grants writing everything in {}",
    "--bypass-protection": "lifts the rule that keeps {} from the command",
    "--open-port": "grants connecting to port {} of this machine, and listening there",
    "--allow-connect-port": "grants connecting to port {} of any host, past the proxy",
    "--listen-port": "grants listening on port {}, for other machines too",
    "--allow-domain": "grants any request to {}",
}


def extent(flag: str) -> str | None:
    """Return what a suggested option grants if that is more than the access it was suggested for, or None."""
    try:
        words = shlex.split(flag)
    except ValueError:
        return None
    pairs = list(zip(words[::2], words[1::2], strict=False))
    # Of several options the last lifts a protection, which a person must know.
    for name, value in reversed(pairs):
        if name == "--allow-domain" and "://" in value:
            return None
        if name in _OF_FLAG:
            return _OF_FLAG[name].format(value)
    return None
