"""Answer `nono why` about paths, with the functions that also decide enforcement."""

from __future__ import annotations

from posixpath import dirname
from typing import Any, Literal

from nono.named_tuple import NamedTuple
from nono.policy.capability import Absent, Access, Grant, Mask
from nono.policy.effective_policy import EffectivePolicy
from nono.policy.files.grants import covering, directory_flag, file_flag, opens_too_much
from nono.policy.files.masks.masking import masked_at
from nono.policy.files.path_verdict import (
    PROBED,
    Denied,
    FilePolicy,
    Granted,
    NotGranted,
    Protected,
    TooWeak,
)
from nono.policy.path_expansion import (
    Filesystem,
    PathContext,
    canonical_as_far,
    is_within,
    parent_resolved,
    rule_path,
)
from nono.policy.why.refusals import KEPT_HOOKS
from nono.policy.why.usual_table import place_of_program
from nono.printable import shell_word

_BADGES = {Access.READ: "read", Access.WRITE: "write", Access.READWRITE: "read+write"}


class MatchingCapability(NamedTuple):
    """A grant that covers the path but not the access."""

    path: str
    access: str
    source: str


class Answer(NamedTuple):
    """One answer; fields that do not apply are None."""

    status: Literal["allowed", "denied", "approval_required"]
    reason: str  # a fixed word: granted_path, path_not_granted, proxy_filtered, ...
    granted_path: str | None = None
    access: str | None = None
    source: str | None = None
    details: str | None = None
    policy_source: str | None = None
    matching_capability: MatchingCapability | None = None
    suggested_flag: str | None = None
    endpoint_rules: tuple[tuple[str, str], ...] = ()  # method and path of each rule that allows requests
    enforced_by: str | None = None  # the rung that would enforce it here, or why nothing would
    warning: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the answer for json.dumps; absent fields are left out."""
        document = self._asdict()
        if self.matching_capability is not None:
            document["matching_capability"] = self.matching_capability._asdict()
        rules = [{"method": method, "path": path} for method, path in self.endpoint_rules]
        document["endpoint_rules"] = rules or None
        return {name: value for name, value in document.items() if value is not None}


def why_path(
    rules: EffectivePolicy, path_context: PathContext, path: str, access: Access, fs: Filesystem
) -> Answer:
    """Explain whether the command may access `path`. Relative paths and ``~`` are read as by a shell."""
    original = path_context.of_flag(path)
    canonical = rule_path(original, fs) or canonical_as_far(original, fs)
    policy = rules.files
    verdict = policy.judge((canonical, parent_resolved(original, fs)), access)
    grants = covering(rules.grants, canonical)
    match verdict:
        case Protected():
            return Answer(
                "denied",
                "sensitive_path",
                details=verdict.reason,
                policy_source="protected_root",
            )
        case Denied(denial):
            is_group = denial.is_of_group
            return Answer(
                "denied",
                "sensitive_path" if is_group else "filesystem_deny",
                details=f"{verdict.reason}{_missing(canonical, fs)}",
                policy_source=denial.origin if is_group else "filesystem.deny",
                suggested_flag=_lifting(grants, canonical, access, fs),
            )
        case NotGranted() if _is_asked_about(rules, policy, canonical, fs):
            return Answer(
                "approval_required",
                "path_not_granted",
                details=f"somebody is asked {rules.asked} when it is opened",
                suggested_flag=_suggestion(path_context, canonical, access, fs),
            )
        case NotGranted():
            return Answer(
                "denied",
                "path_not_granted",
                details=f"'{canonical}' does not exist" if fs.kind(canonical) is None else None,
                suggested_flag=_suggestion(path_context, canonical, access, fs),
            )
        case TooWeak():
            nearest = grants[0]
            return Answer(
                "denied",
                "insufficient_access",
                matching_capability=MatchingCapability(nearest.path, _BADGES[nearest.access], nearest.source),
                suggested_flag=_suggestion(path_context, canonical, access, fs),
            )
        case Granted():
            return _granted(grants, access)


def why_path_since(
    rules: EffectivePolicy,
    path_context: PathContext,
    path: str,
    access: Access,
    fs: Filesystem,
    stale: frozenset[str],
) -> Answer:
    """Answer like why_path(), for a command that is already running.

    stale: Paths of grants where the file has been replaced or removed since: the kernel applies a grant to a
      file, not to a name.
    """
    answer = why_path(rules, path_context, path, access, fs)
    original = path_context.of_flag(path)
    canonical = rule_path(original, fs) or canonical_as_far(original, fs)
    gone = [grant for grant in covering(rules.grants, canonical) if grant.path in stale]
    if answer.status != "allowed" or not gone:
        return answer
    left = why_path(rules.without(stale), path_context, path, access, fs)
    replaced = f"'{gone[0].path}' was replaced or removed since the start; the grant holds on what was there"
    if left.status == "allowed":
        return left._replace(warning=replaced)
    return Answer(
        left.status,
        "stale_file_grant",
        details=f"{replaced}. A new run grants what is there now",
        matching_capability=MatchingCapability(gone[0].path, _BADGES[gone[0].access], gone[0].source),
    )


def kept_hook(
    rules: EffectivePolicy, path_context: PathContext, path: str, access: Access, fs: Filesystem
) -> Answer | None:
    """Refuse to change a hook of git that a grant covers incidentally; None for all other paths.

    Holds where the run has mounts of its own. Reads `path` as why_path() does.
    """
    hooks, original = rules.capabilities.hooks, path_context.of_flag(path)
    if hooks is None or not access.writes or not is_within(canonical_as_far(original, fs), hooks):
        return None
    return Answer(
        "denied",
        "kept_hooks",
        details=KEPT_HOOKS,
        suggested_flag=f"{directory_flag(Access.READWRITE)} {shell_word(hooks)}",
        enforced_by="a read-only mount",
    )


def masked_path(
    rules: EffectivePolicy, path_context: PathContext, path: str, fs: Filesystem
) -> Mask | Absent | None:
    """Return the mask of a denied path in a granted directory, or the reason why there is none.

    Reads `path` as why_path() does. Returns None for all other paths.
    """
    original = path_context.of_flag(path)
    masking = rules.capabilities.masking
    # A masked link is reached before its target.
    by_name = masked_at(masking, parent_resolved(original, fs))
    return by_name or masked_at(masking, canonical_as_far(original, fs))


def _is_asked_about(rules: EffectivePolicy, policy: FilePolicy, path: str, fs: Filesystem) -> bool:
    """Return True if the supervisor would ask about the path.

    It never asks about a path that does not exist, leads to nono's own state or lies in /proc/PID.
    """
    kind = fs.kind(path)
    if not rules.capabilities.elevation or kind in (None, "socket") or path in PROBED:
        return False
    if policy.root_below(path) is not None:
        return False
    return not (is_within(path, "/proc") and any(map(str.isdecimal, path.split("/"))))


def _granted(grants: list[Grant], access: Access) -> Answer:
    """Build the answer for `grants` that together cover `access`, the most specific first."""
    for grant in grants:
        if grant.access.covers(access):
            return Answer(
                "allowed",
                "granted_path",
                granted_path=grant.path,
                access=_BADGES[grant.access],
                source=grant.source,
            )
    reads = next(grant for grant in grants if grant.access is Access.READ)
    writes = next(grant for grant in grants if grant.access is Access.WRITE)
    return Answer(
        "allowed",
        "granted_path_union",
        granted_path=f"{reads.path} (read) + {writes.path} (write)",
        access="readwrite",
        source=f"{reads.source} + {writes.source}",
    )


def _suggestion(path_context: PathContext, path: str, access: Access, fs: Filesystem) -> str | None:
    """Return the flag that would grant `path`, or the directory without which a program there does not run.

    For a path that is missing it grants the nearest directory above that is there, unless that is too wide.
    """
    kind = fs.kind(path)
    if kind == "socket":
        return f"--allow-unix-socket {shell_word(path)}"
    if kind is not None:
        is_read = kind == "file" and access is Access.READ
        around = place_of_program(path, path_context, fs) if is_read else None
        return _flag(around or path, access, fs)
    parent = dirname(path)
    while parent != "/" and fs.kind(parent) is None:  # what is not there cannot be granted
        parent = dirname(parent)
    if fs.kind(parent) != "dir" or opens_too_much(parent, path_context, fs):
        return None
    return f"{directory_flag(access)} {shell_word(parent)}"


def _lifting(grants: list[Grant], path: str, access: Access, fs: Filesystem) -> str | None:
    """Return the flags that lift a denial; for a path that is missing, only if `grants` cover it already."""
    lifting = f"--bypass-protection {shell_word(path)}"
    if fs.kind(path) is not None:
        return f"{_flag(path, access, fs)} {lifting}"
    return lifting if any(grant.access.covers(access) for grant in grants) else None


def _missing(path: str, fs: Filesystem) -> str:
    return "" if fs.kind(path) is not None else "; it does not exist"


def _flag(path: str, access: Access, fs: Filesystem) -> str:
    flag = directory_flag(access) if fs.kind(path) == "dir" else file_flag(access)
    return f"{flag} {shell_word(path)}"
