"""K4: rtnetlink lists what there is, and nothing is changed through it."""

from __future__ import annotations

import shutil
import socket

import pytest

from support.nono_run import NonoRun

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


@pytest.mark.parametrize("policy", ["netns", "landlock"])
def test_without_a_supervisor_there_is_no_netlink(sandbox: NonoRun, policy: str) -> None:
    code = "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)"
    run = sandbox.run(["/usr/bin/python3", "-I", "-c", code], flags=[f"--sandbox-policy={policy}"])
    assert "Operation not permitted" in run.stderr
