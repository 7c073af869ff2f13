"""Identify this distribution from os-release(5), for `when` conditions."""

from __future__ import annotations

from nono.policy.document.when import Host, host_of

_FILES = ("/etc/os-release", "/usr/lib/os-release")
_MAX_BYTES = 64 * 1024


def this_host() -> Host:
    for path in _FILES:
        try:
            with open(path, "rb") as file:
                text = file.read(_MAX_BYTES).decode("utf-8", "replace")
        except OSError:
            continue
        pairs = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
        return host_of({name.strip(): value.strip().strip("\"'") for name, _, value in pairs})
    return Host()
