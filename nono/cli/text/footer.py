"""Words the footer after a run: how it ended, what was denied, and what would change that."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence

from nono.cli.text import summary
from nono.launch.denials import Denials, Denied, Kind
from nono.named_tuple import NamedTuple
from nono.policy.capability import Access
from nono.policy.effective_policy import EffectivePolicy
from nono.policy.files.unix_sockets import shown
from nono.policy.path_expansion import Filesystem, PathContext

TITLE = "  NONO DIAGNOSTIC"
LISTED_MAX = 10
COLUMNS, INDENT = 80, "      "
UNSEEN = (
    "  No denial was seen. Files are held by the kernel, which reports none of",
    "  its own: nono why --path <path> --op <read|write|readwrite> says what holds.",
)
_OF_CALLS = "network."  # prefix of the rules for system calls
ACCESS = {"Read": Access.READ, "Write": Access.WRITE, "ReadWrite": Access.READWRITE}


class Finding(NamedTuple):
    """A denial, and the flag that would have allowed it, if one would."""

    denied: Denied
    flag: str | None


def findings(
    denials: Denials, rules: EffectivePolicy, path_context: PathContext, fs: Filesystem
) -> list[Finding]:
    return [Finding(each, _flag(each, rules, path_context, fs)) for each in denials.listed()]


def footer(exit_code: int, found: Sequence[Finding], *, is_complete: bool) -> list[str]:
    """Return the footer as lines; empty for a run that succeeded without a denial."""
    if exit_code == 0 and not found:
        return []
    lines = ["", TITLE, summary.RULE, f"  {headline(exit_code)}"]
    if not found:
        return [*lines, *UNSEEN]
    count = f"{len(found)}{'' if is_complete else ' or more'}"
    lines.append(f"  Sandbox denial: {count} denied.")
    for finding in found[:LISTED_MAX]:
        lines += _finding(finding)
    if len(found) > LISTED_MAX:
        lines.append(f"    ... and {len(found) - LISTED_MAX} more (all of them are in the audit log)")
    return [*lines, *_next_steps(found)]


def headline(exit_code: int) -> str:
    if exit_code == 0:
        return "Command exited with code 0, and something was denied."
    number = exit_code - 128
    if number in signal.valid_signals():
        names = {int(each): each.name for each in signal.Signals}  # most real-time signals have none
        named = f" ({names[number]})" if number in names else ""
        return f"Command killed by signal {number}{named}."
    return f"Command exited with code {exit_code}."


def what(denied: Denied) -> str:
    """Describe the denied access on one line."""
    match denied.kind:
        case Kind.PATH:
            return f"{shown(denied.target)} ({denied.access})"
        case Kind.SOCKET:
            return f"unix socket {shown(denied.target)}"
        case Kind.NETWORK:
            port = "" if denied.port is None else f":{denied.port}"
            request = f"{denied.method} {denied.path} at " if denied.method and denied.path else ""
            return shown(f"{request}{denied.target}{port}")


def _finding(finding: Finding) -> Iterator[str]:
    denied = finding.denied
    yield f"    {what(denied)}"
    by = f" (asked: {denied.by})" if denied.by is not None else ""
    yield from _wrapped(f"{denied.reason}{by}")
    where = ", ".join(each for each in (denied.rule, denied.origin) if each)
    if where:
        yield from _wrapped(f"rule: {where}")
    if finding.flag is not None:
        yield f"      fix: {finding.flag}"  # one line, to be copied
    elif denied.hint is not None:
        yield from _wrapped(denied.hint)


def _wrapped(text: str) -> list[str]:
    # Imported here, as below: most failed runs have no denials.
    from textwrap import wrap

    return wrap(
        shown(text), COLUMNS, initial_indent=INDENT, subsequent_indent=INDENT, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def _next_steps(found: Sequence[Finding]) -> Iterator[str]:
    yield "  Next steps:"
    kinds = {finding.denied.kind for finding in found}
    if Kind.PATH in kinds or Kind.SOCKET in kinds:
        yield "    nono why --path <path> --op <read|write|readwrite|connect|bind>"
    if Kind.NETWORK in kinds:
        yield "    nono why --host <host or URL>"


def _flag(denied: Denied, rules: EffectivePolicy, path_context: PathContext, fs: Filesystem) -> str | None:
    from nono.policy.why import remedy

    if denied.kind is Kind.PATH:
        return remedy.of_path(rules, path_context, denied.target, ACCESS[str(denied.access)], fs)
    named = remedy.in_hint(denied.hint) if denied.hint is not None else None
    if named is not None or denied.kind is Kind.SOCKET or denied.route is not None:
        return named
    if not denied.is_authentic:
        return None  # granting the host would not let the request pass, and whoever sent it chose the host
    if (denied.rule or "").startswith(_OF_CALLS):
        return None  # the call would be refused for any host, as its hint says
    return remedy.of_host(rules, denied.target, denied.port, denied.method, denied.path)
