"""Build the host filter of a run from its network request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nono.errors import ConfigError, invalid
from nono.policy.builtin.shipped import NetworkPolicy
from nono.policy.hosts.endpoint_scope import EndpointScope, split_url
from nono.policy.hosts.host_filter import HostFilter, HostRule, escaped, parse_rule
from nono.policy.hosts.hostname import HostError
from nono.policy.network_request import Entry, NetworkRequest
from nono.policy.suggestions import did_you_mean

# Where several belong: in an array of a file, and on the command line.
_APART = ("an entry", "give the option once")


def host_filter(asked: NetworkRequest, policy: NetworkPolicy, scopes: Iterable[EndpointScope]) -> HostFilter:
    """Return the rules of a run in proxy mode. `scopes` are the allow-list hosts with rules for their paths.

    Raises ConfigError for an unknown network profile, and what invalid() returns for an entry that is not a
    host.
    """
    allow: tuple[HostRule, ...] | None = None
    of_profile = tuple(_profile_rules(asked.network_profile, policy))
    if asked.network_profile is not None or asked.allow is not None or asked.is_strict:
        allow = (
            *of_profile,
            *_rules(asked.allow or (), policy, has_scopes=True),
            *(scope.host_rule for scope in scopes),
        )
    return HostFilter(
        allow=allow,
        deny=tuple(_rules(asked.deny, policy)),
        raw_tunnels=tuple(_rules(asked.raw_tunnels, policy)),
        deny_private=asked.deny_private is not None,
        deny_private_origin=asked.deny_private,
        network_profile=asked.network_profile[0] if asked.network_profile is not None else None,
        of_profile=len(of_profile),
    )


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


def _rules(
    entries: Iterable[Entry], policy: NetworkPolicy, *, has_scopes: bool = False
) -> Iterator[HostRule]:
    for text, origin in entries:
        if text in policy.groups:
            yield from _group_rules(text, origin, policy)
            continue
        if "," in text and "/" not in text:
            what = f"'{escaped(text)}' is not a host: it has a comma"
            raise invalid(origin, what, hint=f"{_APART[origin.startswith('--')]} for each host")
        if "." not in text and ":" not in text and (hint := did_you_mean(text, policy.groups)) is not None:
            what = f"'{escaped(text)}' is neither a group nor a whole host name"
            raise invalid(origin, what, hint=hint)
        url = split_url(text, origin)
        if url is not None and url.path:
            if has_scopes:
                continue  # it is covered by a scope
            raise invalid(
                origin,
                f"'{escaped(text)}': a path can be allowed, and not refused here",
                hint="endpoint_policy.deny of a credential service refuses paths",
            )
        try:
            yield parse_rule(text if url is None else url.authority, origin)
        except HostError as error:
            raise invalid(origin, f"'{escaped(text)}' is not a host: {error}") from error


def _group_rules(group: str, origin: str, policy: NetworkPolicy) -> Iterator[HostRule]:
    for pattern in policy.groups[group]:
        yield parse_rule(pattern, f"{origin} (group {group})")
