"""The flag that would have allowed what a run was denied."""

from __future__ import annotations

from nono.policy.capability import Access
from nono.policy.effective_policy import EffectivePolicy
from nono.policy.hosts.hostname import HostError
from nono.policy.path_expansion import Filesystem, PathContext
from nono.policy.why.hosts import why_host, why_request
from nono.policy.why.paths import why_path

_TICK, _PLACEHOLDER = "`", "HOST"


def of_path(
    rules: EffectivePolicy, places: PathContext, path: str, access: Access, fs: Filesystem
) -> str | None:
    """None: nothing grants it, or it is granted already, or its name cannot be typed."""
    if "\\" in path or not path.isprintable():
        return None
    return why_path(rules, places, path, access, fs).suggested_flag


def of_host(
    rules: EffectivePolicy, host: str, port: int | None, method: str | None = None, path: str | None = None
) -> str | None:
    """As of_path, for a host or a request to it."""
    try:
        if method is not None and path is not None:
            return why_request(rules, host, port or 443, method, path).suggested_flag
        return why_host(rules, host, port or 443).suggested_flag
    except HostError:
        return None


def in_hint(hint: str) -> str | None:
    """The flag that a hint names: the hint itself, or the first one between backticks."""
    named = hint.split(_TICK)[1] if hint.count(_TICK) > 1 else hint
    return named if named.startswith("--") and _PLACEHOLDER not in named else None
