"""`nono profile hosts`: print the hosts of a network profile, or the names of the network profiles."""

from __future__ import annotations

from collections.abc import Mapping

from nono.amounts import several
from nono.cli.commands.profile.look import print_lines
from nono.cli.shapes.printed import printed, printed_list
from nono.cli.text.wrap_text import described
from nono.errors import ConfigError, NonoError
from nono.policy.builtin import shipped
from nono.policy.builtin.shipped import NetworkPolicy
from nono.policy.profile.store import load_profile
from nono.policy.suggestions import did_you_mean


def hosts(name: str | None, environ: Mapping[str, str], *, as_json: bool) -> int:
    """Print the hosts by group. `name`: a network profile, a profile that has one, or a group of hosts."""
    policy = shipped.network_policy()
    if name is None:
        counts = {each: _count(policy, each) for each in policy.profiles}
        if as_json:
            print(printed_list({"network_profile": each, "hosts": counts[each]} for each in counts))
        else:
            print_lines(described((each, several(count, "host")) for each, count in counts.items()))
        return 0
    chosen, groups = _groups(name, policy, environ)
    by_group = {group: list(policy.groups[group]) for group in groups}
    if as_json:
        print(printed({"network_profile": chosen, "groups": by_group}))
        return 0
    count = len({host for found in by_group.values() for host in found})
    print(f"{chosen or name}: {several(count, 'host')}")
    for group, found in by_group.items():
        print_lines(["", f"{group}:", *(f"  {host}" for host in found)])
    return 0


def _groups(
    name: str, policy: NetworkPolicy, environ: Mapping[str, str]
) -> tuple[str | None, tuple[str, ...]]:
    """Return the network profile and its groups. Raises NonoError if `name` names nothing that has hosts."""
    if name in policy.profiles:
        return name, policy.profiles[name]
    if name in policy.groups:
        return None, (name,)
    try:
        chosen = load_profile(name, environ).network.network_profile
    except NonoError as error:
        known = [*policy.profiles, *policy.groups, *shipped.profile_names()]
        hint = did_you_mean(name, known) or "nono profile hosts"
        raise ConfigError(f"No network profile, profile or group of hosts: '{name}'", hint=hint) from error
    if chosen is None:
        raise ConfigError(f"The profile '{name}' has no network profile.", hint="nono profile hosts")
    if chosen not in policy.profiles:
        raise ConfigError(f"Network profile '{chosen}' not found in policy", hint="nono profile hosts")
    return chosen, policy.profiles[chosen]


def _count(policy: NetworkPolicy, name: str) -> int:
    return len({host for group in policy.profiles[name] for host in policy.groups[group]})
