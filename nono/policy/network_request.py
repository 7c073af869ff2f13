"""Merge flags and a profile's network section, and decide the network mode."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nono.errors import ConfigError
from nono.named_tuple import NamedTuple
from nono.policy.capability import NetworkMode, SandboxPolicy
from nono.policy.ports import PortGrants, united
from nono.policy.schema.profile import Network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.policy.request import RunRequest
    from nono.policy.schema.profile import Profile
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
    mcp_servers: tuple[Entry, ...]
    upstream_proxy: str | None  # as block
    logins: str | None  # as block: where routes of captured logins are requested

    @property
    def is_strict(self) -> bool:
        """True if a profile blocks the network and names denials: a proxy that refuses everything."""
        return self.block not in (None, "--block-net") and bool(self.deny)


def merge_network(request: RunRequest, settings: Profile) -> NetworkRequest:
    """Lay the command line over the profile: lists add up, a network profile replaces the profile's.

    Raises ConfigError for --allow-net beside an option that it would drop.
    """
    _refuse_beside_allow_net(request)
    network, label = settings.network, settings.label

    def both(field: str, flag: str, given: tuple[str, ...]) -> tuple[Entry, ...]:
        written = getattr(network, field) or ()
        in_profile = ((text, f"{label}, network.{field}") for text in written if isinstance(text, str))
        return (*in_profile, *((text, flag) for text in given))

    profile = (network.network_profile, f"{label}, network.network_profile")
    if request.network_profile is not None:
        profile = (request.network_profile, "--network-profile")
    in_profile = f"{label}, network."
    origin = f"{in_profile}allow_domain"
    objects = [entry for entry in network.allow_domain or () if not isinstance(entry, str)]
    whole = [(entry.domain, origin) for entry in objects if not entry.endpoints]
    allow = (*both("allow_domain", "--allow-domain", request.allow_domain), *whole)
    upstream_origin = "--upstream-proxy" if request.upstream_proxy is not None else None
    if upstream_origin is None and network.upstream_proxy is not None:
        upstream_origin = f"{in_profile}upstream_proxy"
    return NetworkRequest(
        block="--block-net" if request.block_net else f"{in_profile}block" if network.block else None,
        network_profile=(profile[0], profile[1]) if profile[0] is not None else None,
        # Somebody who is asked about hosts wants an allow list, be it empty.
        allow=allow if allow or network.allow_domain is not None or request.ask else None,
        domains=tuple((entry, origin) for entry in objects if entry.endpoints),
        deny=both("deny_domain", "--deny-domain", request.deny_domain),
        raw_tunnels=both("raw_tunnels", "", ()),
        deny_private=f"{in_profile}deny_private" if network.deny_private else None,
        credentials=both("credentials", "--credential", request.credential),
        optional_credentials=both("optional_credentials", "", ()),
        mcp_servers=both("mcp_servers", "--mcp-server", request.mcp_server),
        upstream_proxy=upstream_origin,
        logins=f"{label}, credential_routes" if settings.credential_routes else None,
    )


def mode_of(asked: NetworkRequest, request: RunRequest) -> NetworkMode:
    """Return the mode of the command's network. Raises ContradictionError if block contradicts another."""
    mode = NetworkMode.ALLOWED if request.allow_net else _mode_of_rules(asked)
    needs_proxy = request.standalone_proxy or request.learns
    return NetworkMode.PROXY if needs_proxy and mode is NetworkMode.ALLOWED else mode


def _mode_of_rules(asked: NetworkRequest) -> NetworkMode:
    """Return the mode that the rules come to. Raises like mode_of().

    Deny rules do not contradict block; if a profile has both, the proxy runs and answers for itself.
    The flag --block-net contradicts flags only: it beats what a profile asks for.
    """
    profile = [asked.network_profile] if asked.network_profile else None
    needs = (
        ("--network-profile", _origins(profile)),
        ("--allow-domain", [*_origins(asked.allow), *_origins(asked.domains)]),
        ("--credential", [*_origins(asked.credentials), *_origins(asked.optional_credentials)]),
        ("--mcp-server", _origins(asked.mcp_servers)),
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


def refuse_idle_options(asked: NetworkRequest, request: RunRequest, mode: NetworkMode) -> None:
    """Raise ConfigError for a proxy option that has no effect because the run lacks what it configures."""
    if request.allow_endpoint and not (asked.credentials or asked.optional_credentials):
        raise ConfigError(
            "--allow-endpoint needs a credential service, and none is asked for.",
            hint="--credential SERVICE",
        )
    if request.max_cost and not (asked.credentials or asked.optional_credentials):
        raise ConfigError(
            "--max-cost limits a credential service, and none is asked for.", hint="--credential SERVICE"
        )
    if request.upstream_bypass and asked.upstream_proxy is None:
        raise ConfigError(
            "--upstream-bypass needs an upstream proxy, and there is none.", hint="--upstream-proxy HOST:PORT"
        )
    if mode is NetworkMode.PROXY:
        return
    given = (
        ("--proxy-ca-validity", request.proxy_ca_validity is not None),
        ("--ask", request.ask),
        ("--allow-http2", request.allow_http2),
        ("--record-flows", request.record_flows is not None),
        ("--sandbox-policy netns", request.sandbox_policy is SandboxPolicy.NETNS),
    )
    for flag, is_given in given:
        if is_given:
            raise ConfigError(
                f"{flag} is for a run with a proxy, and nothing asks for one.",
                hint="--network-profile, --allow-domain, --deny-domain or --credential does",
            )


def idle_settings(request: RunRequest, settings: Profile) -> Iterator[str]:
    """Yield a warning for each setting of a profile that a run without a proxy has no use for."""
    if request.allow_net or request.block_net:
        return  # the person has dropped what the profile says of the network
    for field in ("upstream_bypass", "allow_http2"):
        if getattr(settings.network, field):
            yield f"{settings.label}, network.{field} does nothing: nothing asks for a proxy."


def merge_ports(request: RunRequest, network: Network) -> PortGrants:
    """Unite the ports of profile and flags.

    --allow-net drops the profile's, like all its network settings.
    """
    settings = Network() if request.allow_net else network
    return PortGrants(
        listen=united((*settings.listen_port, *request.listen_port), settings.listen_port_range),
        open=united((*settings.open_port, *request.open_port), settings.open_port_range),
        connect=united((*settings.connect_port, *request.allow_connect_port)),
    )


def _refuse_beside_allow_net(request: RunRequest) -> None:
    if request.allow_net and (
        request.block_net
        or request.network_profile is not None
        or request.allow_domain
        or request.deny_domain
        or request.credential
        or request.allow_endpoint
        or request.max_cost
        or request.mcp_server
        or request.upstream_proxy is not None
        or request.upstream_bypass
        or request.allow_connect_port
    ):
        raise ConfigError("--allow-net and the other network options are contradictory: it drops them all.")


def _origins(entries: Sequence[tuple[object, str]] | None) -> list[str]:
    return [origin for _, origin in entries or ()]
