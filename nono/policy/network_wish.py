"""What flags and a profile's network section ask for together, and the network mode that makes."""

from typing import NamedTuple

from nono.errors import ConfigError
from nono.policy.capability import NetworkMode
from nono.policy.profile import Network

Entry = tuple[str, str]  # what was written, and where


class NetworkWish(NamedTuple):
    """What flags and profile together ask of the network, each entry with where it was written."""

    block: str | None  # where it was asked for; None: it was not
    network_profile: Entry | None
    allow: tuple[Entry, ...] | None  # None: no allow list was asked for
    deny: tuple[Entry, ...]
    raw_tunnels: tuple[Entry, ...]
    deny_private: str | None  # as block
    credentials: tuple[Entry, ...]


def wish(
    network: Network,
    label: str,
    *,
    block_net: bool,
    network_profile: str | None,
    allow_domain: tuple[str, ...],
    deny_domain: tuple[str, ...],
    credential: tuple[str, ...],
) -> NetworkWish:
    """The command line laid over the profile: lists add up, a network profile replaces the profile's.

    label names the profile in messages.
    """

    def both(field: str, flag: str, given: tuple[str, ...]) -> tuple[Entry, ...]:
        written = getattr(network, field) or ()
        return (*((text, f"{label}, network.{field}") for text in written), *((text, flag) for text in given))

    profile = (network.network_profile, f"{label}, network.network_profile")
    if network_profile is not None:
        profile = (network_profile, "--network-profile")
    allow = both("allow_domain", "--allow-domain", allow_domain)
    in_profile = f"{label}, network."
    return NetworkWish(
        block="--block-net" if block_net else f"{in_profile}block" if network.block else None,
        network_profile=(profile[0], profile[1]) if profile[0] is not None else None,
        allow=allow if allow or network.allow_domain is not None else None,
        deny=both("deny_domain", "--deny-domain", deny_domain),
        raw_tunnels=both("raw_tunnels", "", ()),
        deny_private=f"{in_profile}deny_private" if network.deny_private else None,
        credentials=both("credentials", "--credential", credential),
    )


def mode_of(asked: NetworkWish) -> NetworkMode:
    """The mode of the child's network. ConfigError when block meets what needs a network.

    Deny rules do not contradict block: nothing is reachable either way.
    """
    needs = (
        ("network-profile", (asked.network_profile,) if asked.network_profile else ()),
        ("allow-domain", asked.allow or ()),
        ("credential", asked.credentials),
    )
    if asked.block is not None:
        for flag, entries in needs:
            if entries:
                raise ConfigError(
                    f"--block-net and --{flag} are contradictory: the first lets nothing out, the second "
                    f"needs the proxy (asked for by {asked.block} and {entries[0][1]}).",
                    hint="leave one of them out",
                )
        return NetworkMode.BLOCKED
    has_rules = asked.allow is not None or asked.deny or asked.deny_private is not None
    return NetworkMode.PROXY if has_rules or any(entries for _, entries in needs) else NetworkMode.ALLOWED
