"""The questions of `nono why` about a resolved policy, as options describe it and as its state file does.

Both have to be answered alike, which every question asked here checks.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from nono.launch.state import parse_state, state_document, state_of
from nono.policy import host_query, query, socket_query
from nono.policy.capability import Access
from nono.policy.filesystem import HostFilesystem
from nono.policy.places import Filesystem
from nono.policy.query import Answer
from nono.policy.resolve import Resolved
from nono.policy.rulebook import Rulebook, rulebook_of
from nono.sandbox.plan.enforcement import Enforcement


def told_inside(rules: Rulebook) -> Rulebook:
    """The rules as the command of a run reads them in its state file."""
    enforcement = Enforcement(rung=None, elevation=rules.capabilities.elevation)
    state = state_of(rules, enforcement, 7, lambda _: None)
    return parse_state(json.loads(json.dumps(state_document(state)))).rules


def why_path(resolved: Resolved, path: str, access: Access, fs: Filesystem) -> Answer:
    return _asked(resolved, fs, lambda rules: query.why_path(rules, resolved.places, path, access, fs))


def why_socket(resolved: Resolved, path: str, fs: Filesystem, *, binds: bool) -> Answer:
    return _asked(
        resolved, fs, lambda rules: socket_query.why_socket(rules, resolved.places, path, fs, binds=binds)
    )


def why_host(resolved: Resolved, host: str, port: int) -> Answer:
    return _asked(resolved, HostFilesystem(), lambda rules: host_query.why_host(rules, host, port))


def why_request(resolved: Resolved, host: str, port: int, method: str, path: str) -> Answer:
    return _asked(
        resolved, HostFilesystem(), lambda rules: host_query.why_request(rules, host, port, method, path)
    )


def _asked(resolved: Resolved, fs: Filesystem, question: Callable[[Rulebook], Answer]) -> Answer:
    rules = rulebook_of(resolved, fs)
    answer = question(rules)
    assert question(told_inside(rules)) == answer
    return answer
