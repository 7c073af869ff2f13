"""`nono why`, the plan that the kernel gets, the supervisor's verdicts and the kernel itself say the same.

Each law is tried on random policies. What a plan permits is worked out here from its rules as landlock(7) and
seccomp(2) say: rights add up along the path, a program is run instruction by instruction.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nono.errors import NonoError
from nono.kernel import filters, landlock, landlock_rights
from nono.kernel.uapi import landlock as uapi
from nono.kernel.uapi.seccomp import (
    AUDIT_ARCH,
    SECCOMP_RET_ALLOW,
    SECCOMP_RET_USER_NOTIF,
    SYSCALL_NUMBERS,
)
from nono.launch.state.capability_state import state_of
from nono.launch.state.file import identity
from nono.policy.capability import Access
from nono.policy.effective_policy import effective_policy_of
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.path_expansion import is_within
from nono.policy.request import RunRequest
from nono.policy.resolve import Resolved, resolve
from nono.policy.schema.profile import Filesystem as Files
from nono.policy.schema.profile import Meta, Profile
from nono.policy.why.paths import why_path_since
from nono.sandbox import apply
from nono.sandbox.plan.enforcement import Enforcement, Refusal
from nono.sandbox.plan.facts import HostFacts, Listener, MaskFacts
from nono.sandbox.plan.ladder import choose_enforcement
from nono.sandbox.plan.plan import SandboxPlan, draw
from nono.supervisor.verdict.adjudicator import (
    NetworkGrants,
    Perform,
    judge_bind,
    judge_connect,
    judge_listen,
    loopback,
)
from nono.supervisor.verdict.open_call import OpenCall
from nono.supervisor.verdict.open_verdict import Found, Leave, judge_open
from nono.supervisor.verdict.syscall_args import InetAddress
from support.forked import child, in_child
from support.kernelsim.bpf_interpreter import decode, run
from support.profiles.questions import why_host, why_path

MACHINE = os.uname().machine
ABI = landlock.abi_version()
FS = HostFilesystem()
PROXY_PORT = 40001
DIRECTORIES = ("a", "a/b", "a/b/c", "d")
FILES = tuple(f"{directory}/{name}" for directory in DIRECTORIES for name in ("x", "y"))
RIGHTS = {
    Access.READ: uapi.LANDLOCK_ACCESS_FS_READ_FILE,
    Access.WRITE: uapi.LANDLOCK_ACCESS_FS_WRITE_FILE,
    Access.READWRITE: uapi.LANDLOCK_ACCESS_FS_READ_FILE | uapi.LANDLOCK_ACCESS_FS_WRITE_FILE,
}
OPEN_FLAGS = {Access.READ: os.O_RDONLY, Access.WRITE: os.O_WRONLY, Access.READWRITE: os.O_RDWR}

pytestmark = pytest.mark.skipif(ABI == 0, reason="this kernel has no Landlock")
quietly = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Yield a home directory with a tree, outside what every command may write."""
    root = Path(tempfile.mkdtemp(prefix="nono-agree-", dir="/var/tmp")).resolve()
    for directory in DIRECTORIES:
        (root / directory).mkdir(parents=True, exist_ok=True)
    for file in FILES:
        (root / file).write_text("content")
    yield root
    shutil.rmtree(root)


def some(values: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), max_size=2, unique=True).map(tuple)


grants_of_files = st.fixed_dictionaries(
    {
        **{name: some(DIRECTORIES) for name in ("allow", "read", "write")},
        **{f"{name}_file": some(FILES) for name in ("allow", "read", "write")},
    }
)
ports = st.lists(st.sampled_from([0, 1, 22, 443, 8080, 65535]), max_size=2, unique=True).map(tuple)
# 0 is no port to connect to, and one that a server may not ask for.
grants_of_ports = st.fixed_dictionaries(
    {
        name: ports.map(lambda chosen: tuple(port for port in chosen if port))
        for name in ("listen_port", "open_port", "allow_connect_port")
    }
)
wishes = st.sampled_from([{"block_net": True}, {"allow_domain": ("x.example",)}, {}])
addresses = st.sampled_from(["127.0.0.1", "127.0.0.2", "::1", "203.0.113.7", "2001:db8::7"])
tried_ports = st.sampled_from([1, 22, 443, 8080, 65535, 5000])


def facts(abi: int, listener: Listener = Listener.AVAILABLE) -> HostFacts:
    return HostFacts("6.12.0", abi, listener, "", True, False, masks=MaskFacts())


def policy(home: Path, request: dict[str, object], deny: tuple[str, ...] = ()) -> Resolved | None:
    """Resolve the policy; None: it is refused, and so nothing is run."""
    profile = Profile(meta=Meta(name="random"), filesystem=Files(deny=deny))
    environ = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    try:
        return resolve(RunRequest(**request), profile, environ=environ, cwd=str(home), fs=FS)  # type: ignore[arg-type]  # a strategy's values
    except NonoError:
        return None


def drawn(resolved: Resolved, abi: int = ABI, listener: Listener = Listener.AVAILABLE) -> SandboxPlan | None:
    enforcement = choose_enforcement(resolved.capabilities, facts(abi, listener))
    if isinstance(enforcement, Refusal):
        return None
    port = PROXY_PORT if enforcement.rung is not None else None
    return draw(resolved.capabilities, facts(abi, listener), enforcement, proxy_port=port)


def rights_on(plan: SandboxPlan, path: str) -> int:
    """Return the rights of every rule on the way to a file; what a mask hides has none."""
    if any(is_within(path, mask.path) for mask in plan.masks):
        return 0
    rights = 0
    for rule in plan.path_rules:
        if rule.path == path or (rule.is_dir and is_within(path, rule.path)):
            rights |= landlock_rights.access_rights(
                rule.reads, rule.writes, rule.is_dir, False, plan.landlock_abi
            )
    return rights


@quietly
@given(grants_of_files, some((*DIRECTORIES, *FILES)), st.sampled_from(FILES), st.sampled_from(list(Access)))
@example({"allow": ("a",), "read_file": ("a/x",)}, ("a/b",), "a/b/x", Access.READ)
def test_why_plan_and_supervisor_agree_on_files(
    home: Path, request: dict[str, object], deny: tuple[str, ...], file: str, access: Access
) -> None:
    resolved = policy(home, request, deny)
    if resolved is None or (plan := drawn(resolved)) is None:
        return
    path = str(home / file)
    is_granted = why_path(resolved, path, access, FS).status == "allowed"
    assert is_granted == (rights_on(plan, path) & RIGHTS[access] == RIGHTS[access])
    call = OpenCall(-100, os.fsencode(path), OPEN_FLAGS[access])
    verdict = judge_open(call, Found(path, "file"), effective_policy_of(resolved, FS).files)
    assert is_granted == isinstance(verdict, Leave)


@settings(parent=quietly, max_examples=30)
@given(grants_of_files)
@example({"read": ("a",), "write_file": ("a/b/x",)})
@example({"write": ("a/b",), "read_file": ("a/b/x", "d/y")})
def test_the_kernel_opens_exactly_what_why_says(home: Path, request: dict[str, object]) -> None:
    """Every file of the tree for every access, in a child that the plan restricts."""
    resolved = policy(home, request)
    assert resolved is not None
    plan = drawn(resolved)
    assert plan is not None
    cases = [(str(home / file), access) for file in FILES for access in Access]
    said = [why_path(resolved, path, access, FS).status == "allowed" for path, access in cases]

    def opened() -> list[bool]:
        apply.restrict(plan)
        return [opens(path, OPEN_FLAGS[access]) for path, access in cases]

    assert in_child(opened) == said


@settings(parent=quietly, max_examples=20)
@given(grants_of_files, some(FILES))
@example({"read_file": ("a/x",)}, ("a/x",))
@example({"read": ("a",), "read_file": ("a/x",)}, ("a/x",))
def test_why_inside_agrees_with_the_kernel_after_files_were_replaced(
    home: Path, request: dict[str, object], replaced: tuple[str, ...]
) -> None:
    """Another process does it, once the plan restricts; the state is that of the start."""
    resolved = policy(home, request)
    assert resolved is not None
    plan = drawn(resolved)
    assert plan is not None
    state = state_of(effective_policy_of(resolved, FS), Enforcement(rung=None), ABI, identity)
    cases = [(str(home / file), access) for file in FILES for access in Access]
    go, went = os.pipe(), os.pipe()

    def opened() -> list[bool]:
        apply.restrict(plan)
        os.write(go[1], b"!")
        os.read(went[0], 1)
        return [opens(path, OPEN_FLAGS[access]) for path, access in cases]

    try:
        with child(opened) as started:
            os.read(go[0], 1)
            for file in replaced:
                new = home / f"{file}.new"
                new.write_text("content")
                new.replace(home / file)
            os.write(went[1], b"!")
            seen = started.result()
    finally:
        for end in (*go, *went):
            os.close(end)
    stale = state.stale(identity)
    said = [
        why_path_since(state.rules, resolved.path_context, path, access, FS, stale).status == "allowed"
        for path, access in cases
    ]
    assert seen == said


def opens(path: str, flags: int) -> bool:
    try:
        os.close(os.open(path, flags))
    except PermissionError:
        return False
    return True


def in_ranges(port: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= port <= last for first, last in ranges)


@quietly
@given(grants_of_ports, wishes, addresses, tried_ports)
@example({"open_port": (8080,)}, {"block_net": True}, "127.0.0.2", 8080)
@example({"open_port": (8080,)}, {"block_net": True}, "203.0.113.7", 8080)
def test_why_plan_and_supervisor_agree_on_connections(
    home: Path, granted: dict[str, tuple[int, ...]], wish: dict[str, object], host: str, port: int
) -> None:
    resolved = policy(home, granted | wish)
    if resolved is None or (plan := drawn(resolved, 7)) is None:
        return
    capabilities = resolved.capabilities
    answer = why_host(resolved, host, port)
    if not capabilities.restricts_network:
        assert answer.reason == "network_allowed"
        assert plan.handled_net == 0
        return
    proxy = loopback(PROXY_PORT) if wish.get("allow_domain") else None
    grants = NetworkGrants(proxy, capabilities.ports)
    verdict = judge_connect(InetAddress(ip_address(host), port), grants)
    assert isinstance(verdict, Perform) == (answer.reason == "port_granted")
    assert isinstance(judge_connect(loopback(PROXY_PORT), grants), Perform) == (proxy is not None)
    # Landlock beside the supervisor knows no address: it may not refuse what is granted, and refuses what
    # no address may be reached on.
    assert plan.handled_net & uapi.LANDLOCK_ACCESS_NET_CONNECT_TCP
    somewhere = any(
        isinstance(judge_connect(InetAddress(ip_address(each), port), grants), Perform)
        for each in ("127.0.0.1", "203.0.113.7")
    )
    assert in_ranges(port, plan.connect_ports) == somewhere
    assert in_ranges(PROXY_PORT, plan.connect_ports) == (proxy is not None)


@quietly
@given(grants_of_ports, wishes, addresses, tried_ports)
def test_plan_and_supervisor_agree_on_servers(
    home: Path, granted: dict[str, tuple[int, ...]], wish: dict[str, object], host: str, port: int
) -> None:
    resolved = policy(home, granted | wish)
    if resolved is None or (plan := drawn(resolved, 7)) is None:
        return
    if not resolved.capabilities.restricts_network:
        return
    grants = NetworkGrants(None, resolved.capabilities.ports)
    address = InetAddress(ip_address(host), port)
    is_bound = isinstance(judge_bind(address, grants), Perform)
    assert is_bound == isinstance(judge_listen(address, grants), Perform)
    somewhere = any(
        isinstance(judge_bind(InetAddress(ip_address(each), port), grants), Perform)
        for each in ("127.0.0.1", "203.0.113.7")
    )
    assert in_ranges(port, plan.bind_ports) == somewhere
    assert somewhere or not is_bound


families = st.sampled_from(list(range(48)))
protocols = st.sampled_from([0, socket.IPPROTO_TCP, socket.IPPROTO_UDP, 262])  # the last: MPTCP
kinds = st.sampled_from([kind | flag for kind in range(7) for flag in (0, socket.SOCK_CLOEXEC)])


def answers(plan: SandboxPlan, nr: int, arguments: tuple[int, ...]) -> set[int]:
    """Return the answer of each program of the plan."""
    names = [each.value for each in (plan.static_filter, plan.listener) if each is not None]
    return {run(decode(filters.load(name)), nr, AUDIT_ARCH[MACHINE], arguments)[0] for name in names}


@quietly
@given(
    grants_of_ports,
    wishes,
    st.sampled_from(list(Listener)),
    families,
    kinds,
    protocols,
)
@example({}, {"allow_domain": ("x.example",)}, Listener.AVAILABLE, socket.AF_INET, socket.SOCK_STREAM, 262)
def test_sockets_exist_where_network_or_proxy_needs_them(
    home: Path,
    granted: dict[str, tuple[int, ...]],
    wish: dict[str, object],
    listener: Listener,
    family: int,
    kind: int,
    protocol: int,
) -> None:
    """By the programs of whatever rung it is; a socket(2) that reaches the supervisor is one it refuses."""
    resolved = policy(home, granted | wish)
    if resolved is None or (plan := drawn(resolved, 7, listener)) is None:
        return
    had = answers(plan, SYSCALL_NUMBERS[MACHINE]["socket"], (family, kind, protocol, 0, 0, 0)) == {
        SECCOMP_RET_ALLOW
    }
    bare_kind = kind & ~socket.SOCK_CLOEXEC
    is_tcp = (
        family in (socket.AF_INET, socket.AF_INET6) and bare_kind == socket.SOCK_STREAM and protocol in (0, 6)
    )
    if not resolved.capabilities.restricts_network:
        if is_tcp or (family in (socket.AF_INET, socket.AF_INET6) and bare_kind == socket.SOCK_DGRAM):
            assert had
        return
    talks = "allow_domain" in wish or any(resolved.capabilities.ports)
    is_udp = (
        family in (socket.AF_INET, socket.AF_INET6) and bare_kind == socket.SOCK_DGRAM and protocol in (0, 17)
    )
    if family != socket.AF_UNIX:
        assert had == ((is_tcp or (is_udp and plan.private_network)) and talks)


@quietly
@given(wishes, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
@example({"allow_domain": ("x.example",)}, 0, 0, 0)
@example({"allow_domain": ("x.example",)}, 0x20000000, 0, 0)
def test_every_restricted_network_refuses_sends_that_connect(
    home: Path, wish: dict[str, object], flags: int, address: int, length: int
) -> None:
    resolved = policy(home, wish)
    assert resolved is not None
    plan = drawn(resolved)
    if plan is None or "allow_domain" not in wish:
        return
    nr = SYSCALL_NUMBERS[MACHINE]["sendto"]
    found = answers(plan, nr, (3, 0, 0, flags, address, length))
    assert (found == {SECCOMP_RET_ALLOW}) == (not flags & socket.MSG_FASTOPEN)
    assert found <= {SECCOMP_RET_ALLOW, SECCOMP_RET_USER_NOTIF}
