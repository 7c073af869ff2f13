"""Turn a prepared run into the lines that a person reads before it starts."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nono import __version__
from nono.policy.capability import Access, CapabilitySet, Grant, Limits, Mask, NetworkMode
from nono.policy.environment.inheritance import Withheld
from nono.policy.resolve import Resolved
from nono.policy.socket_grant import SocketGrant, SocketScope
from nono.sandbox.plan.enforcement import (
    OTHER_SOCKETS_GAP,
    UNIX_SOCKET_GAP,
    Enforcement,
    NotifyProgram,
    Rung,
)
from nono.sandbox.plan.facts import HostFacts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.policy.hosts.host_filter import HostFilter
    from nono.policy.services.credential_service import CredentialService

BADGES = {Access.READ: "r", Access.WRITE: "w", Access.READWRITE: "r+w"}
NETWORK = {
    NetworkMode.ALLOWED: "outbound allowed",
    NetworkMode.BLOCKED: "outbound blocked",
    NetworkMode.PROXY: "proxy",
}
# The label of each list of PortGrants, in the same order.
PORTS = ("listens on", "connects to and listens on localhost at", "connects to any host on")
SOCKETS = {
    SocketScope.FILE: "socket",
    SocketScope.DIR_CHILDREN: "sockets in it",
    SocketScope.DIR_SUBTREE: "sockets below it",
}
RUNGS = {
    Rung.NOTIFY: "every connection is made by the supervisor, address and port checked",
    Rung.NETNS: "the command has a network of its own, in which only the proxy listens",
    Rung.LANDLOCK: "Landlock checks the port of a connection, not its address",
    Rung.NONE: "NOT enforced: the command may connect anywhere",
}
MASKED = "masked by a mount that is empty and cannot be written or removed"
OWN = "a file of the run's own, which holds placeholders for the tokens of a login made inside"
SHARED = "a file that runs share in place of yours"
SHOWN = "placeholders for the tokens of its login, and cannot be written or removed"
SERVED = {
    NotifyProgram.PORTS: "every connection is made by it, address and port checked",
    NotifyProgram.NOTIFY: "every connection is made by it, address, port and Unix sockets checked",
    NotifyProgram.UNIX_PATHS: "Unix sockets are connected and bound by it",
}
_GAPS_IN_SHORT = {
    UNIX_SOCKET_GAP: "Unix sockets, D-Bus and Docker among them",
    OTHER_SOCKETS_GAP: "Unix sockets of other programs",
}
RULE = "  " + "-" * 50
NAMED_MAX = 3  # hosts and patterns; more are counted


def banner() -> list[str]:
    return ["", f"  nono v{__version__}"]


def workdir_offer(resolved: Resolved) -> list[str]:
    """Name the access that --allow-cwd would have added, if any."""
    if resolved.workdir_offer is None:
        return []
    return [
        f"  The working directory is not shared; --allow-cwd grants {resolved.workdir_offer.value} "
        f"access to {resolved.path_context.workdir}"
    ]


def added_profiles(resolved: Resolved) -> list[str]:
    """Name the profiles that the person once agreed to add to runs in this directory."""
    if not resolved.added_profiles:
        return []
    return [f"  with {', '.join(resolved.added_profiles)}, as you agreed for this directory"]


def summary(
    capabilities: CapabilitySet,
    services: Sequence[CredentialService],
    skipped: Sequence[str],
    *,
    verbose: bool,
) -> list[str]:
    """List the grants of the command: those that a person gave, or all of them if verbose."""
    shown = [grant for grant in capabilities.grants if verbose or grant.is_users]
    hidden = len(capabilities.grants) - len(shown)
    lines = ["  Capabilities:", RULE, *_limits(capabilities.limits)]
    lines += [_grant(grant, verbose) for grant in shown]
    if hidden:
        lines.append(f"        + {hidden} system/group paths (-v to show)")
    lines += [_mask(mask, verbose) for mask in capabilities.masking.masks]
    lines += [_socket(socket, verbose) for socket in capabilities.sockets]
    lines.append(f"    net  {_network(capabilities)}")
    lines += [
        f"    key  {service.name} at {service.upstream}{' (optional)' if service.is_optional else ''}"
        for service in services
    ]
    lines.append(RULE)
    if skipped:
        lines.append("  warning: some requested sandbox grants were skipped because the path does not exist:")
        lines += [f"    {path}" for path in skipped]
    return lines


def lifted(resolved: Resolved) -> list[str]:
    """Name the paths whose protection a person or a profile has lifted."""
    return [f"  protection lifted: {path}" for path in resolved.deny_rules.bypassed]


def hooks(resolved: Resolved) -> list[str]:
    """Name the programs that run outside the sandbox around the command."""
    found = resolved.session_hooks
    named = zip(found._fields, found, strict=True)
    return [f"    {name:<6}  {hook.script}, outside the sandbox" for name, hook in named if hook is not None]


def routes(resolved: Resolved) -> list[str]:
    """List the network access: hosts, hosts by path, logins, and the upstream proxy."""
    lines = _hosts(resolved.host_filter, {str(scope.host_rule) for scope in resolved.scopes})
    lines += [f"    path {scope} {rule}" for scope in resolved.scopes for rule in scope.endpoints.allow]
    lines += [f"    mcp  {server.name}, in a sandbox of its own" for server in resolved.mcp_servers]
    lines += [f"    login {route.name} at {route.upstream}" for route in resolved.oauth_routes]
    if resolved.proxy is not None and resolved.proxy.upstream_proxy is not None:
        behind = resolved.proxy.upstream_proxy
        host = f"[{behind.host}]" if ":" in behind.host else behind.host
        lines.append(f"    via  {host}:{behind.port}")
    return lines


def _hosts(hosts: HostFilter | None, by_path: Collection[str]) -> list[str]:
    """Count the hosts that may be reached, and name the patterns, each of which is any number of hosts.

    What is denied again, or in every run, is left out.

    by_path: Hosts of which some paths are allowed, which the lines below name.
    """
    if hosts is None or hosts.allow is None:
        return []
    from nono.policy.hosts.hostname import MCP_DOMAIN  # not imported by a run without a proxy

    allowed = [rule for rule in hosts.allow if not hosts.is_denied(rule)]
    if any(rule.pattern == "*" and rule.port is None for rule in allowed):
        return ["    to   any host"]
    of_profile = {str(rule) for rule in hosts.allow[: hosts.of_profile]}
    others = {
        str(rule): rule.is_exact
        for rule in allowed
        if str(rule) not in of_profile
        and not rule.pattern.endswith(MCP_DOMAIN)
        and hosts.built_in_denial(rule) is None
    }
    exact, patterns = ([name for name in sorted(others) if others[name] is kind] for kind in (True, False))
    parts = []
    if hosts.network_profile is not None:
        # The command prints no more than these, so the others are named.
        left = len(of_profile.intersection(map(str, allowed)))
        share = "" if left == len(of_profile) else f"{left} of "
        counted = f"{share}{_counted(len(of_profile), 'host')}"
        parts.append(f"{counted} (nono profile hosts {hosts.network_profile})")
        parts += _few([host for host in exact if host not in by_path], "more host")
    elif exact or not patterns:
        parts.append(_counted(len(exact), "host"))
    if patterns:
        parts.append(f"any host of {', '.join(_few(patterns, 'pattern'))}")
    return [f"    to   {', '.join(parts)}"]


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _few(names: Sequence[str], what: str) -> Sequence[str]:
    """Return the names, or their count where they are many."""
    return names if len(names) <= NAMED_MAX else [_counted(len(names), what)]


def not_inherited(variables: Sequence[Withheld], *, verbose: bool, has_proxy: bool = True) -> list[str]:
    """Count the secrets that the command does not inherit; if verbose, name every variable with the reason.

    has_proxy: This subcommand of nono can use a credential.
    """
    secrets = [each for each in variables if each.is_secret]
    lines = []
    if secrets:
        what = "secret" if len(secrets) == 1 else "secrets"
        hidden = "" if verbose else " (-v to show)"
        lines.append(f"    env  {len(secrets)} {what} of this environment withheld{hidden}")
        services = dict.fromkeys(each.fix for each in secrets if each.rule == "service_key" and each.fix)
        if services and has_proxy:
            named = " or ".join(services)
            lines.append(f"         with {named} the command uses the key and never sees it")
    return [*lines, *_variables_by_reason(variables)] if verbose else lines


def _variables_by_reason(variables: Sequence[Withheld]) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for each in variables:
        title = f"{'withheld' if each.is_secret else 'not inherited'} ({each.reason})"
        by_reason.setdefault(title, []).append(each.name if each.name.isprintable() else ascii(each.name))
    lines = [f"  {title}: {', '.join(names)}" for title, names in by_reason.items()]
    if any(each.is_secret for each in variables):
        lines.append("  --env NAME passes one of them on; nono why --env NAME says more")
    return lines


def approval(resolved: Resolved, chosen: Enforcement) -> list[str]:
    """List what needs approval, and who is asked for it."""
    if resolved.approval is None:
        return []
    policies = [each.endpoints for each in resolved.services]
    policies += [each.endpoints for each in resolved.scopes]
    lines = [f"    ask  {rule}, {resolved.approval}" for policy in policies for rule in policy.approve]
    at_limit = [each for each in resolved.services if each.limits.asks]
    lines += [f"    ask  beyond {_most_of(each)}, {resolved.approval}" for each in at_limit]
    if resolved.proxy is not None and resolved.proxy.asks:
        lines.insert(0, f"    ask  hosts that nothing allows, {resolved.approval}, or nono approvals")
    if chosen.elevation:
        lines.insert(0, f"    ask  files beyond the grants, {resolved.approval}")
    return lines


def _most_of(service: CredentialService) -> str:
    cost_usd = service.limits.cost_usd
    if cost_usd is None or service.limits.requests is not None or service.limits.count_tokens:
        return f"the limits of {service.name}"
    from nono.amounts import money

    return f"{money(cost_usd)} of {service.name}"


def _limits(limits: Limits) -> list[str]:
    if not limits.is_set:
        return []
    # Imported here: few runs have limits.
    from nono.policy.limits import shown_size

    parts = []
    if limits.memory_bytes is not None:
        parts.append(f"memory={shown_size(limits.memory_bytes)}")
    if limits.max_processes is not None:
        parts.append(f"processes={limits.max_processes} (threads count as well)")
    return [f"    resources {', '.join(parts)}", "              for the command and all it starts, together"]


def _grant(grant: Grant, verbose: bool) -> str:
    kind = "dir" if grant.is_dir else "file"
    source = f" [{grant.source}]" if verbose else ""
    return f"    {BADGES[grant.access]:<4} {grant.path} ({kind}){source}"


def _mask(mask: Mask, verbose: bool) -> str:
    origin = f" [{mask.denial.origin}]" if verbose else ""
    if mask.shown is not None:
        return f"    show {mask.path} ({mask.kind}), with placeholders for the tokens of the login{origin}"
    if mask.is_shared:
        return f"    own  {mask.path}, another file than yours, in {mask.own}{origin}"
    if mask.own is not None:
        return f"    own  {mask.path}, for a login made inside, whose tokens stay outside{origin}"
    return f"    deny {mask.path} ({mask.kind}), {MASKED}{origin}"


def _socket(grant: SocketGrant, verbose: bool) -> str:
    kind = SOCKETS[grant.scope]
    source = f" [{grant.source}]" if verbose else ""
    return f"    {'sock+' if grant.binds else 'sock':<5} {grant.path} ({kind}){source}"


def _network(capabilities: CapabilitySet) -> str:
    if not capabilities.restricts_network:
        return NETWORK[capabilities.network]
    is_open = capabilities.network is NetworkMode.ALLOWED
    parts = ["outbound by port"] if is_open else [NETWORK[capabilities.network]]
    if capabilities.is_network_left_open:
        parts[0] += " (not enforced: sandbox policy external)"
    for ports, what in zip(capabilities.ports, PORTS, strict=True):
        if ports:
            parts.append(f"{what} {', '.join(map(str, ports))}")
    if is_open and capabilities.ports.connect:
        parts.append("no DNS (UDP is closed)")
    return ", ".join(parts)


def _in_short(gaps: list[str]) -> str:
    """Name the gaps that matter most, and count the others."""
    named = [_GAPS_IN_SHORT[gap] for gap in gaps if gap in _GAPS_IN_SHORT]
    others = len(gaps) - len(named)
    if others:
        named.append(f"{others} {'other ' if named else ''}{'thing' if others == 1 else 'things'}")
    return " and ".join(named)


def enforcement(chosen: Enforcement, facts: HostFacts, *, verbose: bool) -> list[str]:
    """Describe the enforcement: the rung and the number of gaps; if verbose, each gap."""
    lines = []
    if chosen.rung is not None and (verbose or chosen.rung is not Rung.NOTIFY):
        lines.append(f"  enforced by {chosen.rung.value}: {RUNGS[chosen.rung]}")
    if chosen.sockets is not None:
        lines.append(f"  enforced by the supervisor: {SERVED[chosen.sockets]}")
    if chosen.namespaces and verbose:
        lines.append("  processes, temporary files, terminals and IPC of its own")
    if chosen.names_threads:
        lines.append("  NVIDIA: the driver names its threads through the supervisor; for that every")
        lines.append("          open of a file is looked at, and takes longer")
    if chosen.shares_by:
        in_short = f"shared with this host: processes and /tmp ({chosen.shares_by})"
        lines.append(f"  {f'not enforced: {chosen.shares}' if verbose else in_short}")
    printed = (*chosen.warnings, *chosen.insisted, chosen.shares)  # in any case
    gaps = [gap for gap in chosen.gaps if gap not in printed]
    if verbose:
        lines.append(f"  kernel {facts.kernel_release}, Landlock V{facts.landlock_abi}")
        lines += [f"  not enforced: {gap}" for gap in gaps]
    elif gaps:
        lines.append(f"  not enforced: {_in_short(gaps)} (-v to show)")
    return lines
