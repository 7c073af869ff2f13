"""Each option of the simulator, by its effect on what the real kernel does."""

from __future__ import annotations

import errno
import platform
import resource
import subprocess
import sys
from pathlib import Path
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.kernelsim.caller import Caller
from support.kernelsim.calls import landlock_abi
from support.kernelsim.command_line import parse
from support.kernelsim.kernel import LANDLOCK_ABIS, LANDLOCK_ERRNOS, WSL2, WSL2_RELEASE, Kernel
from support.ordinary_user import ordinary_user

HOST_ABI = landlock_abi()
BOTH_BACKENDS = pytest.mark.parametrize("busy", [True, False], ids=["listener", "ptrace"])
AS_ANYBODY = pytest.mark.parametrize("caller", ["ordinary"], indirect=True)  # it is the same for root
PRINT_ABI = "print(abi())"


def needs_host_abi(abi: int) -> None:
    if abi > HOST_ABI:
        pytest.skip(f"the host has Landlock ABI {HOST_ABI}")


@given(
    st.builds(
        Kernel,
        landlock_abi=st.none() | st.sampled_from(LANDLOCK_ABIS),
        landlock_errno=st.sampled_from(LANDLOCK_ERRNOS),
        uname=st.none() | st.text("abc.-123", min_size=1),
    )
)
def test_the_flags_of_a_kernel_parse_to_an_equal_kernel(kernel: Kernel) -> None:
    assert parse([*kernel.flags(), "--", "cmd", "--", "-x"]) == (kernel, ["cmd", "--", "-x"])


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--"],
        ["true"],
        ["--wsl2", "true"],
        ["--landlock-abi", "8", "--", "true"],
        ["--wsl", "--", "true"],
    ],
    ids=" ".join,
)
def test_a_bad_command_line_of_the_simulator_is_refused(argv: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(argv)


def test_a_kernel_prints_as_a_short_id() -> None:
    assert (str(Kernel()), str(WSL2)) == ("host", "wsl2+notify-busy+landlock-abi=3")


def test_it_runs_by_its_path_alone(tmp_path: Path) -> None:
    simulator = Kernel().command([])[3]
    done = subprocess.run(
        [sys.executable, simulator, "--uname", "5.10.0", "--", "uname", "-r"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "5.10.0\n"


# --- seccomp notification ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [Kernel(notify_busy=True), WSL2], ids=str)
def test_a_listener_is_refused_with_ebusy(caller: Caller, kernel: Kernel) -> None:
    assert caller.answer(kernel, "print(new_listener())") == str(-errno.EBUSY)


@pytest.mark.parametrize("kernel", [Kernel(), Kernel(wsl2=True, landlock_abi=min(3, HOST_ABI))], ids=str)
def test_a_listener_is_granted_without_notify_busy(caller: Caller, kernel: Kernel) -> None:
    assert int(caller.answer(kernel, "print(new_listener())")) >= 0


# --- Landlock ---------------------------------------------------------------------------------------------


@AS_ANYBODY
@BOTH_BACKENDS
@pytest.mark.parametrize("abi", LANDLOCK_ABIS)
def test_the_version_query_answers_the_simulated_abi(caller: Caller, abi: int, busy: bool) -> None:
    needs_host_abi(abi)
    expected = abi or -errno.EOPNOTSUPP
    assert caller.answer(Kernel(landlock_abi=abi, notify_busy=busy), PRINT_ABI) == str(expected)


def test_the_version_query_is_the_hosts_where_no_abi_was_asked_for(caller: Caller) -> None:
    assert caller.answer(Kernel(notify_busy=True, uname="6.6"), PRINT_ABI) == str(
        HOST_ABI or -errno.EOPNOTSUPP
    )


def test_a_kernel_that_was_built_without_landlock_answers_enosys(caller: Caller) -> None:
    assert caller.answer(Kernel(landlock_abi=0, landlock_errno="ENOSYS"), PRINT_ABI) == str(-errno.ENOSYS)


def test_an_abi_above_the_hosts_is_not_pretended(caller: Caller) -> None:
    if HOST_ABI + 1 not in LANDLOCK_ABIS:
        pytest.skip("the host knows all that can be simulated")
    done = caller.run(caller.command(Kernel(landlock_abi=HOST_ABI + 1), ["true"]))
    assert done.returncode == 125
    assert f"has Landlock ABI {HOST_ABI}" in done.stderr


@AS_ANYBODY
@BOTH_BACKENDS
@pytest.mark.parametrize(
    ("since", "attribute", "refusal"),
    [
        pytest.param(2, pack("=Q", 1 << 13), errno.EINVAL, id="refer"),
        pytest.param(3, pack("=Q", 1 << 14), errno.EINVAL, id="truncate"),
        pytest.param(4, pack("=QQ", 1, 2), errno.E2BIG, id="connect-tcp"),
        pytest.param(5, pack("=QQ", 1 << 15, 0), errno.EINVAL, id="ioctl-dev"),
        pytest.param(6, pack("=QQQ", 1, 0, 1), errno.E2BIG, id="scope-abstract-unix-socket"),
    ],
)
def test_a_ruleset_is_made_only_from_its_abi_on(
    caller: Caller, since: int, attribute: bytes, refusal: int, busy: bool
) -> None:
    needs_host_abi(since)
    code = f"print(ruleset({attribute!r}))"
    assert caller.answer(Kernel(landlock_abi=since - 1, notify_busy=busy), code) == str(-refusal)
    assert int(caller.answer(Kernel(landlock_abi=since, notify_busy=busy), code)) >= 0


@BOTH_BACKENDS
def test_a_simulated_ruleset_is_enforced_by_the_real_kernel(caller: Caller, busy: bool) -> None:
    needs_host_abi(3)
    code = """
READ_FILE = 4
fd = ruleset(struct.pack("=Q", READ_FILE))
libc.prctl(38, 1, 0, 0, 0)
print(call(446, fd, 1), call(446, fd, 0), end=" ")
try:
    open("/proc/self/status").close()
except PermissionError:
    print("refused")
"""
    kernel = Kernel(landlock_abi=3, notify_busy=busy)
    assert caller.answer(kernel, code) == f"{-errno.EINVAL} 0 refused"


@BOTH_BACKENDS
def test_port_rules_reach_the_kernel_from_abi_4_on(caller: Caller, busy: bool) -> None:
    needs_host_abi(4)
    code = """
fd = ruleset(struct.pack("=QQ", 1, 2)) if abi() >= 4 else ruleset(struct.pack("=Q", 1))
rule = ctypes.create_string_buffer(struct.pack("=QQ", 2, 443), 16)
print(call(445, fd, 2, rule, 0))
"""
    assert caller.answer(Kernel(landlock_abi=3, notify_busy=busy), code) == str(-errno.EINVAL)
    assert caller.answer(Kernel(landlock_abi=4, notify_busy=busy), code) == "0"


@AS_ANYBODY
@BOTH_BACKENDS
@pytest.mark.parametrize(
    "attribute",
    ["call(444, 8, 8, 0)", "call(444, 0, 8, 0)"],
    ids=["unmapped", "null"],
)
def test_an_attribute_that_is_not_there_is_efault(caller: Caller, attribute: str, busy: bool) -> None:
    needs_host_abi(3)
    assert caller.answer(Kernel(landlock_abi=3, notify_busy=busy), f"print({attribute})") == str(
        -errno.EFAULT
    )


UNDUMPABLE = "libc.prctl(4, 0, 0, 0, 0)\n"


@BOTH_BACKENDS
def test_an_undumpable_process_gets_the_version_and_a_release(caller: Caller, busy: bool) -> None:
    needs_host_abi(3)
    kernel = Kernel(wsl2=True, landlock_abi=3, notify_busy=busy)
    code = UNDUMPABLE + "print(abi(), os.uname().release)"
    assert caller.answer(kernel, code) == f"3 {WSL2_RELEASE}"


@BOTH_BACKENDS
def test_a_ruleset_the_simulator_cannot_read_is_reported_as_efault(busy: bool) -> None:
    needs_host_abi(3)
    kernel = Kernel(landlock_abi=3, uname="5.10.0", notify_busy=busy)
    with ordinary_user() as user:
        caller = Caller(user)
        readable = caller.run(
            caller.probe(kernel, "print(ruleset(bytes([1] + 7 * [0])) > 0, os.uname().release)")
        )
        hidden = caller.run(
            caller.probe(kernel, UNDUMPABLE + "print(ruleset(bytes([1] + 7 * [0])), os.uname().release)")
        )
    assert (readable.stdout, readable.stderr) == ("True 5.10.0\n", "")
    assert hidden.stdout == f"{-errno.EFAULT} {platform.release()}\n"
    assert "made itself unreadable" in hidden.stderr


# --- the look of WSL2, uname(2) ---------------------------------------------------------------------------

LOOK = """
print(os.uname().release)
print("microsoft" in open("/proc/version").read(), os.path.exists("/proc/sys/fs/binfmt_misc/WSLInterop"))
print(open("/proc/sys/kernel/osrelease").read().strip(), open("/proc/sys/fs/file-max").read().isspace())
"""


@pytest.mark.parametrize("kernel", [Kernel(wsl2=True), Kernel(wsl2=True, notify_busy=True)], ids=str)
def test_wsl2_looks_like_wsl2(caller: Caller, kernel: Kernel) -> None:
    assert caller.answer(kernel, LOOK) == f"{WSL2_RELEASE}\nTrue True\n{WSL2_RELEASE} False"


def test_another_kernel_does_not_look_like_wsl2(caller: Caller) -> None:
    host = platform.release()
    if "microsoft" in host:
        pytest.skip("the host is WSL2")
    assert caller.answer(Kernel(notify_busy=True), LOOK) == f"{host}\nFalse False\n{host} False"


def test_the_look_ends_with_the_simulator(caller: Caller) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    caller.answer(Kernel(wsl2=True, notify_busy=True), "")
    assert Path("/proc/self/mountinfo").read_text() == before


def test_a_proc_without_binfmt_misc_is_rebuilt_around_it(caller: Caller) -> None:
    support = str(Path(__file__).parents[3])
    code = f"""
sys.path.append({support!r})
from support.kernelsim.wsl2 import _stage, enter_private_mounts, rebuild_proc_sys_fs
before = set(os.listdir("/proc/sys/fs")) | {{"binfmt_misc"}}
enter_private_mounts()
with _stage() as stage:
    rebuild_proc_sys_fs(stage)
print(set(os.listdir("/proc/sys/fs")) == before)
""" + LOOK.replace('"microsoft" in open("/proc/version").read()', "True")
    host = platform.release()
    assert caller.answer(Kernel(), code) == f"True\n{host}\nTrue True\n{host} False"


@BOTH_BACKENDS
def test_uname_differs_from_the_host_only_in_the_release(caller: Caller, busy: bool) -> None:
    code = "print(*os.uname(), sep='|')"
    host = caller.answer(Kernel(), code).split("|")
    simulated = caller.answer(Kernel(uname="5.10.0-1-amd64", notify_busy=busy), code).split("|")
    assert simulated[2] == "5.10.0-1-amd64"
    assert simulated[:2] + simulated[3:] == host[:2] + host[3:]


# --- user namespaces --------------------------------------------------------------------------------------

USERNS = """
def cloned(flags):
    pid = call(CLONE, flags | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    return os.waitpid(pid, 0)[1] if pid > 0 else pid
print(cloned(0), cloned(0x10000000), call(UNSHARE, 0x10000000))
"""


@pytest.mark.parametrize(
    "kernel", [Kernel(), Kernel(wsl2=True, notify_busy=True), Kernel(notify_busy=True)], ids=str
)
def test_user_namespaces_are_to_be_had(caller: Caller, kernel: Kernel) -> None:
    assert caller.answer(kernel, USERNS) == "0 0 0"


@pytest.mark.parametrize(
    "kernel",
    [
        Kernel(no_userns=True),
        Kernel(no_userns=True, notify_busy=True),
        Kernel(no_userns=True, wsl2=True, notify_busy=True),
        Kernel(no_userns=True, uname="5.10.0"),
    ],
    ids=str,
)
def test_user_namespaces_are_refused_with_no_userns(caller: Caller, kernel: Kernel) -> None:
    assert caller.answer(kernel, USERNS) == f"0 {-errno.EPERM} {-errno.EPERM}"


def test_threads_start_where_user_namespaces_are_refused(caller: Caller) -> None:
    code = "t = threading.Thread(target=lambda: print('thread')); t.start(); t.join()"
    assert caller.answer(Kernel(no_userns=True), code) == "thread"


# --- cost -------------------------------------------------------------------------------------------------


def cpu_time_of_children() -> float:
    """Return the seconds that children have run that are reaped, and their children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.alone
def test_a_start_takes_at_most_150_ms_of_cpu_time(caller: Caller) -> None:
    kernel = Kernel(wsl2=True, notify_busy=True, no_userns=True)
    starts = []
    for _ in range(5):
        before = cpu_time_of_children()
        caller.run(caller.command(kernel, ["true"]))
        starts.append(cpu_time_of_children() - before)
    assert min(starts) < 0.150, starts
