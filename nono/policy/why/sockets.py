"""Answer `nono why` about Unix sockets, from the rules that also decide access."""

from __future__ import annotations

from nono.policy.capability import CapabilitySet
from nono.policy.effective_policy import EffectivePolicy
from nono.policy.files.unix_sockets import shown
from nono.policy.path_expansion import Filesystem, PathContext, canonical_as_far, is_within
from nono.policy.why.paths import Answer
from nono.printable import shell_word


def why_socket(
    rules: EffectivePolicy, path_context: PathContext, path: str, fs: Filesystem, *, binds: bool
) -> Answer:
    """Explain whether the command may connect to the Unix socket at `path`, or bind one there."""
    canonical = canonical_as_far(path_context.of_flag(path), fs)
    if not rules.capabilities.mediates_unix_sockets:
        if not binds and is_hidden(canonical, rules.capabilities):
            return Answer(
                "denied",
                "unix_socket_hidden",
                details="the run's own mounts hide the services of your session and of container engines",
                suggested_flag=f"--allow-unix-socket {shell_word(shown(canonical))}",
            )
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


def is_hidden(path: str, capabilities: CapabilitySet) -> bool:
    """Return True if mounts keep the command from whoever listens at the canonical `path` outside."""
    if any(is_within(path, closed) for closed in capabilities.closed_sockets):
        return True
    runtime_dir = capabilities.runtime_dir
    if runtime_dir is None or not is_within(path, runtime_dir):
        return False
    granted = [grant.path for grant in capabilities.grants if grant.access.reads]
    granted += [grant.path for grant in capabilities.sockets]
    return not any(
        is_within(path, each) and is_within(each, runtime_dir) and each != runtime_dir for each in granted
    )
