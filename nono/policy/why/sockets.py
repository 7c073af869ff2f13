"""Answer `nono why` about Unix sockets, from the rules that also decide access."""

from __future__ import annotations

from nono.policy.effective_policy import EffectivePolicy
from nono.policy.path_expansion import Filesystem, PathContext, canonical_as_far
from nono.policy.why.paths import Answer


def why_socket(
    rules: EffectivePolicy, path_context: PathContext, path: str, fs: Filesystem, *, binds: bool
) -> Answer:
    """Explain whether the command may connect to the Unix socket at `path`, or bind one there."""
    canonical = canonical_as_far(path_context.of_flag(path), fs)
    if not rules.capabilities.mediates_unix_sockets:
        return Answer(
            "allowed",
            "unix_socket_not_mediated",
            details="this run does not look at Unix sockets with a path; files and their modes decide",
        )
    verdict = rules.unix_sockets.judge(canonical, binds=binds)
    if verdict.is_allowed and verdict.grant is None:
        details = f"{verdict.reason}, so the command may bind sockets there and connect to those"
        return Answer("allowed", "own_unix_socket", access="bind", details=details)
    if verdict.grant is None:
        return Answer(
            "denied", "unix_socket_not_granted", details=verdict.reason, suggested_flag=verdict.hint
        )
    return Answer(
        "allowed",
        "granted_unix_socket",
        granted_path=verdict.grant.path,
        access="connect+bind" if verdict.grant.binds else "connect",
        source=verdict.grant.source,
    )
