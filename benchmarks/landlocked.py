"""Writes down the Landlock rules of a run, for a program that applies them and nothing else (landlock.c)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.samples import CannotRunError
from nono import paths
from nono.errors import NonoError
from nono.kernel import landlock_rights
from nono.kernel.uapi import landlock as uapi
from nono.launch.state.capability_state import CapabilityState
from nono.launch.state.file import read_own_state
from nono.sandbox.apply import path_rights
from nono.sandbox.plan.facts import HostFacts, Listener
from nono.sandbox.plan.plan import SandboxPlan, draw

FILTER = "filter\n"  # a line of landlock.c: a seccomp filter that allows every call


def rules_of_run(environ: Mapping[str, str], proxy_port: int) -> str:
    """Return the rules of the only run in this environment, whose proxy listens on that port.

    CannotRunError when there are more or none.
    """
    found = [*Path(paths.state_root(environ), "sessions").glob(".nono-*.json")]
    if len(found) != 1:
        raise CannotRunError(f"{len(found)} runs instead of one, whose rules could be read")
    try:
        state = read_own_state({paths.STATE_VARIABLE: str(found[0])})
    except NonoError as error:
        raise CannotRunError(error.message) from error
    assert state is not None  # because the variable is set
    return "".join(f"{line}\n" for line in lines(plan_of(state, proxy_port)))


def plan_of(state: CapabilityState, proxy_port: int) -> SandboxPlan:
    """Return the plan that the run was restricted by."""
    rules, enforcement = state.rules, state.enforcement
    capabilities = rules.capabilities._replace(grants=rules.grants)
    facts = HostFacts(os.uname().release, state.landlock_abi, Listener.NOT_PROBED, "", False, False)
    return draw(capabilities, facts, enforcement, proxy_port=None if enforcement.rung is None else proxy_port)


def lines(plan: SandboxPlan) -> Iterator[str]:
    """Return a line for each rule, after one for what is handled. Omits paths that do not exist."""
    flags = landlock_rights.RESTRICT_FLAGS[plan.landlock_abi]
    yield f"handled {plan.handled_fs:x} {plan.handled_net:x} {plan.scoped:x} {flags:x}"
    for rule in plan.path_rules:
        try:
            mode = os.stat(rule.path).st_mode
        except OSError:
            continue
        rights = path_rights(rule, mode, plan.landlock_abi)
        if rights:
            yield f"path {rights:x} {rule.path}"
    if not plan.handled_net:
        return
    for ports, right in (
        (plan.connect_ports, uapi.LANDLOCK_ACCESS_NET_CONNECT_TCP),
        (plan.bind_ports, uapi.LANDLOCK_ACCESS_NET_BIND_TCP),
    ):
        for first, last in ports:
            yield from (f"port {right:x} {port}" for port in range(first, last + 1))
