"""What is said of a call that the seccomp program refused by its registers."""

from __future__ import annotations

import errno

import pytest

from nono.supervisor.verdict.adjudicator import STATIC_FILTER
from nono.supervisor.verdict.register_call import refuse_by_registers

HIGH = 0xDEADBEEF << 32


@pytest.mark.parametrize(
    ("name", "args", "target"),
    [
        pytest.param("sendmsg", (3, 1, 0x20000000), "sendmsg(MSG_FASTOPEN)", id="fast-open"),
        pytest.param("socket", (2, 0x80002, 17), "socket(family=2, type=2, protocol=17)", id="socket"),
        pytest.param("setsockopt", (3, 1, 25), "setsockopt(level=1, option=25)", id="option"),
        pytest.param(
            "setsockopt", (3, HIGH | 1, HIGH | 25), "setsockopt(level=1, option=25)", id="option-high-bits"
        ),
        pytest.param(
            "setsockopt", (3, HIGH | 279, 7), "setsockopt(level=279, option=7)", id="key of a cipher"
        ),
        pytest.param(
            "setsockopt", (3, HIGH | 270, HIGH | 1), "setsockopt(level=270, option=1)", id="group of netlink"
        ),
        pytest.param("prlimit64", (4711, 0, 1), "prlimit64(pid=4711)", id="limit"),
        pytest.param("setpriority", (HIGH | 1, 0, 19), "setpriority(which=1)", id="priority"),
        pytest.param("ioprio_set", (2, 0, 1), "ioprio_set(which=2)", id="io-priority"),
        pytest.param("request_key", (1, 1, 1), "request_key", id="key"),
        pytest.param("userfaultfd", (1, 0, 0), "userfaultfd", id="faults"),
        pytest.param("fcntl", (3, HIGH | 1024, 1), "fcntl(cmd=1024)", id="lease"),
        pytest.param("ioctl", (0, HIGH | 0x5412, 0), "ioctl(0x5412)", id="typing"),
        pytest.param("ioctl", (3, HIGH | 0xAA00, 0), "ioctl(0xaa00)", id="faults of the device"),
        pytest.param("ioctl", (3, HIGH | 0x50009417, 0), "ioctl(0x50009417)", id="snapshot"),
        pytest.param("ioctl", (3, 0x40806685, 0), "ioctl(0x40806685)", id="verity"),
        pytest.param("open_by_handle_at", (3, 0, 0), "open_by_handle_at", id="handle"),
        pytest.param("fsopen", (1, 0, 0), "fsopen", id="file-system"),
        pytest.param("setns", (3, 0x10000000, 0), "setns", id="namespace"),
        pytest.param("perf_event_open", (0, HIGH | 0xFFFFFFFF, 0), "perf_event_open(pid=-1)", id="whole-cpu"),
        pytest.param("perf_event_open", (0, 4711, 0), "perf_event_open(pid=4711)", id="cgroup"),
        pytest.param("io_uring_setup", (1, 0, 0), "io_uring_setup", id="ring"),
        pytest.param(None, (1, 0, 0), "nr=600", id="no-name"),
    ],
)
def test_a_refusal_names_what_was_asked_for(name: str | None, args: tuple[int, ...], target: str) -> None:
    refusal = refuse_by_registers(name, 600, (*args, 0, 0, 0))
    assert (refusal.target, refusal.port, refusal.rule) == (target, None, STATIC_FILTER)
    assert refusal.errno_value == errno.EPERM
    assert refusal.reason


def test_the_device_of_faults_is_refused_for_the_reason_of_its_call() -> None:
    by_call = refuse_by_registers("userfaultfd", 600, (1, 0, 0, 0, 0, 0))
    assert refuse_by_registers("ioctl", 600, (3, 0xAA00, 0, 0, 0, 0)).reason == by_call.reason
    assert refuse_by_registers("ioctl", 600, (3, 0x5412, 0, 0, 0, 0)).reason != by_call.reason


def test_the_key_of_a_cipher_is_refused_for_the_reason_of_keys() -> None:
    by_call = refuse_by_registers("keyctl", 600, (0, 0, 0, 0, 0, 0))
    assert refuse_by_registers("setsockopt", 600, (3, 279, 7, 0, 0, 0)).reason == by_call.reason
    assert refuse_by_registers("setsockopt", 600, (3, 1, 25, 0, 0, 0)).reason != by_call.reason


@pytest.mark.parametrize("family", [2, 10])
def test_a_refused_udp_socket_names_who_works_without_before_the_clients_that_ignore_the_proxy(
    family: int,
) -> None:
    udp = refuse_by_registers("socket", 41, (family, 2 | 0o2000000, 0, 0, 0, 0))
    assert udp.hint is not None
    assert udp.hint.index("works without") < udp.hint.index("HTTPS_PROXY")
    assert "HTTPS_PROXY" in udp.hint
    assert refuse_by_registers("socket", 41, (family, 3, 1, 0, 0, 0)).hint is None
    assert refuse_by_registers("socketpair", 53, (family, 2, 0, 0, 0, 0)).hint is None


@pytest.mark.parametrize(
    ("name", "words"), [("socketpair", "--sandbox-policy netns"), ("socket", "work without")]
)
def test_a_refused_datagram_socket_of_unix_says_who_asks_for_one(name: str, words: str) -> None:
    """socat, which makes a pair of them before it listens, says no more than `bit out of range`."""
    refusal = refuse_by_registers(name, 41, (1, 2 | 0o2000000, 0, 0, 0, 0))
    assert words in (refusal.hint or "")
    assert refuse_by_registers(name, 41, (1, 3, 0, 0, 0, 0)).hint is None


@pytest.mark.parametrize(
    ("request_number", "words"),
    [
        *((0x50009417, "a snapshot"), (0x40806685, "change files"), (0x5412, "your shell")),
        *((0x4B45, "console"), (0x5602, "console"), (0x5423, "useless")),
    ],
    ids=["snapshot", "verity", "typing", "keyboard", "switching", "line discipline"],
)
def test_a_request_of_ioctl_is_refused_for_its_own_reason(request_number: int, words: str) -> None:
    assert words in refuse_by_registers("ioctl", 600, (3, request_number, 0, 0, 0, 0)).reason
