"""Ask the questions of `nono why` about a resolved policy, as options describe it and as its state file does.

Every question asked here checks that both give the same answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from nono.launch.state.capability_state import parse_state, state_document, state_of
from nono.policy.capability import Access
from nono.policy.effective_policy import EffectivePolicy, effective_policy_of
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.path_expansion import Filesystem
from nono.policy.resolve import Resolved
from nono.policy.why import hosts, paths, sockets
from nono.policy.why.paths import Answer
from nono.sandbox.plan.enforcement import Enforcement

# What was asked about last, and the same as it is read: many questions are about one policy.
_last: list[tuple[EffectivePolicy, EffectivePolicy]] = []


def told_inside(rules: EffectivePolicy) -> EffectivePolicy:
    """Return the rules as the command of a run reads them in its state file."""
    if not _last or _last[0][0] != rules:
        enforcement = Enforcement(rung=None, elevation=rules.capabilities.elevation)
        state = state_of(rules, enforcement, 7, lambda _: None)
        _last[:] = [(rules, parse_state(json.loads(json.dumps(state_document(state)))).rules)]
    return _last[0][1]


def why_path(resolved: Resolved, path: str, access: Access, fs: Filesystem) -> Answer:
    return _asked(resolved, fs, lambda rules: paths.why_path(rules, resolved.path_context, path, access, fs))


def why_socket(resolved: Resolved, path: str, fs: Filesystem, *, binds: bool) -> Answer:
    return _asked(
        resolved, fs, lambda rules: sockets.why_socket(rules, resolved.path_context, path, fs, binds=binds)
    )


def why_host(resolved: Resolved, host: str, port: int) -> Answer:
    return _asked(resolved, HostFilesystem(), lambda rules: hosts.why_host(rules, host, port))


def why_request(resolved: Resolved, host: str, port: int, method: str, path: str) -> Answer:
    return _asked(
        resolved, HostFilesystem(), lambda rules: hosts.why_request(rules, host, port, method, path)
    )


def _asked(resolved: Resolved, fs: Filesystem, question: Callable[[EffectivePolicy], Answer]) -> Answer:
    rules = effective_policy_of(resolved, fs)
    answer = question(rules)
    assert question(told_inside(rules)) == answer
    return answer
