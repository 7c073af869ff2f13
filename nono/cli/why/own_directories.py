"""Answer `nono why` about directories of which the command has others, such as /tmp."""

from __future__ import annotations

from collections.abc import Collection

from nono.policy.capability import Access
from nono.policy.effective_policy import EffectivePolicy
from nono.policy.files.grants import directory_flag, file_flag
from nono.policy.path_expansion import (
    Filesystem,
    PathContext,
    canonical_as_far,
    is_within,
    parent_resolved,
    rule_path,
)
from nono.policy.why.paths import Answer
from nono.printable import shell_word
from nono.sandbox.plan.private_view import PROCESSES, hidden_below, private_view

REASON = "own_directory"
MOUNTS = "mounts of the run's own"


def as_seen_inside(
    answer: Answer,
    rules: EffectivePolicy,
    path_context: PathContext,
    path: str,
    access: Access,
    fs: Filesystem,
) -> Answer:
    """Return the answer that holds for a command in namespaces of its own.

    It is granted such a directory whole, and finds nothing of this host's there but what shows through. Reads
    `path` as why_path() does.
    """
    if answer.status != "allowed":
        return answer
    written = path_context.of_flag(path)
    canonical = rule_path(written, fs) or canonical_as_far(written, fs)
    own, is_link = _hidden(canonical, rules), False
    if own is None and not is_within(canonical, PROCESSES):
        own, is_link = _hidden(parent_resolved(written, fs), rules), True
    if own is None:
        is_its_own = canonical in _own(rules)
        return (
            answer._replace(
                warning=f"{_another(canonical)}, with nothing of this host's but what is granted there"
            )
            if is_its_own
            else answer
        )
    kind = fs.kind(canonical)
    if not is_link and own != PROCESSES and (kind is None or not access.reads):
        kept = "this host's file stays as it is" if kind else "what is written there is gone after the run"
        return answer._replace(warning=f"{_another(own)}: {kept}")
    flag = directory_flag(access) if kind == "dir" else file_flag(access)
    return Answer(
        "denied",
        REASON,
        details=(
            f"{_another(own)}, without this link; it leads to {canonical}, which is granted"
            if is_link
            else f"{_another(own)}, without this host's '{canonical}'"
        ),
        suggested_flag=None if is_link or own == PROCESSES else f"{flag} {shell_word(canonical)}",
        enforced_by=MOUNTS,
    )


def is_hidden(rules: EffectivePolicy, path_context: PathContext, path: str, fs: Filesystem) -> bool:
    """Return True if a command in namespaces of its own does not find what this host has at `path`."""
    written = path_context.of_flag(path)
    return _hidden(rule_path(written, fs) or canonical_as_far(written, fs), rules) is not None


def _another(directory: str) -> str:
    return f"the run has a {directory} of its own"


def _own(rules: EffectivePolicy) -> Collection[str]:
    return private_view(rules.capabilities, [root for _, root in rules.roots], None).directories


def _hidden(path: str, rules: EffectivePolicy) -> str | None:
    """Return the directory that hides `path`; of /proc, only the processes are others."""
    own = hidden_below(path, rules.capabilities, [root for _, root in rules.roots])
    return None if own == PROCESSES and not path.split("/")[2].isdecimal() else own
