"""K4: rtnetlink lists what there is, and nothing is changed through it."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest

from support.nono_run import NO_NAMESPACES, NonoRun

IP = shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin:/bin")
needs_ip = pytest.mark.skipif(IP is None, reason="iproute2 is not installed")

CHANGES = """
import ctypes, errno, os, socket, struct
def attempt(send):
    try: return send() or "ok"
    except OSError as error: return errno.errorcode[error.errno]
def answer(s):
    return errno.errorcode.get(-struct.unpack_from("=i", s.recv(4096), 16)[0], "done")
message = struct.pack("=IHHIIBxHiII", 32, 16, 5, 1, 0, 0, 0, 1, 0, 1)  # RTM_NEWLINK of interface 1, down
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
s.settimeout(5)
def plain(): s.send(message); return answer(s)
def addressed(): s.sendto(message, (0, 0)); return answer(s)
def many(): s.sendmsg([message], [], 0, (0, 0)); return answer(s)
print(attempt(addressed), attempt(plain), attempt(many))
"""
FULL_TABLE = """
import errno, os, resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
opened = []
try:
    while True: opened.append(os.dup(0))
except OSError: pass
try: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
except OSError as error: answer = errno.errorcode[error.errno]
else: answer = "ok"
os.close(opened.pop())
socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()
print(answer)
"""
MAKES_NETWORKS = """
import errno, json, os
def attempt(flags):
    if pid := os.fork(): return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try: os.unshare(flags); os._exit(0)
    except OSError as error: os._exit(error.errno)
kinds = {"user": os.CLONE_NEWUSER, "network": os.CLONE_NEWUSER | os.CLONE_NEWNET}
print(json.dumps({kind: errno.errorcode.get(attempt(flags), "ok") for kind, flags in kinds.items()}))
"""
NETNS = "--sandbox-policy=netns"
JOINED = """
import socket
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
s.bind((0, 0))
s.setsockopt(270, 1, 5)  # SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, RTNLGRP_IPV4_IFADDR
"""
GROUP = "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).bind((0, 1))"


@pytest.mark.needs("listener")
def test_the_interfaces_are_listed(sandbox: NonoRun) -> None:
    code = "import socket; print(*(name for _, name in socket.if_nameindex()))"
    run = sandbox.run(["/usr/bin/python3", "-I", "-c", code])
    assert run.stdout.split() == [name for _, name in socket.if_nameindex()]
    assert run.denied == []


@pytest.mark.needs("listener")
@needs_ip
def test_addresses_are_listed_by_ip(sandbox: NonoRun) -> None:
    assert IP is not None
    run = sandbox.run([IP, "-brief", "addr"])
    assert run.stdout == sandbox.bare([IP, "-brief", "addr"]).stdout
    assert run.exit_code == 0


@pytest.mark.needs("listener")
def test_nothing_is_changed_through_rtnetlink(sandbox: NonoRun) -> None:
    """Also for root, whose supervisor could: the sender's capabilities count."""
    run = sandbox.run(["/usr/bin/python3", "-I", "-c", CHANGES])
    assert run.stdout.split() == ["EPERM"] * 3, run.stderr


@pytest.mark.needs("listener")
def test_a_full_descriptor_table_is_no_refusal(sandbox: NonoRun) -> None:
    code = ["/usr/bin/python3", "-I", "-c", FULL_TABLE]
    run = sandbox.run(code)
    assert run.stdout == sandbox.bare(code).stdout == "EMFILE\n", run.stderr
    assert run.denied == []


@pytest.mark.needs("listener")
def test_no_group_of_netlink_is_bound(sandbox: NonoRun) -> None:
    run = sandbox.run(["/usr/bin/python3", "-I", "-c", GROUP])
    assert "Permission denied" in run.stderr
    assert [event["target"] for event in run.denied] == ["rtnetlink"]
    assert sandbox.bare(["/usr/bin/python3", "-I", "-c", GROUP]).exit_code == 0


@pytest.mark.needs("listener")
def test_no_group_of_netlink_is_joined_by_an_option(sandbox: NonoRun) -> None:
    run = sandbox.run(["/usr/bin/python3", "-I", "-c", JOINED])
    assert "Operation not permitted" in run.stderr
    assert [event["target"] for event in run.denied] == ["setsockopt(level=270, option=1)"]
    assert "a group of netlink" in run.denied[0]["reason"]
    assert sandbox.bare(["/usr/bin/python3", "-I", "-c", JOINED]).exit_code == 0


@pytest.mark.parametrize("flags", [(), (NO_NAMESPACES,)], ids=["namespaces", "no namespaces"])
def test_on_netns_a_user_lists_the_interfaces_of_the_runs_own_network(
    flags: tuple[str, ...], sandbox: NonoRun
) -> None:
    """Root's command has a network of the machine's user namespace, which must not be limited for it."""
    code = "import socket; print(*(name for _, name in socket.if_nameindex()))"
    run = sandbox.run(["/usr/bin/python3", "-I", "-c", code], flags=[NETNS, *flags])
    if sandbox.user.uid == 0:
        assert "Operation not permitted" in run.stderr
    else:
        assert run.stdout == "lo\n", run.stderr


@pytest.mark.parametrize("flags", [(), (NO_NAMESPACES,)], ids=["namespaces", "no namespaces"])
def test_on_netns_nothing_is_changed_through_rtnetlink(flags: tuple[str, ...], sandbox: NonoRun) -> None:
    if sandbox.user.uid == 0:
        pytest.skip("root's command has no netlink there")
    run = sandbox.run(["/usr/bin/python3", "-I", "-c", CHANGES], flags=[NETNS, *flags])
    assert run.stdout.split() == ["EPERM"] * 3, run.stderr


@pytest.mark.parametrize("flags", [(), (NO_NAMESPACES,)], ids=["namespaces", "no namespaces"])
def test_on_netns_a_user_makes_no_network_over_which_it_has_capabilities(
    flags: tuple[str, ...], sandbox: NonoRun
) -> None:
    made = ["/usr/bin/python3", "-I", "-c", MAKES_NETWORKS]
    limit = Path("/proc/sys/user/max_net_namespaces").read_text()
    run = sandbox.run(made, flags=[NETNS, *flags])
    assert run.outcomes()["user"] == "ok"  # another user namespace can be made, for what that is worth
    if sandbox.user.uid != 0:
        assert run.outcomes()["network"] == "ENOSPC"
        assert sandbox.bare(made).outcomes()["network"] == "ok"
    assert Path("/proc/sys/user/max_net_namespaces").read_text() == limit


def test_below_netns_there_is_no_netlink_without_a_supervisor(sandbox: NonoRun) -> None:
    code = "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)"
    run = sandbox.run(["/usr/bin/python3", "-I", "-c", code], flags=["--sandbox-policy=landlock"])
    assert "Operation not permitted" in run.stderr
