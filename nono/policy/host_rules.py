"""From what was asked of the network to the host filter of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nono.errors import ConfigError
from nono.policy.builtin import NetworkPolicy
from nono.policy.hostname import HostError
from nono.policy.nearest import did_you_mean
from nono.policy.network import HostFilter, HostRule, parse_rule, printable
from nono.policy.network_wish import Entry, NetworkWish


def host_filter(asked: NetworkWish, policy: NetworkPolicy) -> HostFilter:
    """The rules of a run in proxy mode. ConfigError: unknown network profile, or an entry that is no host."""
    allow: tuple[HostRule, ...] | None = None
    if asked.network_profile is not None or asked.allow is not None:
        allow = (*_profile_rules(asked.network_profile, policy), *_rules(asked.allow or (), policy))
    return HostFilter(
        allow=allow,
        deny=tuple(_rules(asked.deny, policy)),
        raw_tunnels=tuple(_rules(asked.raw_tunnels, policy)),
        deny_private=asked.deny_private is not None,
        deny_private_origin=asked.deny_private,
    )


def host_of(text: str) -> str:
    """The ``host[:port]`` of a URL, or text itself. ConfigError when the URL has a path."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        return text
    if scheme.lower() not in ("http", "https"):
        raise ConfigError(f"'{text}': only http and https URLs name a host.")
    authority, _, path = rest.partition("/")
    if path or "?" in authority or "#" in authority:
        raise ConfigError(
            f"'{text}': rules for a path are not available yet.",
            hint=f"--allow-domain {authority} allows all of it",
        )
    return authority


def _profile_rules(chosen: Entry | None, policy: NetworkPolicy) -> Iterator[HostRule]:
    if chosen is None:
        return
    name, origin = chosen
    if name not in policy.profiles:
        raise ConfigError(
            f"Network profile '{name}' not found in policy (it has {', '.join(policy.profiles)}).",
            hint=did_you_mean(name, policy.profiles),
        )
    for group in policy.profiles[name]:
        yield from _group_rules(group, f"{origin} {name}", policy)


def _rules(entries: Iterable[Entry], policy: NetworkPolicy) -> Iterator[HostRule]:
    for text, origin in entries:
        if text in policy.groups:
            yield from _group_rules(text, origin, policy)
            continue
        try:
            yield parse_rule(host_of(text), origin)
        except HostError as error:
            raise ConfigError(f"{origin}: '{printable(text)}' is not a host: {error}.") from error


def _group_rules(group: str, origin: str, policy: NetworkPolicy) -> Iterator[HostRule]:
    for pattern in policy.groups[group]:
        yield parse_rule(pattern, f"{origin} (group {group})")
