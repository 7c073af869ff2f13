"""Tried beside the catalogue: the terminal, inherited privilege, swapped paths, keys within reach."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from nono.errors import SandboxError
from nono.kernel import landlock
from nono.kernel.landlock_rights import HANDLED_FS
from nono.sandbox.apply import restrict
from nono.sandbox.plan.enforcement import StaticFilter
from nono.sandbox.plan.plan import PathRule, SandboxPlan
from support.forked import in_child
from support.nono_run import NONO, PROXY_ONLY, NonoRun

# A shell's terminal: the command leads a session whose controlling terminal is a new pty.
_ON_A_TERMINAL = """
import os, pty, sys
pid, master = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
said = b''
while True:
    try:
        piece = os.read(master, 4096)
    except OSError:
        break
    if not piece:
        break
    said += piece
sys.stdout.write(said.decode().replace('\\r\\n', '\\n'))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
_TYPE = """
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ioctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_char_p]
def answer(request, byte):
    return 'done' if libc.ioctl(0, request, byte) == 0 else errno.errorcode[ctypes.get_errno()]
answers = [answer(0x5412, b'x'), answer(0x5412 | 1 << 32, b'y'), answer(0x541C, b'\\x03')]
os.write(1, ('ANSWERS ' + ' '.join(answers) + '\\n').encode())
"""
OPEN_NET: Mapping[str, object] = {}
CAP_SYS_ADMIN = 21
BLOCKED: Mapping[str, object] = {"network": {"block": True}}


def _said(text: str) -> list[str]:
    line = next((line for line in text.splitlines() if line.startswith("ANSWERS ")), text)
    return line.split()[1:]


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param(OPEN_NET, id="open network"),
        pytest.param(BLOCKED, id="no network"),
        pytest.param(PROXY_ONLY, id="proxy only"),
    ],
)
def test_nothing_is_typed_into_the_terminal(profile: Mapping[str, object], sandbox: NonoRun) -> None:
    command = [sys.executable, "-I", "-S", "-c", _TYPE]
    ended = sandbox.run(command, profile=profile, wrapper=[sys.executable, "-I", "-c", _ON_A_TERMINAL])
    assert _said(ended.stdout) == ["EPERM"] * 3


def test_nothing_is_typed_into_the_terminal_without_a_supervisor(sandbox: NonoRun) -> None:
    grants = sandbox.argv([])[:-1]
    wrap = [*NONO, "wrap", *[word for word in grants if word.startswith(("--allow=", "--read="))], "--"]
    command = [sys.executable, "-I", "-c", _ON_A_TERMINAL, *wrap, sys.executable, "-I", "-S", "-c", _TYPE]
    assert _said(sandbox.bare(command).stdout) == ["EPERM"] * 3


def test_the_terminal_can_be_typed_into_without_nono(sandbox: NonoRun) -> None:
    setting = Path("/proc/sys/dev/tty/legacy_tiocsti")  # from 6.2 on
    if setting.exists() and setting.read_text().strip() != "1":
        pytest.skip("this kernel lets nobody type into a terminal")
    command = [sys.executable, "-I", "-c", _ON_A_TERMINAL, sys.executable, "-I", "-S", "-c", _TYPE]
    assert _said(sandbox.bare(command).stdout)[:2] == ["done", "done"]


# Everything inheritable, then everything ambient: as old container engines and unit files leave it.
_WITH_INHERITED_CAPABILITIES = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
data = (ctypes.c_uint32 * 6)()
assert libc.capget(header, data) == 0
data[2], data[5] = data[1], data[4]
assert libc.capset(header, data) == 0
for number in range(41):
    libc.prctl(47, 2, number, 0, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
_SHOW_CAPABILITIES = """
import json
wanted = ('CapInh', 'CapPrm', 'CapEff', 'CapAmb')
print(json.dumps([line.split()[1] for line in open('/proc/self/status') if line.startswith(wanted)]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities to hand down")
def test_root_hands_no_dangerous_capability_down(sandbox: NonoRun) -> None:
    stage = [sys.executable, "-I", "-c", _WITH_INHERITED_CAPABILITIES]
    ended = sandbox.run([sys.executable, "-I", "-S", "-c", _SHOW_CAPABILITIES], stage=stage)
    sets = [int(text, 16) for text in ended.outcomes()]
    assert [each & 1 << CAP_SYS_ADMIN for each in sets] == [0] * 4


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities to hand down")
def test_a_capability_that_is_handed_down_arrives_without_nono() -> None:
    stage = [sys.executable, "-I", "-c", _WITH_INHERITED_CAPABILITIES]
    command = [*stage, sys.executable, "-I", "-S", "-c", _SHOW_CAPABILITIES]
    sets = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)
    if not int(sets[1], 16) & 1 << CAP_SYS_ADMIN:
        pytest.skip("this root does not have the capability itself")
    assert [int(text, 16) & 1 << CAP_SYS_ADMIN for text in sets] == [1 << CAP_SYS_ADMIN] * 4


def test_a_key_file_within_the_grants_is_a_reason_not_to_start(sandbox: NonoRun) -> None:
    key = sandbox.project / "key.txt"
    key.write_text("the real key of the service\n")
    key.chmod(0o600)
    sandbox.give(key)
    ended = sandbox.run(["cat", str(key)], profile=_with_key(f"file://{key}"))
    assert (ended.exit_code, "the real key" in ended.stdout) == (1, False)
    assert "credential 'demo'" in ended.stderr


def test_a_key_file_outside_the_grants_is_none(sandbox: NonoRun) -> None:
    key = sandbox.user.home / "key.txt"
    key.write_text("the real key of the service\n")
    key.chmod(0o600)
    sandbox.give(key)
    ended = sandbox.run(["cat", str(key)], profile=_with_key(f"file://{key}"))
    assert "the real key" not in ended.stdout
    assert "Permission denied" in ended.stderr


def _with_key(reference: str) -> Mapping[str, object]:
    demo = {"upstream": "https://localhost:9/v1", "credential_key": reference, "env_var": "DEMO_KEY"}
    return {"network": {"credentials": ["demo"], "custom_credentials": {"demo": demo}}}


# The way to the state of nono, to be replaced by the command so that the next run keeps its keys elsewhere.
def test_a_link_on_the_way_to_nonos_state_is_not_granted(sandbox: NonoRun) -> None:
    local, elsewhere = sandbox.user.home / "data", sandbox.user.home / "disk"
    for directory in (local, elsewhere):
        directory.mkdir(mode=0o700)
        sandbox.give(directory)
    (local / "state").symlink_to(elsewhere)
    flags, state = [f"--allow={local}"], {"XDG_STATE_HOME": str(local / "state")}
    refused = sandbox.run(["true"], flags=flags, environment=state)
    assert (refused.exit_code, "protected nono state root" in refused.stderr) == (1, True)
    assert sandbox.run(["true"], flags=flags).exit_code == 0


_BIND = """
import ctypes, errno, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
address = struct.pack('=H', 10) + struct.pack('!HI', 4123, 0) + bytes(15) + b'\\1' + bytes(4)
with socket.socket() as bound:
    result = libc.bind(bound.fileno(), address, len(address))
print(result, errno.errorcode.get(ctypes.get_errno()))
"""


@pytest.mark.needs("listener")
def test_an_address_of_the_other_family_fails_as_it_would_without_nono(sandbox: NonoRun) -> None:
    command = [sys.executable, "-I", "-S", "-c", _BIND]
    flags = ["--listen-port=4123"]
    assert sandbox.run(command, flags=flags).stdout == sandbox.bare(command).stdout == "-1 EAFNOSUPPORT\n"


def test_a_grant_that_became_a_link_after_it_was_judged_opens_nothing(tmp_path: Path) -> None:
    granted, secret = tmp_path / "granted", tmp_path / "secret"
    granted.mkdir()
    secret.mkdir()
    (secret / "file").write_text("secret")
    plan = _plan(granted)
    assert in_child(lambda: restrict(plan)) is None
    granted.rmdir()
    granted.symlink_to(secret)

    def refused() -> str:
        with pytest.raises(SandboxError) as caught:
            restrict(plan)
        return caught.value.message

    assert "symbolic link" in in_child(refused)


def _plan(directory: Path) -> SandboxPlan:
    rule = PathRule(str(directory.resolve()), reads=True, writes=False, is_dir=True, required=True)
    abi = landlock.abi_version()
    return SandboxPlan(abi, HANDLED_FS[abi], 0, 0, (rule,), (), (), StaticFilter.OPEN_NET, None)


# A socket that is closed while another thread's connect(2) on it is served leaves its last descriptor to the
# supervisor, which is also the one that the unsent bytes wait for.
_LINGER = """
import os, signal, socket, struct, sys, threading, time, urllib.parse
proxy = urllib.parse.urlsplit(os.environ['HTTPS_PROXY'])
address, upstream = (proxy.hostname, proxy.port), sys.argv[1]
request = (f'GET http://{upstream}/ HTTP/1.1\\r\\nHost: {upstream}\\r\\n'
           f"Proxy-Authorization: Bearer {os.environ['NONO_PROXY_TOKEN']}\\r\\n\\r\\n").encode()
def connect_again(full):
    while True:
        full.connect_ex(address)
def leave_a_socket_behind():
    full = socket.create_connection(address)
    full.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 60))
    full.sendall(request * 2)
    full.settimeout(0.2)
    try:
        while True:
            full.send(request * 1000)
    except TimeoutError:
        full.setblocking(False)
    for _ in range(2):
        threading.Thread(target=connect_again, args=(full,), daemon=True).start()
    time.sleep(0.02)
    os.close(full.fileno())
    time.sleep(60)
for attempt in range(8):
    pid = os.fork()
    if pid == 0:
        leave_a_socket_behind()
    time.sleep(0.5)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    started = time.monotonic()
    socket.create_connection(address, timeout=20).close()
    assert time.monotonic() - started < 15
print('served')
"""


def test_a_lingering_socket_does_not_stop_the_supervisor(sandbox: NonoRun) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        upstream = f"localhost:{silent.getsockname()[1]}"
        profile = {"network": {"allow_domain": [upstream]}}
        command = [sys.executable, "-I", "-S", "-c", _LINGER, upstream]
        ended = sandbox.run(command, profile=profile)
    assert (ended.stdout, ended.exit_code) == ("served\n", 0), ended.stderr
