"""Merge flags and a profile's network section, and decide the network mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nono.errors import ConfigError
from nono.named_tuple import NamedTuple
from nono.policy.capability import NetworkMode
from nono.policy.schema.profile import Network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.policy.schema.routes import DomainEntry

Entry = tuple[str, str]  # the text and where it was written


class ContradictionError(ConfigError):
    """A blocked network beside what needs the proxy."""

    def __init__(self, message: str, *, hint: str | None, origins: tuple[str, str]) -> None:
        """origins: where each of the two was written, as in the message."""
        super().__init__(message, hint=hint)
        self.origins = origins

    @property
    def fields(self) -> list[str]:
        """The fields of a profile among the two, as in "network.block"."""
        return [origin.rpartition(", ")[2] for origin in self.origins if not origin.startswith("--")]

    def named(self, labels: Mapping[str, str]) -> ContradictionError:
        """Return the error with the label of the profile that has each field."""
        message = self.message
        for origin in self.origins:
            field = origin.rpartition(", ")[2]
            if field in labels:
                message = message.replace(origin, f"{labels[field]}, {field}")
        return ContradictionError(message, hint=self.hint, origins=self.origins)


class NetworkRequest(NamedTuple):
    """The network settings of flags and profile together, each entry with its origin."""

    block: str | None  # where it was requested; None: it was not
    network_profile: Entry | None
    allow: tuple[Entry, ...] | None  # None: no allow list was requested
    domains: tuple[tuple[DomainEntry, str], ...]  # entries of allow_domain with endpoints
    deny: tuple[Entry, ...]
    raw_tunnels: tuple[Entry, ...]
    deny_private: str | None  # as block
    credentials: tuple[Entry, ...]
    optional_credentials: tuple[Entry, ...]
    upstream_proxy: str | None  # as block
    logins: str | None  # as block: where routes of captured logins are requested

    @property
    def is_strict(self) -> bool:
        """True if a profile blocks the network and names denials: a proxy that refuses everything."""
        return self.block not in (None, "--block-net") and bool(self.deny)


def merge_network(
    network: Network,
    label: str,
    *,
    block_net: bool,
    network_profile: str | None,
    allow_domain: tuple[str, ...],
    deny_domain: tuple[str, ...],
    credential: tuple[str, ...],
    upstream_proxy: str | None = None,
    has_logins: bool,
    asks: bool = False,
) -> NetworkRequest:
    """Lay the command line over the profile: lists add up, a network profile replaces the profile's.

    `label` names the profile in messages.
    asks: Somebody is asked about hosts, so there is an allow list.
    """

    def both(field: str, flag: str, given: tuple[str, ...]) -> tuple[Entry, ...]:
        written = getattr(network, field) or ()
        in_profile = ((text, f"{label}, network.{field}") for text in written if isinstance(text, str))
        return (*in_profile, *((text, flag) for text in given))

    profile = (network.network_profile, f"{label}, network.network_profile")
    if network_profile is not None:
        profile = (network_profile, "--network-profile")
    in_profile = f"{label}, network."
    origin = f"{in_profile}allow_domain"
    objects = [entry for entry in network.allow_domain or () if not isinstance(entry, str)]
    whole = [(entry.domain, origin) for entry in objects if not entry.endpoints]
    allow = (*both("allow_domain", "--allow-domain", allow_domain), *whole)
    upstream_origin = "--upstream-proxy" if upstream_proxy is not None else None
    if upstream_origin is None and network.upstream_proxy is not None:
        upstream_origin = f"{in_profile}upstream_proxy"
    return NetworkRequest(
        block="--block-net" if block_net else f"{in_profile}block" if network.block else None,
        network_profile=(profile[0], profile[1]) if profile[0] is not None else None,
        allow=allow if allow or network.allow_domain is not None or asks else None,
        domains=tuple((entry, origin) for entry in objects if entry.endpoints),
        deny=both("deny_domain", "--deny-domain", deny_domain),
        raw_tunnels=both("raw_tunnels", "", ()),
        deny_private=f"{in_profile}deny_private" if network.deny_private else None,
        credentials=both("credentials", "--credential", credential),
        optional_credentials=both("optional_credentials", "", ()),
        upstream_proxy=upstream_origin,
        logins=f"{label}, credential_routes" if has_logins else None,
    )


def mode_of(asked: NetworkRequest) -> NetworkMode:
    """Return the mode of the child's network. Raises ContradictionError if block contradicts another setting.

    Deny rules do not contradict block; if a profile has both, the proxy runs and answers for itself.
    The flag --block-net contradicts flags only: it beats what a profile asks for.
    """
    profile = [asked.network_profile] if asked.network_profile else None
    needs = (
        ("--network-profile", _origins(profile)),
        ("--allow-domain", [*_origins(asked.allow), *_origins(asked.domains)]),
        ("--credential", [*_origins(asked.credentials), *_origins(asked.optional_credentials)]),
        ("--upstream-proxy", [asked.upstream_proxy] if asked.upstream_proxy else []),
        ("credential_routes", [asked.logins] if asked.logins else []),
    )
    if asked.block is not None:
        by_flag = asked.block == "--block-net"
        for flag, origins in needs:
            origin = next((each for each in origins if each.startswith("--") or not by_flag), None)
            if origin is not None:
                by_profile = (
                    "" if by_flag and origin == flag else f" (asked for by {asked.block} and {origin})"
                )
                raise ContradictionError(
                    f"--block-net and {flag} are contradictory: the first lets nothing out, the second "
                    f"needs the proxy{by_profile}.",
                    hint="leave one of them out",
                    origins=(asked.block, origin),
                )
        return NetworkMode.PROXY if asked.is_strict else NetworkMode.BLOCKED
    has_rules = asked.allow is not None or asked.deny or asked.deny_private is not None
    return NetworkMode.PROXY if has_rules or any(origins for _, origins in needs) else NetworkMode.ALLOWED


def _origins(entries: Sequence[tuple[object, str]] | None) -> list[str]:
    return [origin for _, origin in entries or ()]
