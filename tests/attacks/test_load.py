"""Storms, crowds and floods: what is permitted goes on, what is not stays refused, the record stays small."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from support.canary import Canary
from support.nono_run import NO_NAMESPACES, NonoRun, most_records, program

COUNT = 500
NOT_BY_USER = ("restart", "interrupt", "closed", "nonblocking")


@pytest.mark.needs("listener")
@pytest.mark.parametrize(
    "mode",
    [
        *(pytest.param(each, marks=pytest.mark.any_user) for each in NOT_BY_USER),
        *("leader", "undumpable"),  # whose memory may be read depends on who reads it
    ],
)
@pytest.mark.parametrize("namespaces", ["--namespaces=require", NO_NAMESPACES])
def test_an_awkward_caller_gets_every_answer(
    namespaces: str, mode: str, sandbox: NonoRun, compiled: Callable[[str], str]
) -> None:
    with Canary() as canary:
        port = canary.tcp("elsewhere", "127.0.0.2")
        stranger = canary.tcp("stranger")
        storm = [compiled("storm"), mode, str(COUNT), str(port), str(stranger)]
        run = sandbox.run(storm, flags=[f"--proxy-port={port}", namespaces])
        assert canary.seen() == {}
    outcomes = run.outcomes()
    assert outcomes["bad"] == 0
    # No program can hide its arguments from who judges them (PR_SET_DUMPABLE): it would get EPERM.
    assert outcomes["bad_errno"] == errno.EACCES
    assert outcomes["good_errno"] == 0
    assert outcomes["good"] == COUNT - (outcomes["interrupted"] if mode == "interrupt" else 0)
    assert ("127.0.0.1", stranger) in run.denied_targets()


@pytest.mark.parametrize("mode", ["restart", "undumpable"])
def test_the_awkward_caller_reaches_both_without_nono(
    mode: str, sandbox: NonoRun, compiled: Callable[[str], str]
) -> None:
    with Canary() as canary:
        ports = canary.tcp("good"), canary.tcp("stranger")
        canary.start()
        outcomes = sandbox.bare([compiled("storm"), mode, str(COUNT), *map(str, ports)]).outcomes()
        assert canary.seen() == {"good": COUNT, "stranger": COUNT}
    assert (outcomes["good"], outcomes["bad"]) == (COUNT, COUNT)


@pytest.mark.needs("listener")
def test_64_threads_at_once_reach_only_the_proxy(sandbox: NonoRun) -> None:
    threads, tries = 64, 20
    with Canary() as canary:
        run = sandbox.run(program("proxy.many_threads", canary.tcp("stranger"), threads, tries))
        assert canary.seen() == {}
    assert run.outcomes() == {"proxy ok": threads * tries, "stranger EACCES": threads * tries}
    assert sum("rule" in event for event in run.denied) == threads * tries


@pytest.mark.any_user
@pytest.mark.needs("listener")
def test_a_flood_of_one_refusal_is_recorded_once_a_second(sandbox: NonoRun) -> None:
    count = 5_000
    with Canary() as canary:
        port = canary.tcp("stranger")
        run = sandbox.run(program("proxy.flood", "refused", port, count))
        assert canary.seen() == {}
    assert run.outcomes() == {"EACCES": count}
    assert run.denied_targets() == {("127.0.0.1", port)}
    assert len(run.denied) == count
    assert len(run.denial_lines) <= most_records(run.denial_lines)


@pytest.mark.any_user
@pytest.mark.needs("listener")
@pytest.mark.alone  # a second of records has a bound, so the time that it takes counts
def test_a_scan_of_every_port_is_recorded_within_bounds(sandbox: NonoRun) -> None:
    count = 10_000
    run = sandbox.run(program("proxy.flood", "scan", count))
    assert run.outcomes() == {"EACCES": count}
    assert any("rule" in event for event in run.denied)
    assert len(run.denial_lines) < 4 * 1024


@pytest.mark.any_user
@pytest.mark.needs("listener")
def test_no_scan_of_a_granted_port_hides_whom_the_command_reached(sandbox: NonoRun) -> None:
    count = 4_000
    with Canary() as canary:
        port = canary.tcp("elsewhere", "127.0.0.2")
        command = program("proxy.flood", "hosts", port, count)
        run = sandbox.run(command, flags=[f"--allow-connect-port={port}"])
        assert canary.seen() == {"elsewhere": 1}
        beside = sandbox.run(command)  # without the grant
        assert canary.seen() == {"elsewhere": 1}
    assert run.outcomes() == {"scanned": {"ECONNREFUSED": count}, "then": "ok"}
    reached = [event["target"] for event in run.allowed if event["port"] == port]
    assert len(set(reached)) == count + 1
    assert reached[-1] == "127.0.0.2"
    assert beside.outcomes()["then"] == "EACCES"
    assert ("127.0.0.2", port) in beside.denied_targets()


@pytest.mark.any_user
def test_connections_beyond_the_proxys_limit_do_not_fill_the_log(sandbox: NonoRun) -> None:
    run = sandbox.run(program("proxy.flood", "proxy", 900))
    assert run.outcomes() == {"proxy": "ok"}
    assert {event["status"] for event in run.denied} == {503}  # one kind of refusal
    assert len(run.denial_lines) <= most_records(run.denial_lines)


@pytest.mark.any_user
@pytest.mark.needs("listener")
@pytest.mark.parametrize("flags", [[], ["--capability-elevation"]], ids=["sockets", "and opens"])
def test_the_proxy_answers_every_request_beside_64_busy_processes(flags: list[str], sandbox: NonoRun) -> None:
    processes, requests = 64, 50
    with Canary() as canary:
        port = canary.tcp("elsewhere", "127.0.0.2")
        run = sandbox.run(program("proxy.crowd", "calls", port, processes, requests), flags=flags)
        assert canary.seen() == {}
    crowd = run.outcomes()
    assert (crowd["answers"], crowd["unready"], crowd["failed"]) == ({"403": requests}, 0, 0)
    # The requests of some do not keep the calls of others from being answered.
    assert min(crowd["rounds"]) > 0
    calls = [event for event in run.denied if event["target"] == "127.0.0.2"]
    assert len(calls) == 2 * (processes + sum(crowd["rounds"]))
    assert sum(event["target"] == "nobody.invalid" for event in run.denied) == requests
    kinds = {event["reason"] for event in run.denied}
    assert len(kinds) == 3  # to connect, to listen, and to ask for another host
    assert len(run.denial_lines) <= len(kinds) * most_records(run.denial_lines)


@pytest.mark.any_user
def test_the_proxy_answers_every_request_while_a_fork_bomb_leaves_orphans(sandbox: NonoRun) -> None:
    processes, requests = 16, 50
    run = sandbox.run(program("proxy.crowd", "bomb", 1, processes, requests))
    crowd = run.outcomes()
    assert (crowd["answers"], crowd["unready"], crowd["failed"]) == ({"403": requests}, 0, 0)
    assert min(crowd["rounds"]) > 0
