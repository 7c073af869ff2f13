"""Answer a question of `nono why` by the policy of its run, and say what would enforce it."""

from __future__ import annotations

import argparse
import os
from functools import partial
from typing import TYPE_CHECKING

from nono.cli.text import summary
from nono.cli.why.context import Held, Subject
from nono.cli.why.own_directories import MOUNTS, as_seen_inside, is_hidden
from nono.cli.why.permissions import within_permissions
from nono.errors import UsageError
from nono.policy.capability import Absent, Access, NetworkMode
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.hosts.hostname import HostError, canonical_host, ip_literal, parse_port
from nono.policy.hosts.upstream import is_loopback
from nono.policy.why.hosts import reads_paths, sees_requests, why_host, why_request
from nono.policy.why.paths import Answer, kept_hook, masked_path, why_path_since
from nono.printable import printable_line, shell_word
from nono.sandbox.plan.enforcement import Refusal, Rung
from nono.sandbox.plan.scope_query import ScopeAnswer, scope_answer
from nono.trust.disk.concern import root_of

if TYPE_CHECKING:
    from nono.policy.command_rules import CommandRules
    from nono.policy.effective_policy import EffectivePolicy

SOCKET_OPERATIONS = ("connect", "bind")


def answer_to(subject: Subject, parsed: argparse.Namespace) -> Answer | ScopeAnswer:
    """Answer the one question in the arguments of `nono why`."""
    if parsed.command is not None:
        return _answer_of_command(subject.commands, parsed.command)
    if parsed.path is not None and parsed.op in SOCKET_OPERATIONS:
        return _answer_of_socket(subject, parsed)
    if parsed.path is not None:
        asked = subject.path_context.of_flag(parsed.path)
        return within_permissions(_answer_of_path(subject, parsed), asked, Access(parsed.op))
    if parsed.scope is not None:
        chosen, landlock_abi = subject.held()
        return scope_answer(parsed.scope, subject.rules.capabilities, chosen, landlock_abi)
    if parsed.env is not None:
        return subject.variable(parsed.env)
    answer = _answer_of_host(subject.rules, parsed)._replace(enforced_by=_enforced_by(subject))
    return _beside_own_servers(answer, subject, *_host_and_port(parsed.host, parsed.port))


def _answer_of_path(subject: Subject, parsed: argparse.Namespace) -> Answer:
    """Answer about a path. Adds what enforces a denial if that is a mask rather than Landlock."""
    fs, rules = HostFilesystem(), subject.rules
    if rules.capabilities.elevation and not _elevates(subject.held()):
        rules = rules._replace(capabilities=rules.capabilities._replace(elevation=False))
    answer = why_path_since(rules, subject.path_context, parsed.path, Access(parsed.op), fs, subject.stale)
    kept = kept_hook(rules, subject.path_context, parsed.path, Access(parsed.op), fs)
    if answer.status == "allowed" and kept is not None and _has_namespaces(subject.held()):
        return kept
    if not parsed.self and answer.status == "allowed":
        chosen = subject.held().chosen
        if isinstance(chosen, Refusal):
            return answer._replace(enforced_by=_refused(chosen))
        if chosen.namespaces:
            answer = as_seen_inside(answer, rules, subject.path_context, parsed.path, Access(parsed.op), fs)
    if answer.status != "denied" and Access(parsed.op).reads and not parsed.self:
        return _as_instructions(answer, subject, parsed.path)
    if answer.status != "denied":
        return answer
    return answer._replace(enforced_by=_mounts_that_deny(rules, subject, parsed))


def _mounts_that_deny(rules: EffectivePolicy, subject: Subject, parsed: argparse.Namespace) -> str | None:
    """Say what enforces the denial of a path if that is no rule of Landlock."""
    fs = HostFilesystem()
    masked = masked_path(rules, subject.path_context, parsed.path, fs)
    if masked is None:
        hidden = not parsed.self and is_hidden(rules, subject.path_context, parsed.path, fs)
        return MOUNTS if hidden and _has_namespaces(subject.held()) else None
    chosen = subject.held().chosen
    if isinstance(chosen, Refusal):
        return _refused(chosen)
    if isinstance(masked, Absent):
        return f"nothing: {masked.path} does not exist, and what does not cannot be masked"
    if masked.shown is not None:
        return f"mask: {masked.path} shows {summary.SHOWN}"
    if masked.is_shared:
        return f"mask: {masked.path} leads to {summary.SHARED}"
    if masked.own is not None:
        return f"mask: {masked.path} leads to {summary.OWN}"
    return f"mask: {masked.path} is {summary.MASKED}"


def _as_instructions(answer: Answer, subject: Subject, path: str) -> Answer:
    """Return the answer, or a refusal if a trust policy refuses the file although it is granted."""
    environ = dict(os.environ)
    root = root_of(subject.path_context.workdir, environ)
    if root is None:
        return answer
    # Imported here: few projects have a trust policy.
    from nono.cli.instructions.opened import refused_at_open

    verdict = refused_at_open(root, path, environ)
    if verdict is None:
        return answer
    return Answer(
        "denied",
        "instruction_file_untrusted",
        details=f"{verdict.path} is granted, but the trust policy refuses it: {verdict.reason}",
        enforced_by="the trust policy, when it is opened",
    )


def _answer_of_command(rules: CommandRules, program: str) -> Answer:
    """Answer whether nono would start a program, a name or a path, as the command of the run."""
    name = os.path.basename(program)
    origin = rules.blocked.get(name)
    if origin is None:
        free = "no rule is about its name; what it may do is what its run is granted"
        return Answer("allowed", "command_not_policy_controlled", details=free)
    return Answer(
        "denied",
        "command_blocked",
        details=f"'{name}' is blocked by name: nono does not start it, and a program inside may",
        policy_source=origin,
        suggested_flag=f"--allow-command {shell_word(name)}",
    )


def _answer_of_socket(subject: Subject, parsed: argparse.Namespace) -> Answer:
    # Imported here: other questions do not need it.
    from nono.policy.why.sockets import why_socket

    binds = parsed.op == "bind"
    answer = why_socket(subject.rules, subject.path_context, parsed.path, HostFilesystem(), binds=binds)
    return answer._replace(enforced_by=_enforced_by(subject))


def _answer_of_host(rules: EffectivePolicy, parsed: argparse.Namespace) -> Answer:
    """Answer about a host, or about a request if --host is a URL with a path or --method is given."""
    # Imported here: questions about files do not need the proxy.
    from nono.proxy.http.message import MessageError
    from nono.proxy.http.target import canonical
    from nono.proxy.verdict.refused_calls import said_beyond

    host, port = _host_and_port(parsed.host, parsed.port)
    path, scheme = _path(parsed.host), parsed.host.partition("://")[0]
    whole = why_host(rules, host, port)
    is_request = bool(path) or parsed.method is not None
    if not is_request or whole.status != "allowed" or not sees_requests(rules, host, port):
        return whole
    try:
        lenient = not reads_paths(rules, host, port)
        sent = canonical((path or "/").encode("utf-8", "surrogateescape"), lenient=lenient).decode("ascii")
    except MessageError as error:
        return Answer("denied", "proxy_filtered", details=f"the proxy refuses such a request: {error}")
    beyond = partial(said_beyond, query=sent.partition("?")[2], is_websocket=scheme in ("ws", "wss"))
    return why_request(rules, host, port, (parsed.method or "GET").upper(), sent, beyond)


def _beside_own_servers(answer: Answer, subject: Subject, host: str, port: int) -> Answer:
    """Add to a refusal of this machine what needs no grant there: a server that the command has started."""
    if answer.status != "denied" or subject.rules.capabilities.network is not NetworkMode.PROXY:
        return answer
    # Imported here: only a question about this machine needs it.
    from nono.supervisor.verdict.own_servers import FIRST_PORT

    chosen = subject.held().chosen
    if isinstance(chosen, Refusal) or chosen.rung not in (Rung.NOTIFY, Rung.NETNS):
        return answer
    name = canonical_host(host)
    if port < FIRST_PORT or not is_loopback(name):
        return answer
    # By the address: `localhost` is asked of the proxy where it is granted, or a gateway has it.
    address = f"{'127.0.0.1' if ip_literal(name) is None else host}:{port}"
    own = f"a server that the command itself has started is reached at {address} without an option"
    return answer._replace(details=f"{answer.details}; {own}" if answer.details else own)


def _enforced_by(subject: Subject) -> str | None:
    """Return what enforces the network, worded as in the summary; None if the run has no rung."""
    capabilities = subject.rules.capabilities
    if capabilities.network is not NetworkMode.PROXY:
        return "nothing: sandbox policy external" if capabilities.is_network_left_open else None
    chosen = subject.held().chosen
    if isinstance(chosen, Refusal):
        return _refused(chosen)
    return None if chosen.rung is None else f"{chosen.rung.value}: {summary.RUNGS[chosen.rung]}"


def _elevates(held: Held) -> bool:
    """Check that the run can ask somebody, which needs a listener."""
    return not isinstance(held.chosen, Refusal) and held.chosen.elevation


def _has_namespaces(held: Held) -> bool:
    return not isinstance(held.chosen, Refusal) and held.chosen.namespaces


def _refused(chosen: Refusal) -> str:
    return f"nothing, the run is refused: {chosen.message.splitlines()[0]}"


def _path(text: str) -> str:
    """Return the path of a URL including its query; "" for a plain host."""
    rest = text.partition("://")[2]
    return "/" + rest.partition("/")[2] if "/" in rest else ""


def _host_and_port(text: str, port: int | None) -> tuple[str, int]:
    """Parse a host, host:port or URL; an explicit --port wins. Raises UsageError for anything else."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "https", text
    authority = rest.partition("/")[0].rpartition("@")[2]
    host, colon, written = authority.rpartition(":")
    has_port = bool(colon) and "]" not in written and (host.startswith("[") or ":" not in host)
    try:
        given = parse_port(written) if has_port else None
        canonical_host(host if has_port else authority)
    except HostError as error:
        raise UsageError(f"--host '{printable_line(text)}': {error}.") from error
    return (host if has_port else authority), port or given or (80 if scheme in ("http", "ws") else 443)
