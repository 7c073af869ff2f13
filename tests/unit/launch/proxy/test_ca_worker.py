"""nono.launch.proxy.ca_worker: the CA that a forked process makes is one, and the process leaves nothing."""

from __future__ import annotations

import ctypes
import marshal
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from nono.kernel import process
from nono.kernel.libc import prctl
from nono.kernel.uapi.process import PR_GET_PDEATHSIG
from nono.launch.proxy.ca_worker import CaWorker, ca_worker, named_hosts
from nono.launch.proxy.trust import LazyCa
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.request import RunRequest
from nono.policy.resolve import Resolved, resolve
from nono.proxy.handshake.alpn import HTTP1
from nono.proxy.tls.ca_certificate import MadeCa
from nono.proxy.tls.session_ca import SessionCa


def policy(environ: dict[str, str], request: RunRequest) -> Resolved:
    return resolve(request, None, environ=environ, cwd=environ["HOME"], fs=HostFilesystem())


def intercepting(environ: dict[str, str]) -> Resolved:
    return policy(environ, RunRequest(credential=("openai",)))


@contextmanager
def begun(environ: dict[str, str], ended: list[int] | None = None) -> Iterator[CaWorker]:
    """Yield a process at work; it is reaped as supervise() does it, and its wait status goes into ended."""
    before = set(process.child_pids())
    with ca_worker(intercepting(environ), environ) as ahead:
        assert ahead is not None
        (pid,) = set(process.child_pids()) - before
        yield ahead
    status = os.waitpid(pid, 0)[1]
    if ended is not None:
        ended.append(os.waitstatus_to_exitcode(status))


def test_what_it_makes_is_an_authority_that_certifies_hosts(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    with begun(environ) as ahead:
        made = ahead.take()
    assert made is not None
    authority = SessionCa.from_made(MadeCa(*made.made))
    assert authority.certificate_pem == made.certificate_pem
    authority.server_context("api.openai.com")
    assert made.truststore is None


def test_a_handshake_for_a_host_that_the_run_names_imports_no_cryptography(tmp_path: Path) -> None:
    with begun({"HOME": str(tmp_path)}) as ahead:
        made = ahead.take()
    assert made is not None
    program = (
        "import marshal, sys\n"
        "from nono.launch.proxy.ca_worker import PregeneratedCa\n"
        "from nono.launch.proxy.trust import LazyCa\n"
        "from nono.proxy.handshake.alpn import HTTP1\n"
        "made = PregeneratedCa(*marshal.loads(sys.stdin.buffer.read()))\n"
        "LazyCa(made, None).server_context(sys.argv[1], HTTP1, x25519=False)\n"
        "print('cryptography' in sys.modules)\n"
    )

    def imported_for(host: str) -> str:
        argv = [sys.executable, "-I", "-c", program, host]
        return subprocess.check_output(argv, input=marshal.dumps(tuple(made)), timeout=30).decode().strip()

    assert imported_for("api.openai.com") == "False"
    assert imported_for("other.example.com") == "True"


def test_its_leaves_are_for_hosts_that_the_run_names(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    request = RunRequest(
        credential=("openai",), allow_domain=("https://docs.test/v1/**", "https://*.wild.test/v1/**")
    )
    resolved = policy(environ, request)
    assert resolved.scopes
    assert named_hosts(resolved) == ["api.openai.com", "docs.test"]


@pytest.mark.parametrize("is_spent", [False, True], ids=["fresh", "about to expire"])
def test_clients_accept_a_leaf_that_it_made(tmp_path: Path, is_spent: bool) -> None:
    environ = {"HOME": str(tmp_path)}
    with begun(environ) as ahead:
        made = ahead.take()
    assert made is not None
    pem, renew_at_s = made.leaves["api.openai.com"]
    assert renew_at_s > time.time() + 3600
    if is_spent:
        made.leaves["api.openai.com"] = (pem, time.time())
    lazy = LazyCa(made, None)
    context = lazy.server_context("api.openai.com", HTTP1, x25519=False)
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.verify_flags |= ssl.VERIFY_X509_STRICT
    trust.load_verify_locations(cadata=made.certificate_pem.decode())
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trust.wrap_bio(down, up, server_hostname="api.openai.com")
    server = context.wrap_bio(up, down, server_side=True)
    for end in (client, server) * 2:
        with suppress(ssl.SSLWantReadError):
            end.do_handshake()
    der = client.getpeercert(binary_form=True)
    assert der is not None
    assert (ssl.DER_cert_to_PEM_cert(der).encode() in pem) is not is_spent


def test_its_truststore_holds_the_authority_where_java_is(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "JAVA_HOME": "/opt/jdk"}
    with begun(environ) as ahead:
        made = ahead.take()
    assert made is not None
    assert made.truststore is not None
    assert made.made[0] in made.truststore


def test_a_run_that_intercepts_nothing_makes_none(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    resolved = policy(environ, RunRequest(allow_domain=("example.com",)))
    before = process.child_pids()
    with ca_worker(resolved, environ) as ahead:
        assert ahead is None
        assert process.child_pids() == before


def test_one_that_fails_leaves_the_making_to_the_supervisor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr("nono.launch.proxy.ca_worker._made", fail)  # which the fork inherits
    environ = {"HOME": str(tmp_path)}
    ended: list[int] = []
    with begun(environ, ended) as ahead:
        assert ahead.take() is None
    assert ended == [1]


def test_it_does_not_outlive_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object) -> bytes:
        time.sleep(60)
        return b""

    monkeypatch.setattr("nono.launch.proxy.ca_worker._made", hang)
    environ = {"HOME": str(tmp_path)}
    ended: list[int] = []
    with begun(environ, ended):
        pass
    assert ended == [-signal.SIGKILL]


def test_one_that_is_stopped_is_waited_for_by_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object) -> bytes:
        time.sleep(60)
        return b""

    monkeypatch.setattr("nono.launch.proxy.ca_worker._made", hang)
    environ = {"HOME": str(tmp_path)}
    with ca_worker(intercepting(environ), environ) as ahead:
        assert ahead is not None
        ahead.stop()
        assert os.waitstatus_to_exitcode(os.wait()[1]) == -signal.SIGKILL


def test_it_keeps_no_descriptor_but_its_pipe_and_ends_with_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It outlives no supervisor, and holds nothing open that another process waits for."""

    def look(*_: object) -> bytes:
        number = ctypes.c_int()
        prctl(PR_GET_PDEATHSIG, ctypes.addressof(number), tried="prctl")
        kept = [int(name) for name in os.listdir("/proc/self/fd")]
        made = (bytes([number.value]), b"", 0, 0)
        return marshal.dumps((bytes(kept), made, 0, {}, ((), (), ()), None))

    monkeypatch.setattr("nono.launch.proxy.ca_worker._made", look)
    with open(os.devnull, "rb") as held, begun({"HOME": str(tmp_path)}) as ahead:
        found = ahead.take()
        assert found is not None
        assert held.fileno() not in found.certificate_pem
        # The standard streams, the pipe, and the directory that is being listed.
        assert len(found.certificate_pem) == 5
        assert found.made[0] == bytes([signal.SIGKILL])
