"""``nono why``: would this be allowed, and by which rule."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence

from nono.cli import arguments, options, render
from nono.cli.parse import Invocation
from nono.cli.resolution import resolve_given
from nono.errors import ConfigError, UsageError
from nono.policy.capability import Access, Mask, NetworkMode
from nono.policy.filesystem import HostFilesystem
from nono.policy.host_query import why_host, why_request
from nono.policy.hostname import HostError, canonical_host, parse_port
from nono.policy.query import Answer, masked_path, why_path
from nono.policy.resolve import Resolved
from nono.sandbox import probe
from nono.sandbox.plan import Enforcement, Refusal, choose_enforcement

DESCRIPTION = "Says whether a path or a host would be allowed under the options given, and why."
SOCKET_OPERATIONS = ("connect", "bind")
DENIED_STATUS = 1  # with --exit-code
LATER = ("--command", "--caller", "--scope", "--self")


def run(argv: Sequence[str]) -> int:
    environ = dict(os.environ)
    parser = _parser(argv)
    parsed = parser.parse_args(list(argv))
    for flag in LATER:
        if getattr(parsed, flag.removeprefix("--").replace("-", "_")):
            raise UsageError(f"{flag}: not available yet.")
    _check_question(parsed)
    given = options.collect(options.WHY, vars(parsed), argv, environ)
    invocation = Invocation(given, silent=False, command=())
    resolved = resolve_given(invocation, environ)
    if parsed.path is not None and parsed.op in SOCKET_OPERATIONS:
        answer = _answer_of_socket(resolved, parsed)
    elif parsed.path is not None:
        answer = _answer_of_path(resolved, parsed)
    else:
        answer = _answer_of_host(resolved, parsed)._replace(enforced_by=_enforced_by(resolved))
    print(json.dumps(answer.as_json(), indent=2) if parsed.json else "\n".join(_text(answer)))
    return DENIED_STATUS if parsed.exit_code and answer.status == "denied" else 0


def _answer_of_path(resolved: Resolved, parsed: argparse.Namespace) -> Answer:
    """With what holds a run to it, where that is not Landlock."""
    fs = HostFilesystem()
    if resolved.capabilities.elevation and not _elevates(resolved):
        capabilities = resolved.capabilities._replace(elevation=False)
        resolved = resolved._replace(capabilities=capabilities)
    answer = why_path(resolved, parsed.path, Access(parsed.op), fs)
    masked = masked_path(resolved, parsed.path, fs)
    if masked is None or answer.status != "denied":
        return answer
    chosen = _enforcement(resolved)
    if isinstance(chosen, Refusal):
        held = _refused(chosen)
    elif isinstance(masked, Mask):
        held = f"mask: {masked.path} is {render.MASKED}"
    else:
        held = f"nothing: {masked.path} does not exist, and what does not cannot be masked"
    return answer._replace(enforced_by=held)


def _answer_of_socket(resolved: Resolved, parsed: argparse.Namespace) -> Answer:
    # Imported here: other questions have no use for it.
    from nono.policy.socket_query import why_socket

    answer = why_socket(resolved, parsed.path, HostFilesystem(), binds=parsed.op == "bind")
    return answer._replace(enforced_by=_enforced_by(resolved))


def _answer_of_host(resolved: Resolved, parsed: argparse.Namespace) -> Answer:
    """About the host, or about a request when a path stands behind it."""
    # Imported here: a question about a path needs nothing of the proxy.
    from nono.proxy.message import MessageError
    from nono.proxy.target import canonical

    host, port = _host_and_port(parsed.host, parsed.port)
    path = _path(parsed.host)
    if not path and parsed.method is None:
        return why_host(resolved, host, port)
    try:
        sent = canonical((path or "/").encode("utf-8", "surrogateescape")).decode("ascii")
    except MessageError as error:
        return Answer("denied", "proxy_filtered", details=f"the proxy refuses such a request: {error}")
    return why_request(resolved, host, port, (parsed.method or "GET").upper(), sent)


def _enforced_by(resolved: Resolved) -> str | None:
    """What a run with these options would stand on here, as its summary has it; None for other runs."""
    capabilities = resolved.capabilities
    if capabilities.network is not NetworkMode.PROXY:
        return "nothing: sandbox policy external" if capabilities.is_network_left_open else None
    chosen = _enforcement(resolved)
    if isinstance(chosen, Refusal):
        return _refused(chosen)
    return None if chosen.rung is None else f"{chosen.rung.value}: {render.RUNGS[chosen.rung]}"


def _enforcement(resolved: Resolved) -> Enforcement | Refusal:
    facts = probe.with_masks(probe.host_facts(), resolved.capabilities.masking)
    return choose_enforcement(resolved.capabilities, facts)


def _elevates(resolved: Resolved) -> bool:
    """Whether a run would ask here, as it needs a listener for."""
    chosen = _enforcement(resolved)
    return not isinstance(chosen, Refusal) and chosen.elevation


def _refused(chosen: Refusal) -> str:
    return f"nothing, the run is refused: {chosen.message.splitlines()[0]}"


def _path(text: str) -> str:
    """The path of a URL without its query; "" for a host."""
    rest = text.partition("://")[2]
    return "/" + rest.partition("/")[2].partition("?")[0] if "/" in rest else ""


def _check_question(parsed: argparse.Namespace) -> None:
    if (parsed.path is None) == (parsed.host is None):
        which = (
            "--path or --host is required" if parsed.path is None else "--path and --host are two questions"
        )
        raise ConfigError(which, hint="nono why --path ~/.ssh --op read")
    if parsed.method is not None and parsed.host is None:
        raise ConfigError("--method belongs to a question about --host")
    if parsed.path == "":
        raise UsageError("--path: its value is empty.")


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = arguments.new_parser("nono why", DESCRIPTION)
    arguments.add_globals(parser)
    parser.add_argument("--path", metavar="PATH", help="the path in question")
    parser.add_argument(
        "--op",
        choices=[*(access.value for access in Access), *SOCKET_OPERATIONS],
        default="read",
        help="default: read; connect and bind are for Unix sockets",
    )
    parser.add_argument("--host", metavar="HOST|URL", help="the host in question")
    parser.add_argument("--port", type=arguments.port, metavar="PORT", help="default: the URL's, or 443")
    parser.add_argument("--method", metavar="METHOD", help="of the request to the URL; default: GET")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.add_argument("--exit-code", action="store_true", help="exit 1 when the answer is no")
    for flag in LATER:
        takes_value = flag != "--self"
        action = "store" if takes_value else "store_true"
        parser.add_argument(flag, action=action, help=argparse.SUPPRESS)
    arguments.add_options(parser, options.WHY, argv)
    return parser


def _host_and_port(text: str, port: int | None) -> tuple[str, int]:
    """A host, host:port or URL; an explicit --port wins. ConfigError when it is none of them."""
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
        raise ConfigError(f"--host '{text}': {error}.") from error
    return (host if has_port else authority), port or given or (80 if scheme == "http" else 443)


def _text(answer: Answer) -> list[str]:
    lines = [answer.status.upper().replace("_", " "), f"  Reason: {answer.reason}"]
    match = answer.matching_capability
    labelled = (
        ("Granted by", answer.granted_path),
        ("Access", answer.access),
        ("Source", answer.source),
        ("Details", answer.details),
        ("Policy", answer.policy_source),
        ("Enforced by", answer.enforced_by),
        ("Closest match", f"{match.path} ({match.access}, {match.source})" if match else None),
        ("Suggested fix", answer.suggested_flag),
    )
    lines += [f"  {label}: {value}" for label, value in labelled if value]
    if answer.endpoint_rules:
        lines.append(f"  Endpoint rules ({len(answer.endpoint_rules)} total):")
        lines += [f"    {method} {path}" for method, path in answer.endpoint_rules]
    return lines
