"""Word the footer after a run: how it ended, what was denied, and what would change that."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from nono.audit.event import ACCESS_NAMED, OF_INSTRUCTIONS
from nono.cli.text import summary
from nono.launch.denials import Denials, Denied, Kind, may_be_tried, tried_among
from nono.named_tuple import NamedTuple
from nono.policy.effective_policy import EffectivePolicy
from nono.policy.files.unix_sockets import shown
from nono.policy.path_expansion import Filesystem, PathContext
from nono.printable import held_together, shell_word, without_middle

if TYPE_CHECKING:
    from nono.policy.why.extent import WorkdirOffer
    from nono.policy.why.usual import Absentee

TITLE = "  NONO DIAGNOSTIC"
LISTED_MAX = 10
COLUMNS, INDENT = 80, "      "
WHAT_COLUMNS = 26  # width of a table's first column
TEXT_MAX = 400  # columns of one text; a command can have a hundred refused whose names have 16,000
UNSEEN = (
    "  The kernel refuses files without saying which. To have them listed, run the",
    "  same with `nono run --explain`; `nono learn -o NAME` writes a profile of all",
    "  that the command needs.",
)
NOTHING_REFUSED = "  The command was watched, and nothing was refused."
# Where the network is blocked the kernel refuses its calls, and tells nobody.
NO_FILE_REFUSED = (
    "  The command was watched, and no file was refused. What it tried of the network,",
    "  which is blocked, is not seen.",
)
INTERRUPTED = 128 + signal.SIGINT
# Signals that a person or a program outside sends to end a command.
_SENT = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGTERM})
_OF_CALLS = "network."  # prefix of the rules for system calls
_OF_THE_FILTER = "network.static_filter"  # refuses calls that name no host
OF_STARTER = "no option is offered: it would start programs outside the sandbox ({})"
OF_LOCALHOST = (
    "127.0.0.1:{port} is reached without the proxy: a server of the command without an option, another "
    "program's with --open-port {port}"
)
OF_PROCESS = "its name changes with each run, so no option is offered"


class Finding(NamedTuple):
    """A denial, and the flag that would have allowed it, if any."""

    denied: Denied
    flag: str | None
    grants: str | None = None  # what the flag grants besides the denied access
    note: str | None = None  # shown instead of a flag


def findings(
    denials: Denials, rules: EffectivePolicy, path_context: PathContext, fs: Filesystem
) -> list[Finding]:
    return [_finding(each, _flag(each, rules, path_context, fs), path_context) for each in denials.listed()]


def _finding(denied: Denied, flag: str | None, path_context: PathContext) -> Finding:
    if flag is None:
        return Finding(denied, None)
    # Imported here, as below: most failed runs have no denials.
    from nono.policy.why.extent import extent
    from nono.policy.why.saving import additions
    from nono.policy.why.socket_services import starter_at_port, starter_of_programs

    starter = starter_of_programs(denied.target) if denied.kind is Kind.SOCKET else None
    if flag == f"--open-port {denied.port}":
        starter = starter_at_port(str(denied.port))
    if starter is not None:
        return Finding(denied, None, note=OF_STARTER.format(starter))
    if denied.kind is Kind.NETWORK and denied.target == "localhost" and denied.port and denied.route is None:
        # A client asks the proxy for this name where a gateway has it; to grant it there would open more.
        return Finding(denied, None, note=OF_LOCALHOST.format(port=denied.port))
    if any(each.names_process for each in additions([flag], path_context.home)):
        return Finding(denied, None, note=OF_PROCESS)
    return Finding(denied, flag, extent(flag))


# Who sends a signal that people take for the sandbox's.
_SENDERS: Mapping[int, tuple[str, ...]] = {
    signal.SIGKILL: (
        "  The sandbox does not send it: usually the system did, as memory was short",
        "  (journalctl -k), or a program that ended this one.",
    ),
    signal.SIGSYS: (
        "  The sandbox does not send it: a filter of the program's own, or one around",
        "  nono, blocked a system call. Those of nono answer with an error.",
    ),
}


def footer(
    exit_code: int,
    found: Sequence[Finding],
    *,
    is_complete: bool,
    absent: Sequence[Absentee] = (),
    is_watched: bool = False,
    is_stopped: bool = False,
    is_offline: bool = False,
    offer: WorkdirOffer | None = None,
) -> list[str]:
    """Return the footer as lines; empty if nono has nothing to say about how the run ended.

    absent: What the command usually needs and was not granted, if it failed.
    is_watched: `found` contains the refused files too.
    is_stopped: Somebody ended the command, or nono did; its signal tells nothing.
    is_offline: The run has no network, so the calls that were refused for that are not in `found`.
    offer: What --allow-cwd would have granted, if anything.
    """
    if exit_code == INTERRUPTED and not is_watched:
        return []
    is_crash = _is_crash(exit_code) and not is_stopped
    if not found and not absent and not is_watched and not is_crash:
        return []
    lines = ["", TITLE, summary.RULE, f"  {headline(exit_code)}"]
    if is_crash:
        lines += _SENDERS.get(exit_code - 128, ())
    if found:
        count = f"{len(found)}{'' if is_complete else ' or more'}"
        elsewhere = "--diagnostics-json lists them" if is_watched else "all of them are in the audit log"
        lines += [f"  Sandbox denial: {count} denied.", *_table(found, elsewhere, offer)]
    elif is_watched and is_offline and exit_code and is_complete:
        lines += NO_FILE_REFUSED
    elif is_watched:
        # What a mount hides, as that over ~/.ssh on an open network, is missing there and refused by nobody.
        is_sure = is_complete and not absent
        lines.append(NOTHING_REFUSED if is_sure else f"{NOTHING_REFUSED[:-1]} that could be seen.")
    if absent:
        lines += ["  Not granted in this run, and often needed:", *_absentees(absent, offer)]
    has_failed = exit_code != 0
    is_unclear = has_failed and bool(found) and not clear(found) and exit_code - 128 not in _SENT
    if not is_watched and (absent or is_unclear):
        lines += UNSEEN
    return [*lines, *_next_steps(found)]


def telling(found: Sequence[Finding]) -> list[Finding]:
    """Return the denials that may have made the command fail, without what runtimes try at each start."""
    tried = tried_among([each.denied.target for each in found])
    return [each for each in found if each.denied.target not in tried]


def clear(found: Sequence[Finding]) -> list[Finding]:
    """Return the telling denials without those that may have nothing to do with the failure."""
    return [each for each in telling(found) if not may_be_tried(each.denied.target)]


def _is_crash(exit_code: int) -> bool:
    number = exit_code - 128
    return number in signal.valid_signals() and number not in _SENT


def headline(exit_code: int) -> str:
    if exit_code == 0:
        return "Command exited with code 0."
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
            return f"{shell_word(denied.target)} ({denied.access})"
        case Kind.SOCKET:
            return f"unix socket {shell_word(denied.target)}"
        case Kind.NETWORK:
            port = f":{denied.port}" if denied.port else ""  # 0: refused before it had a destination
            request = f"{denied.method} {denied.path} at " if denied.method and denied.path else ""
            if not denied.target:  # the request was malformed
                return shown(f"{denied.method or ''} {denied.path or ''}".strip()) or "a malformed request"
            return shown(f"{request}{denied.target}{port}")


def _table(found: Sequence[Finding], elsewhere: str, offer: WorkdirOffer | None) -> Iterator[str]:
    """Yield the denials, each once. Those with one flag, note or hint are listed together above it."""
    rows: dict[str, list[Finding]] = {}
    for finding in found:
        denied = finding.denied
        below = finding.flag or finding.note or denied.hint
        rows.setdefault(below or f"{what(denied)} {denied.reason}", []).append(finding)
    for together in list(rows.values())[:LISTED_MAX]:
        for each in dict.fromkeys((what(each.denied), why(each.denied)) for each in together[:LISTED_MAX]):
            yield from _row(*each)
        if len(together) > LISTED_MAX:
            yield f"    ... and {len(together) - LISTED_MAX} more like these"
        last = together[-1]
        if last.flag is not None:
            yield from _fix(last.flag, last.grants, offer)
        elif last.note is not None:
            yield from _wrapped(last.note)
        elif last.denied.hint is not None:
            yield from _wrapped(last.denied.hint)
    if len(rows) > LISTED_MAX:
        yield f"    ... and {len(rows) - LISTED_MAX} more ({elsewhere})"


def _absentees(absent: Sequence[Absentee], offer: WorkdirOffer | None) -> Iterator[str]:
    # Imported here, as below: most runs end well.
    from nono.policy.why.extent import extent

    for each in absent:
        yield from _row(shown(each.path), f"{each.purpose} ({each.needed_by})")
        if each.flag is not None:
            yield from _fix(each.flag, extent(each.flag), offer)
        if each.instead is not None:
            yield from _wrapped(f"instead: {each.instead}")


def _fix(flag: str, grants: str | None, offer: WorkdirOffer | None) -> Iterator[str]:
    if offer is not None:
        flag, grants = offer.spelled(flag) or (flag, grants)
    if len(flag) > TEXT_MAX:
        yield f"{INDENT}an option would allow it, which is too long to show (--diagnostics-json has it)"
        return
    yield f"      fix: {flag}"  # on one line, so that it can be copied
    if grants is not None:
        yield from _wrapped(grants)


def _row(first: str, second: str) -> Iterator[str]:
    """Yield a row of two columns. A first cell that is too long for its column gets a line of its own."""
    from textwrap import wrap

    left = " " * (WHAT_COLUMNS + 6)
    first = without_middle(first, TEXT_MAX)
    lines = wrap(
        _bounded(second), COLUMNS, initial_indent=left, subsequent_indent=left,
        break_long_words=False, break_on_hyphens=False,
    ) or [left]  # fmt: skip
    lines = [each.replace("\0", " ") for each in lines]
    if len(first) + len(second) + len(INDENT) <= COLUMNS and len(first) > WHAT_COLUMNS:
        lines = [f"    {first}  {shown(second)}"]
    elif len(first) > WHAT_COLUMNS:
        yield f"    {first}"
    else:
        lines[0] = f"    {first:<{WHAT_COLUMNS}}  {lines[0].lstrip()}"
    yield from lines


def _bounded(text: str) -> str:
    """Return text to be wrapped, with NUL for the blanks of quoted names."""
    return without_middle(held_together(shown(text)), TEXT_MAX)


def why(denied: Denied) -> str:
    by = f" (asked: {denied.by})" if denied.by is not None else ""
    where = ", ".join(each for each in (denied.rule, denied.origin) if each)
    return f"{denied.reason}{by}" + (f"; rule: {where}" if where else "")


def _wrapped(text: str) -> list[str]:
    from textwrap import wrap

    lines = wrap(
        _bounded(text), COLUMNS, initial_indent=INDENT, subsequent_indent=INDENT,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return [each.replace("\0", " ") for each in lines]


def _next_steps(found: Sequence[Finding]) -> Iterator[str]:
    denials = [finding.denied for finding in found if finding.denied.target]
    kinds = {each.kind for each in denials if each.rule != _OF_THE_FILTER}
    if kinds:
        yield "  Next steps:"
    if Kind.PATH in kinds or Kind.SOCKET in kinds:
        yield "    nono why --path <path> --op <read|write|readwrite|connect|bind>"
    if Kind.NETWORK in kinds:
        yield "    nono why --host <host or URL>"


def _flag(denied: Denied, rules: EffectivePolicy, path_context: PathContext, fs: Filesystem) -> str | None:
    from nono.policy.why import remedy

    if denied.reason.startswith(OF_INSTRUCTIONS):
        return None  # a person or a publisher has to approve it
    if denied.kind is Kind.PATH:
        return remedy.of_path(rules, path_context, denied.target, ACCESS_NAMED[str(denied.access)], fs)
    named = remedy.in_hint(denied.hint) if denied.hint is not None else None
    if named is not None or denied.kind is Kind.SOCKET or denied.is_answered:
        return named
    if (denied.rule or "").startswith(_OF_CALLS):
        return None  # the call would be refused for any host, as its hint says
    return remedy.of_host(rules, denied.target, denied.port, denied.method, denied.path)
