"""`nono proxy`: run the credential proxy alone, in the foreground, for programs outside a sandbox."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nono.cli.args.parse import Given, parse_proxy, proxy_parser
from nono.cli.console import Console, console_of
from nono.cli.preferences import outward, preferences, redaction
from nono.cli.resolution import resolve_given
from nono.cli.text import summary
from nono.credentials.phantom import SessionToken, make_session_token
from nono.credentials.values.content import text_problem
from nono.errors import ConfigError, NonoError, UsageError
from nono.launch.proxy.assembly import config_of
from nono.policy.capability import NetworkMode
from nono.policy.hosts.hostname import HostError, canonical_host, ip_literal
from nono.policy.hosts.upstream import is_loopback
from nono.policy.resolve import Resolved
from nono.printable import printable, printable_line
from nono.secret import Secret

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from nono.launch.standalone_proxy import Serving
    from nono.proxy.config import ProxyConfig
    from nono.proxy.tls.session_ca import SessionCa

DESCRIPTION = "Runs the proxy without a sandbox, until Ctrl-C."
_DRAIN_S, _DRAIN_MAX_S = 1, 3600  # for responses still being sent; unless asked for, less than 2 s in all
_MAX_CA_FILE_BYTES = 256 * 1024


def parser() -> ArgumentParser:
    """Return the parser, for help and completion."""
    return proxy_parser(DESCRIPTION)


def run(argv: Sequence[str]) -> int:
    environ = dict(os.environ)
    invocation = parse_proxy(DESCRIPTION, argv, environ)
    given = invocation.given
    console = console_of(given, silent=invocation.silent)
    token = _token(given, environ)
    address = _address(given)
    port = _number("--port", given.value("port"), 0, 65535)
    max_connections = _number("--max-connections", given.value("max_connections"), 256, 1_000_000)
    drain_s = _number("--drain", given.value("drain"), _DRAIN_S, _DRAIN_MAX_S)
    settings = preferences(given, environ, console, long_lived=True)
    resolved = resolve_given(invocation, environ, long_lived=True)
    if resolved.capabilities.network is NetworkMode.BLOCKED:
        raise ConfigError("the profile blocks the network, so a proxy has nothing to serve.")
    own_authority = _own_authority(given, resolved)
    config = config_of(resolved, token)._replace(
        port=port,
        address=address,
        require_auth=not given.flag("no_auth"),
        own_names=frozenset() if is_loopback(address) else _names_of_this_machine(),
        max_connections=max_connections,
        close_grace_s=drain_s,
    )
    _warn(argv, given, resolved, config, console)

    def announce(serving: Serving) -> None:
        shows = sys.stdout.isatty() or given.flag("print_token")
        print("\n".join(map(printable, _lines(serving, config, resolved, shows=shows))), flush=True)

    # Imported here: printing help or reporting a mistake needs no event loop.
    from nono.launch.standalone_proxy import ProxyOptions, serve_until_signal

    options = ProxyOptions(
        config,
        token,
        own_authority=own_authority,
        announce=announce,
        say=console.lines,
        warn=console.warn,
        redaction=redaction(settings),
        audit_bytes=settings.audit.session_max_bytes,
        outward=outward(given, settings.audit),
        notifies=settings.ui.notify and not invocation.silent,
    )
    return serve_until_signal(resolved, environ, options)


def _warn(
    argv: Sequence[str], given: Given, resolved: Resolved, config: ProxyConfig, console: Console
) -> None:
    """Say what a person should know before the proxy serves."""
    console.lines(resolved.deprecations)
    for warning in (*given.warnings, *resolved.warnings):
        console.warn(warning)
    for warning in (*resolved.insisted, *(each.text for each in resolved.of_paths)):
        console.insist(warning)
    if any(resolved.session_hooks):
        console.warn("`nono proxy` runs no session_hooks; `nono run` does.")
    _warn_of_openness(resolved, config, console)
    if any(word.partition("=")[0] == "--pass" for word in argv):
        console.insist(
            "--pass: every user of this machine can read the password in /proc/PID/cmdline. "
            "NONO_PROXY_PASS keeps it from them."
        )


def _token(given: Given, environ: Mapping[str, str]) -> SessionToken:
    """Return the user's own password, or a random one. Raises UsageError for a bad or contradictory one."""
    password = given.value("pass")
    if given.flag("no_auth") and password is not None:
        raise UsageError("--no-auth and --pass (or NONO_PROXY_PASS) are contradictory.")
    if password is None:
        if environ.get("NONO_PROXY_PASS") == "" and not given.flag("no_auth"):
            # Most likely a variable that was meant to be set; a random password would lock its owner out.
            raise UsageError("NONO_PROXY_PASS: its value is empty.")
        return make_session_token()
    problem = text_problem(password)
    if problem is not None:
        raise UsageError(f"--pass: {problem}.")
    return SessionToken(Secret(password))


def _address(given: Given) -> str:
    """Return the address to listen on. Raises UsageError if it is invalid, or not loopback with --no-auth."""
    address = given.value("listen") or "127.0.0.1"
    try:
        address = "127.0.0.1" if address == "localhost" else canonical_host(address)
        if ip_literal(address) is None:
            raise HostError("an IP address is expected")
    except HostError as error:
        raise UsageError(f"--listen '{printable_line(address)}': {error}.") from error
    if given.flag("no_auth") and not is_loopback(address):
        raise UsageError(
            "--no-auth is for loopback only: on any other address everybody could use the proxy.",
            hint="--listen 127.0.0.1",
        )
    return address


def _names_of_this_machine() -> frozenset[str]:
    names = set()
    for spelled in (socket.gethostname(), socket.getfqdn()):
        try:
            names.add(canonical_host(spelled))
        except HostError:
            continue
    return frozenset(names)


def _number(flag: str, text: str | None, default: int, most: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 7 and int(text) <= most):
        raise UsageError(f"{flag} '{text}': a number from 0 to {most} is expected.")
    return int(text)


def _own_authority(given: Given, resolved: Resolved) -> SessionCa | None:
    """Read and check the user's own CA. Raises NonoError for a bad one, which is never silently replaced."""
    certificate, key = given.value("proxy_ca_cert"), given.value("proxy_ca_key")
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UsageError("--proxy-ca-cert and --proxy-ca-key must be given together.")
    if given.value("proxy_ca_validity") is not None:
        raise UsageError("--proxy-ca-validity is for a CA that nono makes; yours has its own validity.")
    # Imported here: cryptography is needed this early only with a CA of the user's own.
    from nono.proxy.tls.leaf import CaError
    from nono.proxy.tls.session_ca import SessionCa

    assert resolved.proxy is not None
    pair = (_read("--proxy-ca-cert", certificate), _read("--proxy-ca-key", key))
    try:
        return SessionCa.from_pem(*pair, leaf_validity_s=resolved.proxy.leaf_validity_s)
    except CaError as error:
        raise NonoError(f"--proxy-ca-cert '{certificate}', --proxy-ca-key '{key}': {error}.") from None


def _read(flag: str, path: str) -> bytes:
    try:
        # O_NONBLOCK avoids waiting for a named pipe; the size limit is for files without an end.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            return file.read(_MAX_CA_FILE_BYTES)
    except OSError as error:
        raise NonoError(f"{flag} '{path}' cannot be read: {error.strerror}.") from error


def _warn_of_openness(resolved: Resolved, config: ProxyConfig, console: Console) -> None:
    """Print warnings about an open proxy, even with --silent."""
    if resolved.host_filter is not None and resolved.host_filter.allow is None:
        console.insist(
            "this proxy has no allow list: whoever may use it reaches every host that is not refused. "
            "--allow-domain or --network-profile makes one."
        )
    if not config.require_auth:
        console.insist("--no-auth: every program on this machine may use this proxy.")
    if not is_loopback(config.address):
        console.insist(
            f"--listen {config.address}: the password and the placeholders cross the network in the clear."
        )


def _lines(serving: Serving, config: ProxyConfig, resolved: Resolved, *, shows: bool) -> list[str]:
    """Return the lines to print once the proxy accepts connections.

    They contain the password on a terminal, which keeps nothing, and with --print-token. Elsewhere stdout may
    be a log that others can read, so the lines name the file that holds the password instead.
    """
    bracketed = f"[{config.address}]" if ":" in config.address else config.address
    url = serving.variables["HTTPS_PROXY"]
    lines = [f"nono proxy listening on {bracketed}:{serving.port}"]
    if shows or not config.require_auth:
        lines.append(f"proxy URL: {url}")
        if config.require_auth:
            lines.append(f"token: {serving.variables['NONO_PROXY_TOKEN']}")
        lines += [f"  export HTTP_PROXY={url}", f"  export HTTPS_PROXY={url}"]
    else:
        scheme, _, address = url.partition("nono:")[0], *url.partition("@")[1:]
        lines += [f"proxy URL: {scheme}nono:<token>@{address}", f"token: in {serving.file}"]
    lines += ["  # all variables: proxy, services, trust", f"  . {serving.file}"]
    lines += [f"    key  {service.name} at {service.upstream}" for service in resolved.services]
    lines += summary.routes(resolved)
    if (bundle := serving.variables.get("SSL_CERT_FILE")) is not None:
        lines.append(f"trust bundle: {bundle}")
    lines.append("Press Ctrl-C to stop.")
    return lines
