"""Choose the rung of the ladder for a run from its capabilities and the host's facts."""

from nono.kernel import landlock_rights
from nono.kernel.uapi import landlock as uapi_landlock
from nono.policy.capability import CapabilitySet, NetworkMode, SandboxPolicy, Scopes, Wsl2ProxyPolicy
from nono.policy.ports import KeptPort, PortGrants, PortRange
from nono.sandbox.plan.enforcement import UNIX_SOCKET_GAP, Enforcement, NotifyProgram, Refusal, Rung
from nono.sandbox.plan.facts import HostFacts, Listener

# A network namespace and a filter hold what the command makes, not a socket that is passed in.
HANDED_SOCKET_GAP = (
    "a TCP socket that another run of yours, or a service, passes to the command over a Unix socket connects "
    "to any host: nothing here checks it."
)
# listen(2) without bind(2) takes a port by itself. A filter cannot tell such a TCP socket from a Unix socket.
UNBOUND_GAP = (
    "a socket that was not bound listens all the same, on a port that the kernel chooses: whoever reaches "
    "this host reaches the command there."
)
PROCESS_INFO_GAP = (
    "process_info_mode has no effect on Linux: what the command can read about other processes is what is "
    "granted of /proc."
)
ABSTRACT_SOCKETS_NOTE = (
    'ipc_mode "full" does not reach abstract Unix sockets outside: they belong to the network that the '
    "command has left"
)


def choose_enforcement(capabilities: CapabilitySet, facts: HostFacts) -> Enforcement | Refusal:
    """Return the rung for this run, or a Refusal.

    Only what a probe could install counts; WSL2 changes the wording of messages only.
    """
    if facts.landlock_abi == 0:
        return Refusal(
            "Landlock not available. Requires Linux kernel 5.13+ with Landlock enabled.",
            hint="add 'landlock' to the lsm= kernel parameter, or see `nono setup --check-only`",
        )
    if capabilities.scopes.signal_or_nothing and not landlock_rights.SCOPES[facts.landlock_abi]:
        return Refusal(
            'signal_mode "allow_same_sandbox" requires Landlock ABI V6+ (LANDLOCK_SCOPE_SIGNAL, kernel '
            f"6.12+), and this kernel has V{facts.landlock_abi}.",
            hint='signal_mode "isolated" blocks signals where the kernel can, and says where it cannot',
        )
    if capabilities.learns and facts.listener is not Listener.AVAILABLE:
        # First: the other refusals name settings, none of which would help here.
        from nono.sandbox.plan.served_opens import refuse_unseen_learning

        return refuse_unseen_learning(facts)
    chosen = _network_enforcement(capabilities, facts)
    if isinstance(chosen, Refusal):
        return chosen
    if capabilities.wants_opens_served:
        # Imported here: most runs leave opens to the kernel.
        from nono.sandbox.plan.served_opens import with_served_opens

        served = with_served_opens(chosen, capabilities, facts)
        if isinstance(served, Refusal):
            return served
        chosen = served
    if capabilities.kept_ports:
        kept = _with_kept_ports(chosen, capabilities, facts.chosen_ports)
        if isinstance(kept, Refusal):
            return kept
        chosen = kept
    if not capabilities.masking.masks and not capabilities.masking.absent:
        return chosen
    # Imported here: most runs deny nothing below what they grant.
    from nono.sandbox.plan.mask_verdict import with_masks

    return with_masks(chosen, capabilities.masking, facts.masks)


def _network_enforcement(capabilities: CapabilitySet, facts: HostFacts) -> Enforcement | Refusal:
    kernel_gaps = (*_file_gaps(facts), *_scope_gaps(capabilities.scopes, facts))
    policy = capabilities.sandbox_policy
    if capabilities.af_unix_mediation:
        refused = _refuse_mediation(policy, facts)
        if refused is not None:
            return refused
    if capabilities.is_network_left_open:
        return _left_to_others(capabilities, kernel_gaps)
    if policy is SandboxPolicy.LANDLOCK and capabilities.restricts_network:
        return _by_landlock_alone(capabilities, facts, kernel_gaps)
    if capabilities.network is not NetworkMode.PROXY:
        return _without_proxy(capabilities, facts, kernel_gaps)
    if policy is SandboxPolicy.NETNS:
        return _in_private_network(capabilities, facts)
    if facts.listener is Listener.AVAILABLE:
        return Enforcement(rung=Rung.NOTIFY, gaps=kernel_gaps)
    if capabilities.wsl2_proxy_policy is Wsl2ProxyPolicy.NETNS:
        return _in_private_network(capabilities, facts)
    if landlock_rights.HANDLED_NET[facts.landlock_abi]:
        return _ports_only(capabilities.ports, facts.listener_detail, kernel_gaps)
    return _without_enforcement(capabilities.wsl2_proxy_policy, facts, kernel_gaps)


def _with_kept_ports(
    chosen: Enforcement, capabilities: CapabilitySet, choices: PortRange
) -> Enforcement | Refusal:
    """Refuse a run whose command could listen on any port; warn where it could have a kept one chosen.

    choices: The ports that the kernel chooses from for a socket that was not bound. The command may narrow
    them to one (IP_LOCAL_PORT_RANGE), or go on until it has that.
    """
    kept = capabilities.kept_ports
    warnings: list[str] = []
    if chosen.is_open or not capabilities.restricts_network:
        is_asked = capabilities.network is NetworkMode.PROXY or chosen.elevation
        held = [each for each in kept if each.must_be_held]
        if held and is_asked:
            return Refusal(
                f"nono {held[0].use} on port {held[0].port} of this machine, and nothing here keeps the "
                "command from listening there.",
                hint="give an https:// address, or have nono restrict the network",
            )
        gaps = [_kept_port_gap(each, "") for each in kept if not each.must_be_held]
    elif UNBOUND_GAP in chosen.gaps:
        how = f", on a socket that was not bound: the kernel chooses from {choices} (ip_local_port_range)"
        taken = [each for each in kept if each.port in choices]
        gaps = [_kept_port_gap(each, how) for each in taken]
        warnings = [gap for gap, each in zip(gaps, taken, strict=True) if each.must_be_held]
    else:
        return chosen
    return chosen._replace(gaps=(*chosen.gaps, *gaps), warnings=(*chosen.warnings, *warnings))


def _kept_port_gap(kept: KeptPort, how: str) -> str:
    return f"nono {kept.use} on port {kept.port} of this machine: the command can listen there{how}."


def _ports_only(ports: PortGrants, because: str, kernel_gaps: tuple[str, ...]) -> Enforcement:
    named = f"the proxy's port or on {_listed(ports.open)}" if ports.open else "the proxy's port"
    warning = (
        "only the port of a connection is checked here, not its address: the sandboxed process can "
        f"reach any host that listens on {named} ({because})."
    )
    gaps = (*kernel_gaps, UNIX_SOCKET_GAP, UNBOUND_GAP, warning)
    return Enforcement(rung=Rung.LANDLOCK, warnings=(warning,), gaps=gaps)


def _by_landlock_alone(
    capabilities: CapabilitySet, facts: HostFacts, kernel_gaps: tuple[str, ...]
) -> Enforcement | Refusal:
    """Enforce with Landlock because the policy asks for it, with no weaker fallback.

    The static filter stays, because Landlock's TCP rules do not cover UDP.
    """
    if not landlock_rights.HANDLED_NET[facts.landlock_abi]:
        return Refusal(
            f"sandbox policy landlock: Landlock ABI V{facts.landlock_abi} lacks network support "
            "(requires V4+, kernel 6.7+).",
            hint="--sandbox-policy auto uses another mechanism if there is one",
        )
    if capabilities.network is NetworkMode.PROXY:
        return _ports_only(capabilities.ports, "sandbox policy landlock", kernel_gaps)
    return _without_proxy(capabilities, facts, kernel_gaps)


def _left_to_others(capabilities: CapabilitySet, kernel_gaps: tuple[str, ...]) -> Enforcement:
    is_proxied = capabilities.network is NetworkMode.PROXY
    escape = (
        "bypass the proxy and open arbitrary outbound connections" if is_proxied else "open any connection"
    )
    asked = {NetworkMode.PROXY: "the proxy", NetworkMode.BLOCKED: "--block-net"}.get(
        capabilities.network, "--allow-connect-port"
    )
    warning = (
        f"sandbox policy external: nono does NOT enforce {asked}. Unless something around it does, the "
        f"sandboxed process can {escape}."
    )
    gaps = (*kernel_gaps, UNIX_SOCKET_GAP, warning)
    return Enforcement(rung=Rung.NONE if is_proxied else None, warnings=(warning,), gaps=gaps, is_open=True)


def _refuse_mediation(policy: SandboxPolicy, facts: HostFacts) -> Refusal | None:
    if policy is not SandboxPolicy.AUTO:
        return Refusal(
            f'linux.af_unix_mediation "pathname" and sandbox policy {policy.value} are contradictory: in '
            "mediation the supervisor makes connections, and with this policy it makes none.",
            hint="leave one of them out",
        )
    if facts.listener is Listener.AVAILABLE:
        return None
    return Refusal(
        f'{facts.on_wsl2}linux.af_unix_mediation "pathname" needs a seccomp listener, which is not available '
        f"here ({facts.no_listener('there is no supervisor')}).",
        hint='set it to "off", or run on native Linux and not inside another sandbox',
    )


def _without_proxy(
    capabilities: CapabilitySet, facts: HostFacts, kernel_gaps: tuple[str, ...]
) -> Enforcement | Refusal:
    """Enforce a network that is open, blocked, or blocked except for some ports.

    Only the last has addresses to check.
    """
    gaps = (*kernel_gaps, UNIX_SOCKET_GAP)
    is_by_port = capabilities.restricts_network and any(capabilities.ports)
    if capabilities.af_unix_mediation:
        program = NotifyProgram.NOTIFY if is_by_port else NotifyProgram.UNIX_PATHS
        return Enforcement(rung=None, gaps=kernel_gaps, sockets=program)
    if not is_by_port:
        is_held = not capabilities.restricts_network or landlock_rights.HANDLED_NET[facts.landlock_abi]
        return Enforcement(rung=None, gaps=gaps if is_held else (*gaps, HANDED_SOCKET_GAP))
    if facts.listener is Listener.AVAILABLE and capabilities.sandbox_policy is SandboxPolicy.AUTO:
        return Enforcement(rung=None, gaps=gaps, sockets=NotifyProgram.PORTS)
    if not landlock_rights.HANDLED_NET[facts.landlock_abi]:
        proxied = ", and a run with the proxy by --sandbox-policy netns" if facts.network_namespace else ""
        return Refusal(
            "Network filtering by port was requested, and this kernel's Landlock "
            f"V{facts.landlock_abi} has no TCP rules (requires V4+, kernel 6.7+).",
            hint=f"without ports: --block-net alone is enforced by seccomp here{proxied}",
        )
    warnings: tuple[str, ...] = ()
    if capabilities.ports.open:
        warnings = (
            "only the port of a connection is checked here, not its address: the sandboxed process can reach "
            f"any host that listens on {_listed(capabilities.ports.open)}, and be reached there.",
        )
    return Enforcement(rung=None, warnings=warnings, gaps=(*gaps, UNBOUND_GAP, *warnings))


def _listed(ports: tuple[PortRange, ...]) -> str:
    return f"port {', '.join(map(str, ports))}"


def _in_private_network(capabilities: CapabilitySet, facts: HostFacts) -> Enforcement | Refusal:
    """Enforce with a network namespace, because a person asked for it; if that fails nothing replaces it."""
    if not facts.network_namespace:
        # Imported here: it is for this refusal.
        from nono.sandbox.plan.namespace_advice import advice

        cause, remedy = advice(facts.namespaces)
        where = "WSL2" if facts.is_wsl2 else "this kernel"
        failed = f" ({facts.namespaces.failed})" if facts.namespaces.failed else ""
        return Refusal(
            f"{where}: the private network namespace of netns is not available: {cause}{failed}.", hint=remedy
        )
    ports = capabilities.ports
    if ports.connect:
        return Refusal(
            f"a private network and {_listed(ports.connect)} contradict each other: with netns no other host "
            "is in the command's network.",
            hint="leave out --allow-connect-port, or netns; --open-port is relayed to this host",
        )
    if any(ours.first <= own.last and own.first <= ours.last for ours in ports.open for own in ports.listen):
        return Refusal(
            f"with netns {_listed(ports.open)} is a port of this host, so the command cannot serve it.",
            hint="--open-port for what the command connects to, --listen-port for what it serves",
        )
    # The network namespace isolates abstract sockets, whatever Landlock supports.
    scopes = capabilities.scopes._replace(abstract_unix_socket=False)
    gaps = (*_file_gaps(facts), *_scope_gaps(scopes, facts), UNIX_SOCKET_GAP, HANDED_SOCKET_GAP)
    # ipc_mode "full" requests abstract sockets, which stay unreachable in a network namespace.
    notes = [] if capabilities.scopes.abstract_unix_socket else [ABSTRACT_SOCKETS_NOTE]
    if ports.open:
        notes.append(
            f"{_listed(ports.open)} leads to loopback of this host; to serve it, the command needs "
            "--listen-port instead of --open-port"
        )
    return Enforcement(rung=Rung.NETNS, gaps=gaps, notes=tuple(notes))


def _without_enforcement(
    policy: Wsl2ProxyPolicy, facts: HostFacts, kernel_gaps: tuple[str, ...]
) -> Enforcement | Refusal:
    """Refuse or warn on rung NONE: no listener and no TCP rules.

    The messages use the words of the documentation on WSL2.
    """
    where = "WSL2" if facts.is_wsl2 else "this kernel"
    if policy is Wsl2ProxyPolicy.INSECURE_PROXY:
        mode = "WSL2 insecure proxy mode" if facts.is_wsl2 else "insecure proxy mode"
        warning = (
            f"{mode} — credential proxy active but network is NOT\nkernel-enforced. "
            "The sandboxed process can bypass the proxy and open arbitrary outbound connections."
        )
        gaps = (*kernel_gaps, UNIX_SOCKET_GAP, warning)
        return Enforcement(rung=Rung.NONE, warnings=(warning,), gaps=gaps, is_open=True)
    because = facts.no_listener("seccomp user notification is unavailable")
    message = (
        f"{where}: proxy-only network mode cannot be kernel-enforced.\n"
        f"  The listener that would check each connection is not available ({because}), and Landlock "
        f"V{facts.landlock_abi} has no TCP rules (V4+, kernel 6.7+).\n"
        "  Without either, the sandboxed process could bypass the proxy and open arbitrary outbound "
        "connections.\n"
    )
    if facts.network_namespace:
        message += (
            "  A private network namespace is available here: --sandbox-policy netns (of nono run) or "
            'wsl2_proxy_policy: "netns" would enforce it.\n'
        )
    message += (
        'To allow degraded execution, set wsl2_proxy_policy: "insecure_proxy" in your profile\'s '
        "security config."
    )
    return Refusal(message, hint="--block-net is kernel-enforced here, for a command that needs no network")


def _file_gaps(facts: HostFacts) -> tuple[str, ...]:
    if landlock_rights.HANDLED_FS[facts.landlock_abi] & uapi_landlock.LANDLOCK_ACCESS_FS_TRUNCATE:
        return ()
    what = "truncate(2) of files outside the grants, nono's own state among them, is"
    return (f"{what} not restricted: Landlock V{facts.landlock_abi} has no right for it (V3+).",)


def _scope_gaps(scopes: Scopes, facts: HostFacts) -> tuple[str, ...]:
    gaps = (PROCESS_INFO_GAP,) if scopes.has_process_info_mode else ()
    if landlock_rights.SCOPES[facts.landlock_abi]:
        return gaps
    wanted = [
        text
        for asked, text in (
            (scopes.signal, "signals to processes outside"),
            (scopes.abstract_unix_socket, "abstract Unix sockets"),
        )
        if asked
    ]
    if not wanted:
        return gaps
    unheld = " and ".join(wanted)
    return (f"{unheld} are not restricted: Landlock V{facts.landlock_abi} has no scopes (V6+).", *gaps)
