"""Which rung a run stands on, and what its plan then holds."""

import pytest

from nono.kernel import landlock_rights
from nono.policy.capability import (
    CapabilitySet,
    Masking,
    NetworkMode,
    SandboxPolicy,
    Scopes,
    Wsl2ProxyPolicy,
)
from nono.policy.ports import KeptPort, PortGrants, PortRange, united
from nono.sandbox.plan.enforcement import (
    UNIX_SOCKET_GAP,
    Enforcement,
    NotifyProgram,
    Refusal,
    Rung,
    StaticFilter,
    has_own_datagrams,
)
from nono.sandbox.plan.facts import HostFacts, Listener
from nono.sandbox.plan.ladder import (
    ABSTRACT_SOCKETS_NOTE,
    HANDED_SOCKET_GAP,
    PROCESS_INFO_GAP,
    UNBOUND_GAP,
    choose_enforcement,
)
from nono.sandbox.plan.plan import draw
from support.host_facts import NATIVE, PROXIED, WSL2


def enforcement(capabilities: CapabilitySet, facts: HostFacts) -> Enforcement:
    chosen = choose_enforcement(capabilities, facts)
    assert isinstance(chosen, Enforcement)
    return chosen


def refusal(capabilities: CapabilitySet, facts: HostFacts) -> Refusal:
    chosen = choose_enforcement(capabilities, facts)
    assert isinstance(chosen, Refusal)
    return chosen


@pytest.mark.parametrize("abi", range(1, 8))
def test_a_free_listener_enforces_whatever_the_abi(abi: int) -> None:
    chosen = enforcement(PROXIED, NATIVE._replace(landlock_abi=abi))
    assert chosen.rung is Rung.NOTIFY
    assert chosen.warnings == ()


@pytest.mark.parametrize("abi", range(4, 8))
@pytest.mark.parametrize("policy", [Wsl2ProxyPolicy.ERROR, Wsl2ProxyPolicy.INSECURE_PROXY])
def test_a_busy_listener_leaves_a_port_check_by_tcp_rules_with_a_warning(
    abi: int, policy: Wsl2ProxyPolicy
) -> None:
    chosen = enforcement(PROXIED._replace(wsl2_proxy_policy=policy), WSL2._replace(landlock_abi=abi))
    assert chosen.rung is Rung.LANDLOCK
    assert "only the port" in chosen.warnings[0]


@pytest.mark.parametrize("abi", range(1, 4))
def test_without_listener_and_tcp_rules_the_run_is_refused(abi: int) -> None:
    refused = refusal(PROXIED, WSL2._replace(landlock_abi=abi))
    assert refused.message.startswith("WSL2: proxy-only network mode cannot be kernel-enforced.")
    assert "EBUSY" in refused.message
    assert refused.message.endswith(
        "To allow degraded execution, set "
        'wsl2_proxy_policy: "insecure_proxy" in your profile\'s security config.'
    )


def test_a_refusal_names_wsl2_only_on_wsl2() -> None:
    refused = refusal(PROXIED, WSL2._replace(is_wsl2=False))
    assert refused.message.startswith("this kernel: proxy-only network mode cannot be kernel-enforced.")
    assert "WSL#9548" not in refused.message


def test_a_refusal_speaks_of_netns_only_where_it_was_probed_to_work() -> None:
    ways = '--sandbox-policy netns (of nono run) or wsl2_proxy_policy: "netns" would enforce it'
    assert ways in refusal(PROXIED, WSL2).message
    assert "netns" not in refusal(PROXIED, WSL2._replace(network_namespace=False)).message


IN_NETNS = PROXIED._replace(wsl2_proxy_policy=Wsl2ProxyPolicy.NETNS)
ONLY_NETNS = PROXIED._replace(sandbox_policy=SandboxPolicy.NETNS)


@pytest.mark.parametrize("abi", range(1, 8))
def test_a_private_network_is_taken_only_where_there_is_no_listener(abi: int) -> None:
    for busy in (WSL2, WSL2._replace(listener=Listener.UNAVAILABLE)):
        chosen = enforcement(IN_NETNS, busy._replace(landlock_abi=abi))
        assert (chosen.rung, chosen.warnings) == (Rung.NETNS, ())
    assert enforcement(IN_NETNS, NATIVE._replace(landlock_abi=abi)).rung is Rung.NOTIFY


@pytest.mark.parametrize("facts", [NATIVE, WSL2, WSL2._replace(landlock_abi=6)], ids=["native", "3", "6"])
def test_a_requested_private_network_is_taken_or_the_run_refused(facts: HostFacts) -> None:
    assert enforcement(ONLY_NETNS, facts).rung is Rung.NETNS
    refused = refusal(ONLY_NETNS, facts._replace(network_namespace=False))
    assert "the private network namespace of netns is not available" in refused.message


@pytest.mark.parametrize("abi", range(1, 8))
def test_nothing_weaker_replaces_a_requested_private_network(abi: int) -> None:
    refused = refusal(IN_NETNS, WSL2._replace(landlock_abi=abi, network_namespace=False))
    assert refused.message.startswith("WSL2: the private network namespace of netns is not available")


def test_a_private_network_leaves_only_sockets_handed_in_and_signals_open() -> None:
    gaps = enforcement(IN_NETNS, WSL2).gaps
    assert {UNIX_SOCKET_GAP, HANDED_SOCKET_GAP} <= set(gaps)
    assert any("signals to processes outside" in gap for gap in gaps)
    assert not any("abstract" in gap for gap in gaps)


@pytest.mark.parametrize(("abi", "is_said"), [(3, True), (4, False)])
def test_sockets_handed_in_are_held_by_the_tcp_rules_of_landlock_alone(abi: int, is_said: bool) -> None:
    blocked = ONLY_NETNS._replace(network=NetworkMode.BLOCKED, sandbox_policy=SandboxPolicy.AUTO)
    native = NATIVE._replace(landlock_abi=abi)
    assert (HANDED_SOCKET_GAP in enforcement(blocked, native).gaps) == is_said
    opened = blocked._replace(network=NetworkMode.ALLOWED)
    assert HANDED_SOCKET_GAP not in enforcement(opened, native).gaps


def test_a_note_says_that_open_ipc_excludes_outside_abstract_sockets() -> None:
    open_ipc = ONLY_NETNS._replace(scopes=Scopes(abstract_unix_socket=False))
    assert enforcement(open_ipc, NATIVE).notes == (ABSTRACT_SOCKETS_NOTE,)
    assert enforcement(ONLY_NETNS, NATIVE).notes == ()
    elevated = enforcement(open_ipc._replace(elevation=True), WSL2)
    assert elevated.notes[0] == ABSTRACT_SOCKETS_NOTE
    assert "capability elevation disabled" in elevated.notes[1]


LANDLOCK = PROXIED._replace(sandbox_policy=SandboxPolicy.LANDLOCK)
EXTERNAL = PROXIED._replace(sandbox_policy=SandboxPolicy.EXTERNAL)


@pytest.mark.parametrize("abi", range(4, 8))
def test_requested_landlock_checks_ports_despite_a_listener(abi: int) -> None:
    chosen = enforcement(LANDLOCK, NATIVE._replace(landlock_abi=abi))
    assert chosen.rung is Rung.LANDLOCK
    assert "only the port of a connection is checked" in chosen.warnings[0]
    assert "(sandbox policy landlock)" in chosen.warnings[0]
    assert {chosen.warnings[0], UNIX_SOCKET_GAP, UNBOUND_GAP} <= set(chosen.gaps)
    assert UNBOUND_GAP not in enforcement(PROXIED, NATIVE._replace(landlock_abi=abi)).gaps
    plan = draw(LANDLOCK, NATIVE._replace(landlock_abi=abi), chosen, proxy_port=4000)
    assert (plan.listener, plan.static_filter) == (None, StaticFilter.TCP_ONLY)
    assert plan.connect_ports == united([4000])


@pytest.mark.parametrize("abi", range(1, 4))
@pytest.mark.parametrize("network", [NetworkMode.PROXY, NetworkMode.BLOCKED])
@pytest.mark.parametrize("other", Wsl2ProxyPolicy)
def test_landlock_that_was_asked_for_is_refused_without_tcp_rules(
    abi: int, network: NetworkMode, other: Wsl2ProxyPolicy
) -> None:
    asked = LANDLOCK._replace(network=network, wsl2_proxy_policy=other)
    for facts in (NATIVE, WSL2):
        refused = refusal(asked, facts._replace(landlock_abi=abi))
        assert f"Landlock ABI V{abi} lacks network support (requires V4+" in refused.message
    unrestricted = asked._replace(network=NetworkMode.ALLOWED)
    assert enforcement(unrestricted, NATIVE._replace(landlock_abi=abi)).rung is None


def test_landlock_blocks_the_network_with_its_rules_and_the_filter() -> None:
    blocked = LANDLOCK._replace(network=NetworkMode.BLOCKED)
    plan = draw(blocked, NATIVE, enforcement(blocked, NATIVE))
    assert (plan.handled_net, plan.connect_ports) == (landlock_rights.HANDLED_NET[6], ())
    assert plan.static_filter is StaticFilter.BLOCK_ALL


@pytest.mark.parametrize("is_served", [True, False])
def test_masks_are_looked_at_again_where_names_change_without_this_kernel(is_served: bool) -> None:
    blocked = LANDLOCK._replace(network=NetworkMode.BLOCKED, masking=Masking(is_served=is_served))
    assert draw(blocked, NATIVE, enforcement(blocked, NATIVE)).looks_again is is_served


@pytest.mark.parametrize("facts", [NATIVE, WSL2, NATIVE._replace(landlock_abi=7)], ids=["6", "wsl2", "7"])
@pytest.mark.parametrize(
    ("network", "rung", "what"),
    [(NetworkMode.PROXY, Rung.NONE, "the proxy"), (NetworkMode.BLOCKED, None, "--block-net")],
)
def test_external_leaves_the_network_open_with_a_warning(
    facts: HostFacts, network: NetworkMode, rung: Rung | None, what: str
) -> None:
    asked = EXTERNAL._replace(network=network, ports=PortGrants(listen=united([80])))
    chosen = enforcement(asked, facts)
    assert (chosen.rung, chosen.is_open) == (rung, True)
    assert chosen.warnings[0].startswith(f"sandbox policy external: nono does NOT enforce {what}.")
    assert chosen.warnings[0] in chosen.gaps
    plan = draw(asked, facts, chosen, proxy_port=None if rung is None else 4000)
    assert (plan.handled_net, plan.connect_ports, plan.bind_ports) == (0, (), ())
    assert (plan.static_filter, plan.listener) == (StaticFilter.OPEN_NET, None)
    assert plan.handled_fs == landlock_rights.HANDLED_FS[facts.landlock_abi]
    assert plan.scoped == landlock_rights.SCOPES[facts.landlock_abi]


KEPT = (KeptPort(4000, "sends the key of 'own'"),)


@pytest.mark.parametrize(
    ("asked", "is_refused"),
    [
        (PROXIED, False),
        (ONLY_NETNS, False),
        (LANDLOCK, False),
        (EXTERNAL, True),
        (PROXIED._replace(network=NetworkMode.BLOCKED, elevation=True), False),
        (PROXIED._replace(network=NetworkMode.ALLOWED, elevation=True), True),
        (PROXIED._replace(network=NetworkMode.ALLOWED), False),  # nobody is asked about anything
    ],
)
def test_nono_asks_at_no_port_that_every_command_could_take(asked: CapabilitySet, is_refused: bool) -> None:
    assert isinstance(choose_enforcement(asked, NATIVE), Enforcement)
    kept = asked._replace(kept_ports=KEPT)
    if is_refused:
        assert "nono sends the key of 'own' on port 4000" in refusal(kept, NATIVE).message
    else:
        enforcement(kept, NATIVE)


@pytest.mark.parametrize("is_held", [True, False])
def test_a_kept_port_that_the_kernel_may_choose_is_said_and_of_a_held_one_warned(is_held: bool) -> None:
    gap = "nono sends the key of 'own' on port 4000 of this machine: the command can listen there, on a"
    kept = (KEPT[0]._replace(must_be_held=is_held),)
    for asked, is_said in ((LANDLOCK, True), (PROXIED, False), (ONLY_NETNS, False)):
        chosen = enforcement(asked._replace(kept_ports=kept), NATIVE)
        assert any(each.startswith(gap) for each in chosen.gaps) is is_said
        assert any(each.startswith(gap) for each in chosen.warnings) is (is_said and is_held)


@pytest.mark.parametrize(
    ("first", "last", "is_said"),
    [(4001, 60999, False), (4000, 60999, True), (1024, 3999, False), (1024, 4000, True)],
)
def test_a_kept_port_is_said_if_the_kernel_chooses_from_such(first: int, last: int, is_said: bool) -> None:
    facts = NATIVE._replace(chosen_ports=PortRange(first, last))
    chosen = enforcement(LANDLOCK._replace(kept_ports=KEPT), facts)
    assert any("on port 4000 of this machine" in each for each in chosen.warnings) is is_said
    assert any(f"chooses from {first}-{last} (ip_local" in each for each in chosen.gaps) is is_said


def test_a_run_starts_without_holding_the_port_of_a_collector_and_says_so() -> None:
    kept = (KeptPort(4318, "sends the audit log to a collector", must_be_held=False),)
    gap = (
        "nono sends the audit log to a collector on port 4318 of this machine: the command can listen there."
    )
    unrestricted = PROXIED._replace(network=NetworkMode.ALLOWED)
    for asked, is_said in ((EXTERNAL, True), (unrestricted, True), (PROXIED, False)):
        assert (gap in enforcement(asked._replace(kept_ports=kept), NATIVE).gaps) is is_said
    unasked = enforcement(unrestricted._replace(kept_ports=KEPT), NATIVE)
    assert not any("on port 4000" in each for each in (*unasked.gaps, *unasked.warnings))


def test_external_has_nothing_to_say_where_the_network_is_open_anyway() -> None:
    asked = EXTERNAL._replace(network=NetworkMode.ALLOWED)
    auto = asked._replace(sandbox_policy=SandboxPolicy.AUTO)
    assert enforcement(asked, NATIVE) == enforcement(auto, NATIVE)


def test_the_look_of_wsl2_alone_changes_nothing() -> None:
    assert enforcement(PROXIED, NATIVE._replace(is_wsl2=True)).rung is Rung.NOTIFY


def test_insecure_proxy_runs_with_the_owners_warning() -> None:
    insecure = PROXIED._replace(wsl2_proxy_policy=Wsl2ProxyPolicy.INSECURE_PROXY)
    chosen = enforcement(insecure, WSL2)
    assert (chosen.rung, chosen.is_open) == (Rung.NONE, True)
    assert "on port 4000 of this machine" in refusal(insecure._replace(kept_ports=KEPT), WSL2).message
    assert chosen.warnings == (
        "WSL2 insecure proxy mode — credential proxy active but network is NOT\n"
        "kernel-enforced. The sandboxed process can bypass the proxy and open arbitrary outbound "
        "connections.",
    )


def test_a_busy_listener_switches_elevation_off_with_a_note() -> None:
    asked = PROXIED._replace(elevation=True, network=NetworkMode.ALLOWED)
    assert enforcement(asked, WSL2).notes == (
        "WSL2: capability elevation disabled (seccomp user notification returns EBUSY, microsoft/WSL#9548)",
    )
    assert enforcement(asked._replace(elevation=False), WSL2).notes == ()


def test_elevation_needs_a_request_and_a_listener() -> None:
    assert enforcement(PROXIED._replace(elevation=True), NATIVE).elevation
    assert not enforcement(PROXIED, NATIVE).elevation
    assert not enforcement(PROXIED._replace(elevation=True, network=NetworkMode.ALLOWED), WSL2).elevation


@pytest.mark.parametrize(
    ("release", "is_on", "note"),
    [
        ("5.13.19-arch1", False, "Linux 5.14 is needed"),
        ("5.14.0-503.el9", True, "before Linux 5.19"),
        ("5.19.17", True, None),
        ("6.1-rc3", True, None),
        ("10.0.1", True, None),
        ("unknown", False, "Linux 5.14 is needed"),
    ],
)
def test_elevation_needs_what_younger_kernels_have(release: str, is_on: bool, note: str | None) -> None:
    chosen = enforcement(PROXIED._replace(elevation=True), NATIVE._replace(kernel_release=release))
    assert chosen.elevation is is_on
    assert len(chosen.notes) == (0 if note is None else 1)
    assert note is None or note in chosen.notes[0]


@pytest.mark.parametrize("network", NetworkMode)
def test_threads_are_named_through_the_one_listener_of_the_run(network: NetworkMode) -> None:
    asked = PROXIED._replace(network=network, names_threads=True)
    chosen = enforcement(asked, NATIVE)
    assert (chosen.names_threads, chosen.elevation) == (True, False)
    assert chosen.is_served is (network is not NetworkMode.PROXY)
    plan = draw(asked, NATIVE, chosen, proxy_port=None if chosen.rung is None else 4000)
    expected = NotifyProgram.OPENS if chosen.rung is None else NotifyProgram.NOTIFY_OPENS
    assert plan.listener is expected
    assert not enforcement(asked._replace(names_threads=False), NATIVE).names_threads


def test_threads_that_cannot_be_named_keep_a_run_from_starting() -> None:
    asked = PROXIED._replace(network=NetworkMode.ALLOWED, names_threads=True)
    found = refusal(asked, WSL2)
    assert found.message == (
        "WSL2: NVIDIA GPU thread-name mediation is not available here (seccomp user notification returns "
        "EBUSY, microsoft/WSL#9548), and without it the driver fails from version 570 on."
    )
    assert found.hint == "leave --allow-gpu out, or run it on native Linux and not inside another sandbox"
    older = refusal(asked, NATIVE._replace(kernel_release="5.13.0")).message
    assert "Linux 5.14 is needed" in older
    assert "EBUSY" not in older
    assert isinstance(choose_enforcement(asked._replace(names_threads=False), WSL2), Enforcement)


@pytest.mark.parametrize(
    ("facts", "because"),
    [(NATIVE, None), (WSL2, "EBUSY"), (NATIVE._replace(kernel_release="5.13.0"), "Linux 5.14 is needed")],
)
def test_instruction_files_are_checked_at_the_open_or_it_is_said(
    facts: HostFacts, because: str | None
) -> None:
    asked = PROXIED._replace(network=NetworkMode.BLOCKED, checks_instructions=True)
    chosen = enforcement(asked, facts)
    said = [each for each in chosen.warnings if each.startswith("instruction files are checked before")]
    assert (chosen.checks_instructions, chosen.traps_opens, len(said)) == (
        (True, True, 0) if because is None else (False, False, 1)
    )
    assert because is None or (because in said[0] and said[0] in chosen.gaps)
    assert not enforcement(asked._replace(checks_instructions=False), facts).traps_opens


def test_nothing_runs_without_landlock() -> None:
    assert "Landlock not available" in refusal(PROXIED, NATIVE._replace(landlock_abi=0)).message


@pytest.mark.parametrize("network", [NetworkMode.ALLOWED, NetworkMode.BLOCKED])
def test_a_run_without_proxy_needs_no_listener(network: NetworkMode) -> None:
    assert enforcement(PROXIED._replace(network=network), WSL2).rung is None


@pytest.mark.parametrize("abi", range(1, 8))
def test_signals_that_must_be_held_need_abi_6(abi: int) -> None:
    strict = PROXIED._replace(scopes=Scopes(signal_or_nothing=True))
    facts = NATIVE._replace(landlock_abi=abi)
    for asked in (strict, strict._replace(network=NetworkMode.ALLOWED)):
        if abi >= 6:
            assert isinstance(choose_enforcement(asked, facts), Enforcement)
        else:
            assert f"V6+ (LANDLOCK_SCOPE_SIGNAL, kernel 6.12+), and this kernel has V{abi}" in (
                refusal(asked, facts).message
            )
    assert enforcement(PROXIED, facts).rung is Rung.NOTIFY


@pytest.mark.parametrize("abi", [1, 6, 7])
def test_a_process_info_mode_is_a_gap_on_every_kernel(abi: int) -> None:
    asked = PROXIED._replace(scopes=Scopes(has_process_info_mode=True))
    facts = NATIVE._replace(landlock_abi=abi)
    assert PROCESS_INFO_GAP in enforcement(asked, facts).gaps
    assert PROCESS_INFO_GAP not in enforcement(PROXIED, facts).gaps


def test_unenforced_scopes_are_named_below_abi_6() -> None:
    assert "signals" in enforcement(PROXIED, NATIVE._replace(landlock_abi=5)).gaps[0]
    assert enforcement(PROXIED, NATIVE).gaps == ()


@pytest.mark.parametrize(("abi", "is_named"), [(1, True), (2, True), (3, False)])
def test_truncation_is_named_where_landlock_cannot_refuse_it(abi: int, is_named: bool) -> None:
    facts = NATIVE._replace(landlock_abi=abi)
    assert any("truncate(2)" in gap for gap in enforcement(PROXIED, facts).gaps) is is_named


@pytest.mark.parametrize("network", [NetworkMode.ALLOWED, NetworkMode.BLOCKED])
def test_unix_sockets_are_named_where_nobody_looks_at_them(network: NetworkMode) -> None:
    assert any("Unix sockets" in gap for gap in enforcement(PROXIED._replace(network=network), NATIVE).gaps)
    assert not any("Unix sockets" in gap for gap in enforcement(PROXIED, NATIVE).gaps)


OPEN = PortGrants(open=united([3000, 3001]))
ANYWHERE = PortGrants(connect=united([22]))


@pytest.mark.parametrize("network", [NetworkMode.BLOCKED, NetworkMode.ALLOWED])
def test_ports_without_proxy_or_tcp_rules_refuse_the_start(network: NetworkMode) -> None:
    facts = WSL2._replace(landlock_abi=3)
    refused = refusal(PROXIED._replace(network=network, ports=ANYWHERE), facts)
    assert "requires V4+" in refused.message
    assert enforcement(PROXIED._replace(network=network), facts).rung is None


@pytest.mark.parametrize("has_namespace", [False, True])
def test_a_refusal_of_ports_names_a_run_with_the_proxy_only_where_one_starts(has_namespace: bool) -> None:
    facts = WSL2._replace(landlock_abi=3, network_namespace=has_namespace)
    refused = refusal(PROXIED._replace(network=NetworkMode.BLOCKED, ports=ANYWHERE), facts)
    in_private_network = PROXIED._replace(sandbox_policy=SandboxPolicy.NETNS)
    starts = isinstance(choose_enforcement(in_private_network, facts), Enforcement)
    assert starts == has_namespace == ("--sandbox-policy netns" in (refused.hint or ""))
    assert "--block-net alone is enforced" in (refused.hint or "")


def test_a_port_held_by_landlock_alone_is_reported_open_everywhere() -> None:
    blocked = PROXIED._replace(network=NetworkMode.BLOCKED, ports=OPEN)
    chosen = enforcement(blocked, WSL2._replace(landlock_abi=4))
    assert "any host that listens on port 3000-3001" in chosen.warnings[0]
    assert chosen.warnings[0] in chosen.gaps
    anywhere = enforcement(blocked._replace(ports=ANYWHERE), WSL2._replace(landlock_abi=4))
    assert anywhere.warnings == ()  # it is what was asked for
    proxied = enforcement(PROXIED._replace(ports=OPEN), WSL2._replace(landlock_abi=4))
    assert "the proxy's port or on port 3000-3001" in proxied.warnings[0]


def test_a_private_network_contradicts_ports_of_other_hosts() -> None:
    assert "contradict each other" in refusal(ONLY_NETNS._replace(ports=ANYWHERE), NATIVE).message
    assert enforcement(ONLY_NETNS._replace(ports=OPEN), NATIVE).rung is Rung.NETNS
    assert enforcement(ONLY_NETNS._replace(ports=PortGrants(listen=united([80]))), NATIVE).rung is Rung.NETNS


@pytest.mark.parametrize(
    ("first", "last", "is_refused"),
    [(1, 2999, False), (1, 3000, True), (3000, 3001, True), (3001, 9000, True), (3002, 9000, False)],
)
def test_no_port_of_this_host_is_one_that_a_private_network_serves(
    first: int, last: int, is_refused: bool
) -> None:
    asked = ONLY_NETNS._replace(ports=PortGrants(open=OPEN.open, listen=(PortRange(first, last),)))
    chosen = choose_enforcement(asked, NATIVE)
    assert isinstance(chosen, Refusal) is is_refused
    assert not is_refused or "port 3000-3001 is a port of this host" in refusal(asked, NATIVE).message


def test_a_port_is_relayed_out_of_a_private_network_or_into_it() -> None:
    both = PortGrants(listen=united([80, 3000]), open=united([], [(2999, 3001)]))
    assert "so the command cannot serve it" in refusal(ONLY_NETNS._replace(ports=both), NATIVE).message
    apart = both._replace(listen=united([80]))
    notes = enforcement(ONLY_NETNS._replace(ports=apart), NATIVE).notes
    (told,) = [note for note in notes if note.startswith("port 2999-3001 leads to loopback of this host")]
    assert told.endswith("to serve it, the command needs --listen-port instead of --open-port")


MEDIATED = PROXIED._replace(network=NetworkMode.ALLOWED, af_unix_mediation=True)


@pytest.mark.parametrize(
    ("network", "ports", "program", "static_filter"),
    [
        (NetworkMode.ALLOWED, PortGrants(), NotifyProgram.UNIX_PATHS, StaticFilter.OPEN_NET),
        (NetworkMode.ALLOWED, OPEN, NotifyProgram.UNIX_PATHS, StaticFilter.OPEN_NET),
        (NetworkMode.BLOCKED, PortGrants(), NotifyProgram.UNIX_PATHS, StaticFilter.BLOCK_ALL),
        (NetworkMode.ALLOWED, ANYWHERE, NotifyProgram.NOTIFY, None),
        (NetworkMode.BLOCKED, OPEN, NotifyProgram.NOTIFY, None),
        (NetworkMode.PROXY, OPEN, NotifyProgram.NOTIFY, None),
    ],
)
def test_unix_sockets_are_mediated_beside_whatever_holds_the_network(
    network: NetworkMode, ports: PortGrants, program: NotifyProgram, static_filter: StaticFilter | None
) -> None:
    asked = MEDIATED._replace(network=network, ports=ports)
    chosen = enforcement(asked, NATIVE)
    assert UNIX_SOCKET_GAP not in chosen.gaps
    proxy_port = 4000 if network is NetworkMode.PROXY else None
    plan = draw(asked, NATIVE, chosen, proxy_port=proxy_port)
    assert (plan.listener, plan.static_filter) == (program, static_filter)
    with_opens = draw(asked, NATIVE, chosen._replace(elevation=True), proxy_port=proxy_port)
    assert with_opens.listener == f"{program}_opens"
    assert with_opens.static_filter is static_filter


def test_mediation_without_a_listener_is_refused_as_fits_the_kernel() -> None:
    for network in NetworkMode:
        message = refusal(MEDIATED._replace(network=network), WSL2).message
        assert message.startswith('WSL2: linux.af_unix_mediation "pathname" needs a seccomp listener')
        assert "EBUSY, microsoft/WSL#9548" in message


@pytest.mark.parametrize("policy", [policy for policy in SandboxPolicy if policy is not SandboxPolicy.AUTO])
def test_mediation_contradicts_a_policy_without_a_listener(
    policy: SandboxPolicy,
) -> None:
    asked = MEDIATED._replace(network=NetworkMode.PROXY, sandbox_policy=policy)
    assert "are contradictory" in refusal(asked, NATIVE).message


@pytest.mark.parametrize("network", [NetworkMode.BLOCKED, NetworkMode.ALLOWED])
@pytest.mark.parametrize("abi", [3, 6])
def test_a_listener_checks_port_addresses_on_every_abi(network: NetworkMode, abi: int) -> None:
    asked = PROXIED._replace(network=network, ports=PortGrants(open=OPEN.open, connect=ANYWHERE.connect))
    facts = NATIVE._replace(landlock_abi=abi)
    chosen = enforcement(asked, facts)
    assert (chosen.rung, chosen.sockets, chosen.is_served) == (None, NotifyProgram.PORTS, True)
    assert chosen.warnings == ()
    plan = draw(asked, facts, chosen)
    assert (plan.listener, plan.static_filter) == (NotifyProgram.PORTS, StaticFilter.TCP_ONLY)
    assert plan.connect_ports == united([22, 3000, 3001])
    by_landlock = enforcement(asked._replace(sandbox_policy=SandboxPolicy.LANDLOCK), NATIVE)
    assert (by_landlock.sockets, len(by_landlock.warnings)) == (None, 1)


LEARNING = PROXIED._replace(learns=True)


@pytest.mark.parametrize(
    ("network", "program", "static"),
    [
        (NetworkMode.PROXY, NotifyProgram.NOTIFY_PATHS, None),
        (NetworkMode.BLOCKED, NotifyProgram.PATHS, StaticFilter.BLOCK_ALL),
    ],
)
def test_a_run_that_is_watched_has_its_paths_trapped(
    network: NetworkMode, program: NotifyProgram, static: StaticFilter | None
) -> None:
    capabilities = LEARNING._replace(network=network)
    chosen = enforcement(capabilities, NATIVE)
    plan = draw(capabilities, NATIVE, chosen, proxy_port=None if chosen.rung is None else 4000)
    assert (plan.listener, plan.static_filter) == (program, static)
    assert chosen.is_served is (network is NetworkMode.BLOCKED)


@pytest.mark.parametrize("policy", Wsl2ProxyPolicy)
@pytest.mark.parametrize("facts", [WSL2, NATIVE._replace(listener=Listener.BUSY)])
def test_nothing_is_learned_without_a_listener_whatever_the_policy(
    facts: HostFacts, policy: Wsl2ProxyPolicy
) -> None:
    capabilities = LEARNING._replace(wsl2_proxy_policy=policy)
    assert "nothing can be learned here" in refusal(capabilities, facts).message
    is_refused = policy is Wsl2ProxyPolicy.ERROR and facts.landlock_abi < 4
    unwatched = choose_enforcement(capabilities._replace(learns=False), facts)
    assert isinstance(unwatched, Refusal) is is_refused


def test_sockets_beside_a_blocked_network_are_not_learned() -> None:
    blocked = LEARNING._replace(network=NetworkMode.BLOCKED, ports=PortGrants(open=united((80,))))
    assert "cannot be watched" in refusal(blocked, NATIVE).message


@pytest.mark.parametrize("rung", [*Rung, None])
@pytest.mark.parametrize("namespaces", [True, False])
def test_udp_is_made_where_calls_are_judged_and_nobody_else_is(rung: Rung | None, namespaces: bool) -> None:
    found = has_own_datagrams(Enforcement(rung, namespaces=namespaces))
    assert found is (namespaces and rung is Rung.NOTIFY)
