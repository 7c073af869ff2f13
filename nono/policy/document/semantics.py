"""Find mistakes in a profile that field types cannot express: patterns, names, hosts, rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from nono.errors import ConfigError
from nono.policy.builtin import shipped
from nono.policy.document.jsonc import Path
from nono.policy.document.merge import REPLACEABLE
from nono.policy.document.source import Mistake
from nono.policy.endpoints.entry import rule_problems
from nono.policy.environment.inheritance import check_fixed_name, check_pattern
from nono.policy.files.path_patterns import NOT_IN_PATTERNS
from nono.policy.hosts.endpoint_scope import split_domain
from nono.policy.hosts.host_filter import parse_rule
from nono.policy.hosts.hostname import HostError, parse_authority
from nono.policy.hosts.mcp_servers import fault_in
from nono.policy.hosts.no_proxy import parse_no_proxy
from nono.policy.hosts.proxy_settings import parse_bypass, parse_duration, parse_upstream_proxy
from nono.policy.path_expansion import is_pattern
from nono.policy.ports import PORT_MAX
from nono.policy.schema.profile import Environment, Filesystem, Groups, Network, Profile, SessionHooks
from nono.policy.schema.routes import DomainEntry, UpstreamProxyEntry
from nono.policy.services.approval import approval_mistakes
from nono.policy.services.capture_entry import capture_problems
from nono.policy.services.custom_credential import problems_of
from nono.policy.services.env_names import may_hold_credential
from nono.policy.services.oauth_routes import provider_problems, route_problems
from nono.policy.suggestions import did_you_mean

WITH_PATTERNS = ("allow", "read", "write", "deny", "bypass_protection")  # of filesystem
_PACK_NAME = r"[^/@\s]+/[^/@\s]+"
_ORIGIN = r"https?://[^/?#@\s]+/?"


def mistaken_values(profile: Profile) -> Iterator[Mistake]:
    yield from _environment(profile.environment)
    yield from _groups(profile.groups)
    yield from _filesystem(profile.filesystem)
    yield from _hosts(profile.network)
    yield from _proxy(profile.network)
    yield from _below(("security",), approval_mistakes(profile.security))
    for name, custom in profile.network.custom_credentials.items():
        yield from _below(("network", "custom_credentials", name), problems_of(name, custom))
    for name, capture in profile.credential_capture.items():
        yield from _below(("credential_capture", name), capture_problems(name, capture))
    for name, provider in profile.credential_providers.items():
        yield from _below(("credential_providers", name), provider_problems(provider))
    for position, route in enumerate(profile.credential_routes):
        yield from _below(("credential_routes", position), route_problems(route))
    for reference, target in profile.env_credentials.items():
        variable = target if isinstance(target, str) else target.env_var
        if not may_hold_credential(variable):
            yield Mistake(("env_credentials", reference), f"{variable!r} may not hold a credential")
    yield from _session(profile)
    yield from _programs(profile)


def mistaken_replacements(names: Sequence[str]) -> Iterator[Mistake]:
    for position, name in enumerate(names):
        if name not in REPLACEABLE:
            hint = did_you_mean(name, REPLACEABLE)
            what = f"'{name}' is not a field whose inherited value can be replaced"
            yield Mistake(("replace", position), what + (f" ({hint})" if hint else ""))


def _environment(environment: Environment) -> Iterator[Mistake]:
    for name, value in environment.set_vars.items():
        where = ("environment", "set_vars", name)
        yield from _checked(where, check_fixed_name, name)
        if "\0" in value:
            yield Mistake(where, "a value may not hold a NUL byte")
    for name in ("allow_vars", "deny_vars"):
        yield from _each(("environment", name), check_pattern, getattr(environment, name) or ())


def _groups(groups: Groups) -> Iterator[Mistake]:
    known = shipped.groups()
    for position, name in enumerate(groups.include):
        if name not in known:
            hint = did_you_mean(name, known)
            what = f"Unknown policy group: '{name}'" + (f" ({hint})" if hint else "")
            yield Mistake(("groups", "include", position), what)
    for position, name in enumerate(groups.exclude):
        if name in known and known[name].required:
            yield Mistake(("groups", "exclude", position), f"Cannot exclude required groups: '{name}'")


def _filesystem(filesystem: Filesystem) -> Iterator[Mistake]:
    for name, paths in filesystem._asdict().items():
        for position, path in enumerate(paths):
            where = ("filesystem", name, position)
            if not path or "\0" in path:
                yield Mistake(where, f"{path!r} is not a path")
            elif is_pattern(path) and name not in WITH_PATTERNS:
                yield Mistake(where, f"'{path}': no pattern is expected here, but one path")
            elif is_pattern(path) and any(mark in path for mark in NOT_IN_PATTERNS):
                yield Mistake(where, f"'{path}': of a pattern, only * and ** are known")


def _hosts(network: Network) -> Iterator[Mistake]:
    policy = shipped.network_policy()
    if network.network_profile is not None and network.network_profile not in policy.profiles:
        hint = did_you_mean(network.network_profile, policy.profiles)
        what = f"Network profile '{network.network_profile}' not found in policy"
        yield Mistake(("network", "network_profile"), what + (f" ({hint})" if hint else ""))
    for position, entry in enumerate(network.allow_domain or ()):
        where = ("network", "allow_domain", position)
        if isinstance(entry, DomainEntry):
            yield from _checked((*where, "domain"), _parse_domain, entry.domain)
            yield from _below(where, rule_problems("endpoints", entry.endpoints))
        elif entry not in policy.groups:
            yield from _checked(where, _parse_rule, entry)
    hosts = [text if text not in policy.groups else "x" for text in network.deny_domain]
    yield from _each(("network", "deny_domain"), _parse_rule, hosts)
    yield from _each(("network", "raw_tunnels"), parse_authority, network.raw_tunnels)
    for position, name in enumerate(network.mcp_servers):
        if (fault := fault_in(name)) is not None:
            yield Mistake(("network", "mcp_servers", position), fault)
    yield from _ports(network)
    yield from _each(("network", "no_proxy"), parse_no_proxy, network.no_proxy)


def _ports(network: Network) -> Iterator[Mistake]:
    for field in ("open_port", "connect_port", "listen_port"):
        for position, port in enumerate(getattr(network, field)):
            if not 1 <= port <= PORT_MAX:
                what = f"{port} is not a port: a number from 1 to {PORT_MAX} is expected"
                yield Mistake(("network", field, position), what)
    for field in ("open_port_range", "listen_port_range"):
        for position, (first, last) in enumerate(getattr(network, field)):
            if not 1 <= first <= last <= PORT_MAX:
                what = f"two ports from 1 to {PORT_MAX} are expected, the lower one first"
                yield Mistake(("network", field, position), f"[{first}, {last}]: {what}")


def _proxy(network: Network) -> Iterator[Mistake]:
    intercept, upstream = network.tls_intercept, network.upstream_proxy
    where: Path = ("network", "tls_intercept")
    if intercept.ca_lifecycle != "session":
        yield Mistake((*where, "ca_lifecycle"), f"not available yet ({intercept.ca_lifecycle!r})")
    for field, value in (("ca_validity", intercept.ca_validity), ("leaf_validity", intercept.leaf_validity)):
        if value is not None:
            yield from _checked((*where, field), parse_duration, str(value))
    for position, variable in enumerate(intercept.ca_env_vars):
        if not may_hold_credential(variable):
            what = f"{variable!r} may not name a file of certificates"
            yield Mistake((*where, "ca_env_vars", position), what)
    if upstream is not None:
        address = upstream.address if isinstance(upstream, UpstreamProxyEntry) else upstream
        yield from _checked(("network", "upstream_proxy"), parse_upstream_proxy, address)
    yield from _each(("network", "upstream_bypass"), parse_bypass, network.upstream_bypass)


def _session(profile: Profile) -> Iterator[Mistake]:
    for name in SessionHooks._fields:
        hook = getattr(profile.session_hooks, name)
        if hook is not None and not hook.script.startswith("/"):
            yield Mistake(("session_hooks", name, "script"), f"'{hook.script}': expected an absolute path")
        if hook is not None and hook.timeout_secs is not None and hook.timeout_secs <= 0:
            yield Mistake(("session_hooks", name, "timeout_secs"), "expected seconds, more than 0")
    for position, name in enumerate(profile.skipdirs):
        if not name or "/" in name or "\0" in name or name in (".", ".."):
            yield Mistake(("skipdirs", position), f"{name!r} is not the name of a directory")
    for position, pack in enumerate(profile.packs):
        what = "not available yet" if re.fullmatch(_PACK_NAME, pack) else f"{pack!r}: expected namespace/name"
        yield Mistake(("packs", position), what)
    for position, origin in enumerate(profile.open_urls.allow_origins if profile.open_urls else ()):
        if not re.fullmatch(_ORIGIN, origin):
            what = f"{origin!r}: expected http:// or https:// and a host, as in https://github.com"
            yield Mistake(("open_urls", "allow_origins", position), what)


def _programs(profile: Profile) -> Iterator[Mistake]:
    if profile.binary is not None and (not profile.binary or "\0" in profile.binary):
        yield Mistake(("binary",), f"{profile.binary!r} is not a program")
    for position, word in enumerate(profile.command_args):
        if "\0" in word:
            yield Mistake(("command_args", position), "an argument may not hold a NUL byte")
    for field in ("allow", "deny"):
        for position, name in enumerate(getattr(profile.commands, field)):
            if not name or "/" in name or "\0" in name:
                what = f"{name!r}: expected the name of a program, without a directory"
                yield Mistake(("commands", field, position), what)
            elif field == "allow" and name in profile.commands.deny:
                yield Mistake(("commands", field, position), f"'{name}' stands in commands.deny as well")


def _parse_rule(text: str) -> object:
    return parse_rule(text, "")


def _parse_domain(text: str) -> object:
    try:
        return _parse_rule(split_domain(text, "")[1])
    except ConfigError as error:
        raise ValueError(str(error)) from error


def _below(where: Path, problems: Iterable[tuple[str, str]]) -> Iterator[Mistake]:
    for field, what in problems:
        steps = (int(step) if step.isdecimal() else step for step in field.split(".") if step)
        yield Mistake((*where, *steps), what)


def _each(where: Path, check: Callable[[str], object], texts: Iterable[str]) -> Iterator[Mistake]:
    for position, text in enumerate(texts):
        yield from _checked((*where, position), check, text)


def _checked(path: Path, check: Callable[[str], object], text: str) -> Iterator[Mistake]:
    try:
        check(text)
    except HostError as error:
        yield Mistake(path, f"'{text}': {error}")
    except ValueError as error:
        yield Mistake(path, str(error))
