"""nono.sandbox.plan.plan: the kernel state that a plan asks for, and its way to the launcher."""

import json
import stat

import pytest

from nono.kernel import landlock_rights
from nono.kernel.uapi import landlock as uapi
from nono.policy.capability import (
    Access,
    Denial,
    Grant,
    Mask,
    Masking,
    NetworkMode,
    SandboxPolicy,
    Scopes,
)
from nono.policy.ports import KeptPort, PortGrants, united
from nono.sandbox.apply import path_rights
from nono.sandbox.plan.enforcement import Enforcement, NotifyProgram, Rung, StaticFilter
from nono.sandbox.plan.plan import SandboxPlan, draw
from support.host_facts import NATIVE, PROXIED, WSL2

ONLY_NETNS = PROXIED._replace(sandbox_policy=SandboxPolicy.NETNS)
OPEN = PortGrants(open=united([3000, 3001]))


def test_a_plan_in_a_private_network_has_a_filter_of_its_own() -> None:
    plan = draw(ONLY_NETNS, NATIVE, Enforcement(Rung.NETNS), proxy_port=4000)
    assert (plan.private_network, plan.listener, plan.static_filter) == (True, None, StaticFilter.TCP_AND_UDP)
    assert (plan.handled_net, plan.connect_ports, plan.bind_ports) == (0, (), ())
    assert not draw(PROXIED, NATIVE, Enforcement(Rung.NOTIFY), proxy_port=4000).private_network


def test_a_listed_directory_gets_the_right_to_list_names_and_no_other() -> None:
    listed = Grant("/etc", Access.READ, False, "group:x", "/etc")
    capabilities = PROXIED._replace(network=NetworkMode.ALLOWED, listed=(listed,))
    plan = draw(capabilities, NATIVE, Enforcement(None))
    (rule,) = (each for each in plan.path_rules if each.path == "/etc")
    assert not rule.required  # a machine may lack it
    assert path_rights(rule, stat.S_IFDIR, NATIVE.landlock_abi) == uapi.LANDLOCK_ACCESS_FS_READ_DIR


@pytest.mark.parametrize(
    ("network", "rung", "static_filter", "listener"),
    [
        (NetworkMode.ALLOWED, None, StaticFilter.OPEN_NET, NotifyProgram.OPENS),
        (NetworkMode.BLOCKED, None, StaticFilter.BLOCK_ALL, NotifyProgram.OPENS),
        (NetworkMode.PROXY, Rung.NOTIFY, None, NotifyProgram.NOTIFY_OPENS),
        (NetworkMode.PROXY, Rung.NETNS, StaticFilter.TCP_AND_UDP, NotifyProgram.OPENS),
    ],
)
def test_an_elevated_run_has_one_listener_whatever_its_network(
    network: NetworkMode, rung: Rung | None, static_filter: StaticFilter | None, listener: NotifyProgram
) -> None:
    chosen = Enforcement(rung, elevation=True)
    proxy_port = None if rung is None else 4000
    plan = draw(PROXIED._replace(network=network), NATIVE, chosen, proxy_port=proxy_port)
    assert (plan.static_filter, plan.listener) == (static_filter, listener)
    assert SandboxPlan.from_message(json.loads(json.dumps(plan.to_message()))) == plan


@pytest.mark.parametrize(
    ("network", "rung", "static_filter", "listener"),
    [
        (NetworkMode.ALLOWED, None, StaticFilter.OPEN_NET, None),
        (NetworkMode.BLOCKED, None, StaticFilter.BLOCK_ALL, None),
        (NetworkMode.PROXY, Rung.NOTIFY, None, NotifyProgram.NOTIFY),
        (NetworkMode.PROXY, Rung.NETNS, StaticFilter.TCP_AND_UDP, None),
        (NetworkMode.PROXY, Rung.LANDLOCK, StaticFilter.TCP_ONLY, None),
        (NetworkMode.PROXY, Rung.NONE, StaticFilter.TCP_ONLY, None),
    ],
)
def test_every_run_gets_one_filter(
    network: NetworkMode,
    rung: Rung | None,
    static_filter: StaticFilter | None,
    listener: NotifyProgram | None,
) -> None:
    proxy_port = None if rung is None else 4000
    plan = draw(PROXIED._replace(network=network), NATIVE, Enforcement(rung), proxy_port=proxy_port)
    assert (plan.static_filter, plan.listener) == (static_filter, listener)
    # In a network of its own no port leads to anybody else.
    assert plan.connect_ports == (() if rung in (None, Rung.NETNS) else united([4000]))
    assert bool(plan.handled_net) == (network is not NetworkMode.ALLOWED and rung is not Rung.NETNS)


@pytest.mark.parametrize("abi", range(1, 8))
def test_a_plan_asks_for_no_more_than_its_abi_has(abi: int) -> None:
    plan = draw(PROXIED, NATIVE._replace(landlock_abi=abi), Enforcement(Rung.NOTIFY), proxy_port=4000)
    assert plan.handled_fs == landlock_rights.HANDLED_FS[abi]
    assert plan.handled_net == landlock_rights.HANDLED_NET[abi]
    assert plan.scoped == landlock_rights.SCOPES[abi]


@pytest.mark.parametrize("rung", [Rung.NOTIFY, Rung.LANDLOCK])
@pytest.mark.parametrize("namespaces", [True, False])
def test_what_namespaces_would_keep_apart_is_refused_without_them(rung: Rung, namespaces: bool) -> None:
    plan = draw(PROXIED, NATIVE, Enforcement(rung, namespaces=namespaces), proxy_port=4000)
    assert plan.refuses_sysv_ipc is plan.refuses_foreign_scheduling is not namespaces
    assert plan.stays_dumpable == (rung is Rung.NOTIFY and not namespaces)


PROJECT = Grant("/project", Access.READWRITE, True, "user", "--allow")
MASK = Mask(Denial("/project/.env", "/project/.env", "filesystem.deny"), "file", 1, PROJECT)
HOOKED = PROXIED._replace(hooks="/project/.git/hooks")


@pytest.mark.parametrize("abi", range(1, landlock_rights.KNOWN_ABI + 1))
def test_beside_masks_every_right_is_held_by_the_root_directory(abi: int) -> None:
    masked = PROXIED._replace(masking=Masking((MASK,)))
    facts = NATIVE._replace(landlock_abi=abi)
    plan = draw(masked, facts, Enforcement(Rung.NOTIFY), proxy_port=4000)
    assert plan.own_root_fs == plan.handled_fs == landlock_rights.HANDLED_FS[abi]
    assert draw(PROXIED, facts, Enforcement(Rung.NOTIFY), proxy_port=4000).own_root_fs == 0


@pytest.mark.parametrize("abi", range(1, landlock_rights.KNOWN_ABI + 1))
def test_hooks_that_are_mounted_read_only_cost_no_open_for_reading(abi: int) -> None:
    facts = NATIVE._replace(landlock_abi=abi)
    plan = draw(HOOKED, facts, Enforcement(Rung.NOTIFY, namespaces=True), proxy_port=4000)
    asked_for = landlock_rights.READ_RIGHTS | uapi.LANDLOCK_ACCESS_FS_TRUNCATE
    assert plan.own_root_fs & asked_for == 0
    assert plan.own_root_fs | asked_for == landlock_rights.HANDLED_FS[min(abi, 4)] | asked_for


def test_hooks_that_no_mount_holds_need_no_root_directory() -> None:
    assert draw(HOOKED, NATIVE, Enforcement(Rung.NOTIFY), proxy_port=4000).own_root_fs == 0


def test_a_scope_that_was_not_asked_for_is_not_set() -> None:
    open_ipc = PROXIED._replace(scopes=Scopes(signal=True, abstract_unix_socket=False))
    both = draw(PROXIED, NATIVE, Enforcement(Rung.NOTIFY), proxy_port=1)
    one = draw(open_ipc, NATIVE, Enforcement(Rung.NOTIFY), proxy_port=1)
    assert both.scoped != one.scoped != 0


def test_only_what_a_person_asked_for_must_exist() -> None:
    plan = draw(PROXIED, NATIVE, Enforcement(Rung.NOTIFY), proxy_port=4000)
    assert [(rule.path, rule.required) for rule in plan.path_rules] == [("/usr", False), ("/work", True)]


def test_a_plan_survives_the_way_to_the_launcher() -> None:
    plan = draw(PROXIED, WSL2, Enforcement(Rung.NONE), proxy_port=4000)
    assert SandboxPlan.from_message(json.loads(json.dumps(plan.to_message()))) == plan


def test_a_plan_with_a_field_too_many_is_refused() -> None:
    message = draw(PROXIED, NATIVE, Enforcement(Rung.NOTIFY), proxy_port=1).to_message()
    with pytest.raises(ValueError, match="not a sandbox plan"):
        SandboxPlan.from_message(message | {"surprise": 1})


def test_a_proxy_only_plan_cannot_be_drawn_without_its_port() -> None:
    with pytest.raises(ValueError, match="port of its proxy"):
        draw(PROXIED, NATIVE, Enforcement(Rung.NOTIFY))


def test_an_open_port_alone_changes_nothing_where_the_network_is_open() -> None:
    plan = draw(PROXIED._replace(network=NetworkMode.ALLOWED, ports=OPEN), NATIVE, Enforcement(None))
    assert (plan.handled_net, plan.connect_ports, plan.static_filter) == (0, (), StaticFilter.OPEN_NET)


@pytest.mark.parametrize("network", [NetworkMode.BLOCKED, NetworkMode.ALLOWED])
def test_granted_ports_leave_only_tcp(network: NetworkMode) -> None:
    ports = PortGrants(listen=united([80]), open=united([3000]), connect=united([22]))
    plan = draw(PROXIED._replace(network=network, ports=ports), NATIVE, Enforcement(None))
    assert plan.static_filter is StaticFilter.TCP_ONLY
    assert plan.connect_ports == united([22, 3000])
    assert plan.bind_ports == united([80, 3000])
    kept = PROXIED._replace(network=network, ports=ports, kept_ports=(KeptPort(3000, "sends a key"),))
    assert draw(kept, NATIVE, Enforcement(None)).bind_ports == united([80])
