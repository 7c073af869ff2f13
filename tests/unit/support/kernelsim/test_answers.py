"""What the stand-in kernel answers, decided without one."""

from __future__ import annotations

import errno
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.kernelsim.answers import GENERATIONS, Answer, Call, Imagined, LeaveToHost, Verdict, decide
from support.kernelsim.bpf_interpreter import decode, run
from support.kernelsim.filter import (
    ARCHITECTURES,
    RET_ALLOW,
    RET_ERRNO,
    RET_TRACE,
    Architecture,
    outer_filter,
)

ATTR = 0x1000  # an address; the memory there is what `create` was given
ABIS = st.sampled_from(sorted(GENERATIONS))


def create(
    abi: int, attribute: bytes, *, attr: int = ATTR, size: int | None = None, flags: int = 0
) -> Verdict:
    def read(address: int, wanted: int) -> bytes:
        if address != ATTR or wanted > len(attribute):
            raise OSError(errno.EFAULT, "Bad address")
        return attribute[:wanted]

    args = (attr, len(attribute) if size is None else size, flags, 0, 0, 0)
    return decide(Imagined(landlock_abi=abi), Call("landlock_create_ruleset", args), read)


def unread(address: int, size: int) -> bytes:
    raise AssertionError("nothing of the caller's memory is needed")


def value(verdict: Verdict) -> int | None:
    return verdict.value if isinstance(verdict, Answer) else None


@pytest.mark.parametrize(
    ("attr", "size", "flags", "expected"),
    [
        pytest.param(0, 0, 1, 3, id="version"),
        pytest.param(0, 0, 1 | 1 << 32, 3, id="version-above-32-bits"),
        pytest.param(0, 8, 1, -errno.EINVAL, id="version-with-a-size"),
        pytest.param(ATTR, 0, 1, -errno.EINVAL, id="version-with-an-attribute"),
        pytest.param(0, 0, 2, -errno.EINVAL, id="errata"),
        pytest.param(0, 0, 4, -errno.EINVAL, id="unknown-flag"),
        pytest.param(0, 8, 0, -errno.EFAULT, id="null-attribute"),
        pytest.param(ATTR, 7, 0, -errno.EINVAL, id="too-small"),
        pytest.param(ATTR, 4097, 0, -errno.E2BIG, id="more-than-a-page"),
        pytest.param(ATTR + 1, 8, 0, -errno.EFAULT, id="unmapped-attribute"),
        pytest.param(ATTR, 8, 0, None, id="good"),
    ],
)
def test_create_ruleset_checks_its_arguments_as_6_6_does(
    attr: int, size: int, flags: int, expected: int | None
) -> None:
    assert value(create(3, pack("=Q", 1), attr=attr, size=size, flags=flags)) == expected


def test_the_errata_query_is_the_hosts_from_abi_6_on() -> None:
    assert value(create(5, b"", attr=0, size=0, flags=2)) == -errno.EINVAL
    assert isinstance(create(6, b"", attr=0, size=0, flags=2), LeaveToHost)


@given(ABIS, st.integers(0, 63))
def test_the_host_decides_exactly_the_rights_that_the_abi_knows(abi: int, bit: int) -> None:
    known = GENERATIONS[abi].handled_access_fs >> bit & 1
    assert value(create(abi, pack("=Q", 1 << bit))) == (None if known else -errno.EINVAL)


@given(ABIS, st.binary(min_size=8, max_size=64))
def test_what_an_abi_accepts_every_later_one_accepts(abi: int, attribute: bytes) -> None:
    if isinstance(create(abi, attribute), LeaveToHost):
        assert all(isinstance(create(later, attribute), LeaveToHost) for later in GENERATIONS if later > abi)


@given(ABIS, st.integers(0, 100))
def test_only_an_all_zero_tail_is_accepted(abi: int, tail: int) -> None:
    known = pack("=Q", 1).ljust(GENERATIONS[abi].attr_bytes, b"\0")
    assert isinstance(create(abi, known + bytes(tail)), LeaveToHost)
    assert value(create(abi, known + bytes(tail) + b"\1")) == -errno.E2BIG


@pytest.mark.parametrize(
    ("abi", "rule_type", "flags", "expected"),
    [
        pytest.param(1, 1, 0, None, id="path-1"),
        pytest.param(1, 1, 1, -errno.EINVAL, id="path-with-a-flag"),
        pytest.param(3, 2, 0, -errno.EINVAL, id="port-3"),
        pytest.param(4, 2, 0, None, id="port-4"),
        pytest.param(7, 3, 0, -errno.EINVAL, id="unknown-type"),
    ],
)
def test_add_rule_knows_the_rule_types_of_its_abi(
    abi: int, rule_type: int, flags: int, expected: int | None
) -> None:
    call = Call("landlock_add_rule", (3, rule_type, ATTR, flags, 0, 0))
    assert value(decide(Imagined(landlock_abi=abi), call, unread)) == expected


@pytest.mark.parametrize(
    ("abi", "flags", "expected"),
    [
        pytest.param(1, 0, None, id="none"),
        pytest.param(6, 2, -errno.EINVAL, id="log-6"),
        pytest.param(7, 2, None, id="log-7"),
        pytest.param(7, 8, -errno.EINVAL, id="tsync-7"),
    ],
)
def test_restrict_self_knows_the_flags_of_its_abi(abi: int, flags: int, expected: int | None) -> None:
    call = Call("landlock_restrict_self", (3, flags, 0, 0, 0, 0))
    assert value(decide(Imagined(landlock_abi=abi), call, unread)) == expected


@pytest.mark.parametrize("name", ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"])
def test_every_landlock_call_fails_alike_where_there_is_no_landlock(name: str) -> None:
    call = Call(name, (0, 0, 1, 0, 0, 0))
    absent = Imagined(landlock_abi=0, landlock_absent_errno=errno.ENOSYS)
    assert value(decide(absent, call, unread)) == -errno.ENOSYS
    assert isinstance(decide(Imagined(), call, unread), LeaveToHost)


def test_uname_stores_the_imagined_name_where_the_caller_wants_it() -> None:
    call = Call("uname", (ATTR, 0, 0, 0, 0, 0))
    verdict = decide(Imagined(utsname=b"name"), call, unread)
    assert isinstance(verdict, Answer)
    assert (verdict.value, verdict.store, verdict.address) == (0, b"name", ATTR)
    assert isinstance(decide(Imagined(landlock_abi=3), call, unread), LeaveToHost)


# --- the filter that brings the calls here ----------------------------------------------------------------

NEWUSER = 0x10000000
X86, ARM = ARCHITECTURES["x86_64"], ARCHITECTURES["aarch64"]


@pytest.mark.parametrize("architecture", [X86, ARM], ids=["x86_64", "aarch64"])
@pytest.mark.parametrize(
    ("name", "arg0", "expected"),
    [
        pytest.param("landlock_add_rule", 0, RET_TRACE, id="consulted"),
        pytest.param("uname", 0, RET_ALLOW, id="not-consulted"),
        pytest.param("unshare", NEWUSER | 0x20000, RET_ERRNO | errno.EPERM, id="unshare-user"),
        pytest.param("unshare", 0x20000, RET_ALLOW, id="unshare-mounts"),
        pytest.param("clone", NEWUSER | 17, RET_ERRNO | errno.EPERM, id="clone-user"),
        pytest.param("clone", 17, RET_ALLOW, id="fork"),
        pytest.param("clone3", 0, RET_ERRNO | errno.ENOSYS, id="clone3"),
        pytest.param("seccomp", 0, RET_ALLOW, id="another"),
    ],
)
def test_the_outer_filter_decides_by_call_and_argument(
    architecture: Architecture, name: str, arg0: int, expected: int
) -> None:
    program = decode(
        outer_filter(architecture, ["landlock_add_rule"], RET_TRACE, refuse_user_namespaces=True)
    )
    number, args = architecture.numbers[name], [arg0, 0, 0, 0, 0, 0]
    assert run(program, number, architecture.audit_arch, args)[0] == expected
    assert run(program, number, 0x40000003, args)[0] == RET_ALLOW  # AUDIT_ARCH_I386
