"""Find the flag that would have allowed an access denied in a run."""

from __future__ import annotations

from nono.policy.capability import Access
from nono.policy.effective_policy import EffectivePolicy
from nono.policy.hosts.hostname import HostError
from nono.policy.path_expansion import Filesystem, PathContext
from nono.policy.why.hosts import why_host, why_request
from nono.policy.why.paths import why_path

_TICK, _PLACEHOLDER = "`", "HOST"


def of_path(
    rules: EffectivePolicy, path_context: PathContext, path: str, access: Access, fs: Filesystem
) -> str | None:
    """Return the flag for a path; None if nothing grants it, it is already granted, or it cannot be typed."""
    if "\\" in path or not path.isprintable():
        return None
    return why_path(rules, path_context, path, access, fs).suggested_flag


def of_host(
    rules: EffectivePolicy, host: str, port: int | None, method: str | None, path: str | None
) -> str | None:
    """Return the flag for a host or a request to it; None as for of_path()."""
    try:
        if method is not None and path is not None:
            return why_request(rules, host, port or 443, method, path).suggested_flag
        return why_host(rules, host, port or 443).suggested_flag
    except HostError:
        return None


def in_hint(hint: str) -> str | None:
    """Return the flag named in a hint: the hint itself, or its first text in backticks."""
    # A flag may contain a path with backticks, which the command chose.
    is_sentence = hint.count(_TICK) > 1 and not hint.startswith("--")
    named = hint.split(_TICK)[1] if is_sentence else hint
    return named if named.startswith("--") and _PLACEHOLDER not in named else None
