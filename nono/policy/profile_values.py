"""What is wrong with a profile beyond what the types of its fields can say: patterns, names, hosts, rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from nono.policy import builtin
from nono.policy.approval import approval_mistakes
from nono.policy.capture_entry import capture_problems
from nono.policy.custom_credential import problems_of
from nono.policy.destination import is_destination
from nono.policy.endpoint_entry import rule_problems
from nono.policy.environment import check_fixed_name, check_pattern
from nono.policy.hostname import HostError, parse_authority
from nono.policy.network import parse_rule
from nono.policy.no_proxy import parse_no_proxy
from nono.policy.oauth_routes import provider_problems, route_problems
from nono.policy.ports import PORT_MAX
from nono.policy.profile import Environment, Filesystem, Network, Profile
from nono.policy.profile_routes import DomainEntry, UpstreamProxyEntry
from nono.policy.proxy_settings import parse_bypass, parse_duration, parse_upstream_proxy

Mistake = tuple[str, str]  # key path, what is wrong


def mistaken_values(profile: Profile) -> Iterator[Mistake]:
    yield from _environment(profile.environment)
    yield from _filesystem(profile.filesystem)
    yield from _hosts(profile.network)
    yield from _proxy(profile.network)
    yield from _below("security", approval_mistakes(profile.security))
    for name, custom in profile.network.custom_credentials.items():
        yield from _below(f"network.custom_credentials.{name}", problems_of(name, custom))
    for name, capture in profile.credential_capture.items():
        yield from _below(f"credential_capture.{name}", capture_problems(name, capture))
    for name, provider in profile.credential_providers.items():
        yield from _below(f"credential_providers.{name}", provider_problems(provider))
    for position, route in enumerate(profile.credential_routes):
        yield from _below(f"credential_routes.{position}", route_problems(route))
    for target in profile.env_credentials.values():
        variable = target if isinstance(target, str) else target.env_var
        if not is_destination(variable):
            yield "env_credentials", f"{variable!r} may not hold a credential"


def _environment(environment: Environment) -> Iterator[Mistake]:
    for name in environment.set_vars:
        yield from _checked("environment.set_vars", check_fixed_name, name)
    for name, value in environment.set_vars.items():
        if "\0" in value:
            yield f"environment.set_vars.{name}", "a value may not hold a NUL byte"
    for name in ("allow_vars", "deny_vars"):
        for pattern in getattr(environment, name) or ():
            yield from _checked(f"environment.{name}", check_pattern, pattern)


def _filesystem(filesystem: Filesystem) -> Iterator[Mistake]:
    for name, paths in filesystem._asdict().items():
        for path in paths:
            if not path or "\0" in path:
                yield f"filesystem.{name}", f"{path!r} is not a path"
            elif "*" in path:
                yield f"filesystem.{name}", f"'{path}': patterns are not available yet"


def _hosts(network: Network) -> Iterator[Mistake]:
    groups = builtin.network_policy().groups
    for position, entry in enumerate(network.allow_domain or ()):
        where = f"network.allow_domain.{position}"
        if isinstance(entry, DomainEntry):
            yield from _checked(f"{where}.domain", _parse_rule, entry.domain)
            yield from rule_problems(f"{where}.endpoints", entry.endpoints)
        elif entry not in groups:
            yield from _checked("network.allow_domain", _parse_rule, entry)
    for text in network.deny_domain:
        if text not in groups:
            yield from _checked("network.deny_domain", _parse_rule, text)
    for text in network.raw_tunnels:
        yield from _checked("network.raw_tunnels", parse_authority, text)
    yield from _ports(network)
    for text in network.no_proxy:
        yield from _checked("network.no_proxy", parse_no_proxy, text)


def _ports(network: Network) -> Iterator[Mistake]:
    for field in ("open_port", "connect_port", "listen_port"):
        for port in getattr(network, field):
            if not 1 <= port <= PORT_MAX:
                yield f"network.{field}", f"{port} is not a port: a number from 1 to {PORT_MAX} is expected"
    for first, last in network.open_port_range:
        if not 1 <= first <= last <= PORT_MAX:
            what = f"two ports from 1 to {PORT_MAX} are expected, the lower one first"
            yield "network.open_port_range", f"[{first}, {last}]: {what}"


def _proxy(network: Network) -> Iterator[Mistake]:
    intercept, upstream = network.tls_intercept, network.upstream_proxy
    for field, value in (("ca_validity", intercept.ca_validity), ("leaf_validity", intercept.leaf_validity)):
        if value is not None:
            yield from _checked(f"network.tls_intercept.{field}", parse_duration, str(value))
    for variable in intercept.ca_env_vars:
        if not is_destination(variable):
            yield "network.tls_intercept.ca_env_vars", f"{variable!r} may not name a file of certificates"
    if upstream is not None:
        address = upstream.address if isinstance(upstream, UpstreamProxyEntry) else upstream
        yield from _checked("network.upstream_proxy", parse_upstream_proxy, address)
    for text in network.upstream_bypass:
        yield from _checked("network.upstream_bypass", parse_bypass, text)


def _parse_rule(text: str) -> object:
    return parse_rule(text, "")


def _below(where: str, problems: Iterator[Mistake]) -> Iterator[Mistake]:
    for field, what in problems:
        yield where + (f".{field}" if field else ""), what


def _checked(path: str, check: Callable[[str], object], text: str) -> Iterator[Mistake]:
    try:
        check(text)
    except HostError as error:
        yield path, f"'{text}': {error}"
    except ValueError as error:
        yield path, str(error)
