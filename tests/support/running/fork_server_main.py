"""Run the fork server: import what a run of nono needs, and fork for each start.

It is started by path with `-I`; its only argument is the number of a SOCK_SEQPACKET socket. It ends when the
other end is closed. A request is a JSON object (arguments, is_script, env, cwd, id, simulator, pass_fds,
takes_terminal, network, mounts) with these descriptors: stdin, stdout, stderr, one for the answer, and those
that the process inherits. The answer is a line of the process with its ID ("pid 7"), which is missing if it
could not be started, and one with its wait status when it has ended ("status 0").
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import importlib
import json
import mmap
import os
import pkgutil
import selectors
import signal
import socket
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import nono
from nono.kernel import capabilities, process
from nono.policy.document import source, validate, when

SIMULATOR = tuple(f"support.kernelsim.{name}" for name in ("command_line", "tree", "child", "wsl2"))
MOUNTS = "support.private_mounts"
SIMULATOR_WORDS = 4  # python -I -S PROGRAM
TESTS = str(Path(__file__).parents[2])
# Few runs need them: mitmproxy, textual.
LEFT_OUT = ("nono.proxy.flows", "nono.cli.commands.report.viewer", "nono.cli.commands.top")
REQUEST_MAX = 1 << 18
DESCRIPTORS_MAX = 32
IMMORTAL = 2**32 - 1
MADV_HUGEPAGE, MADV_COLLAPSE = 14, 25  # <linux/mman.h>; the second since Linux 6.1
HUGE = 1 << 21
PR_SET_MM, PR_SET_MM_MAP = 35, 14
# Numbers of the fields of proc_pid_stat(5), by the members of struct prctl_mm_map.
FIELDS = {
    "start_code": 26,
    "end_code": 27,
    "start_data": 45,
    "end_data": 46,
    "start_brk": 47,
    "brk": 47,
    "start_stack": 28,
    "arg_start": 48,
    "arg_end": 49,
    "env_start": 50,
    "env_end": 51,
}


class Map(ctypes.Structure):
    """struct prctl_mm_map (<linux/prctl.h>)."""

    _fields_ = (
        *((name, ctypes.c_uint64) for name in FIELDS),
        ("auxv", ctypes.c_void_p),
        ("auxv_size", ctypes.c_uint32),
        ("exe_fd", ctypes.c_uint32),
    )


def main() -> None:
    if os.fork():
        os._exit(0)  # the server must not be a child of pytest: some tests wait for all their children
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        preload()
        if serve(requests):
            from nono import __main__ as program

            program.main()


def preload() -> None:
    for module in pkgutil.walk_packages(nono.__path__, "nono."):
        if not module.name.startswith(LEFT_OUT):
            _import(module.name)
    importlib.import_module("pickle")  # of ctypes
    validate.validate(source.read_source(b"{}", ""), when.Host())  # keeps the validator that it builds
    sys.path.append(TESTS)
    for name in (*SIMULATOR, MOUNTS):
        importlib.import_module(name)
    sys.path.remove(TESTS)
    sys.dont_write_bytecode = True  # each process has imported everything, and not from a file to be renewed
    gc.collect()
    make_immortal()
    use_huge_pages()
    gc.freeze()  # the collector writes to objects that it visits, so each process would copy them


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "nono").partition(".")[0] == "nono":
            raise
        # A guest with another kernel has the packages that the tests of the boundary need, and no others.


def make_immortal() -> None:
    """Make all objects immortal (PEP 683): each reference count would copy a page in each process.

    This relies on CPython's layout: a count of 32 bits comes first, and all ones mean that it is not kept.
    From 3.14 on some of these processes end by SIGSEGV then, so there pages are copied.
    """
    if sys.version_info >= (3, 14):
        return
    seen: set[int] = set()
    left = gc.get_objects()
    while left:
        each = left.pop()
        if id(each) not in seen and each is not seen and each is not left:
            seen.add(id(each))
            left += gc.get_referents(each)
            if not isinstance(each, FrameType):
                ctypes.c_uint32.from_address(id(each)).value = IMMORTAL


def use_huge_pages() -> None:
    """Collapse the heap into huge pages, because a fork copies a table entry for each page."""
    libc = ctypes.CDLL(None)
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, access, _, _, _, *name = line.split(maxsplit=5)
        if access == "rw-p" and name in ([], ["[heap]"]):
            first, end = (int(address, 16) for address in addresses.split("-"))
            first, end = -(-first // HUGE) * HUGE, end // HUGE * HUGE
            for advice in (MADV_HUGEPAGE, MADV_COLLAPSE) if first < end else ():
                libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(end - first), advice)


def serve(requests: socket.socket) -> bool:
    """Fork for each request. Returns True in the child, False in the parent when there are no more."""
    ready = selectors.PollSelector()  # not epoll(7): it needs watches, and some tests use up the user's
    ready.register(requests, selectors.EVENT_READ)
    while True:
        for key, _ in ready.select():
            if key.fileobj is not requests:
                ready.unregister(key.fd)
                _tell_end(key.fd, *key.data)
                continue
            data, descriptors, _, _ = socket.recv_fds(requests, REQUEST_MAX, DESCRIPTORS_MAX)
            if not data:
                return False
            pid = os.fork()
            if pid == 0:
                request: dict[str, Any] = json.loads(data)
                ready.close()
                requests.detach()
                answer = _arrange(descriptors, request["pass_fds"])
                enter(request)
                become(request)
                _tell(answer, b"pid %d\n" % os.getpid())  # only now: Popen returns after execve(2)
                os.close(answer)
                if request["simulator"]:
                    simulate(request)
                return True
            answer = descriptors.pop(3)
            for descriptor in descriptors:
                os.close(descriptor)
            ready.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, answer))


def _tell_end(pidfd: int, pid: int, answer: int) -> None:
    os.close(pidfd)
    _, status = os.waitpid(pid, 0)
    _tell(answer, b"status %d\n" % status)
    os.close(answer)


def _tell(answer: int, line: bytes) -> None:
    with suppress(BrokenPipeError):  # the requester did not wait for the end
        os.write(answer, line)


def _arrange(descriptors: list[int], numbers: list[int]) -> int:
    """Give the received descriptors their original numbers, and close all others, as execve(2) does.

    Returns a descriptor for the answer, which the caller closes.
    """
    wanted = dict(zip((0, 1, 2, *numbers), (*descriptors[:3], *descriptors[4:]), strict=True))
    above = max(*wanted, *descriptors) + 1
    moved = {number: fcntl.fcntl(received, fcntl.F_DUPFD, above) for number, received in wanted.items()}
    answer = fcntl.fcntl(descriptors[3], fcntl.F_DUPFD, above)
    for number, copy in moved.items():
        os.dup2(copy, number)
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor not in wanted and descriptor != answer:
            with suppress(OSError):  # the descriptor of the directory itself
                os.close(descriptor)
    return answer


def simulate(request: dict[str, Any]) -> None:
    """Run the simulator of kernels to its end in this process, and return in the child that is to be nono.

    The child is then as after execve(2).
    """
    command_line, tree, child, _ = map(importlib.import_module, SIMULATOR)
    kernel, _ = command_line.parse([*request["simulator"][SIMULATOR_WORDS:], "nono"])
    outcome = tree.fork(kernel)
    if isinstance(outcome, int):
        tree.end_like(outcome)
    if os.geteuid():
        if kernel.wsl2:  # whether it may be traced depends on the user namespace of its execve(2)
            child.execute(sys.orig_argv, outcome)
        capabilities.drop_all_but(())
    process.set_dumpable(True)
    show_if_possible(sys.orig_argv, request["env"])
    signal.pthread_sigmask(signal.SIG_SETMASK, outcome)


def enter(request: dict[str, Any]) -> None:
    """Enter the network of the thread that asks, and a mount namespace of its own if it wants mounts."""
    network = request["network"]
    if os.path.exists(network) and not os.path.samefile(network, "/proc/self/ns/net"):
        with open(network, encoding="ascii") as namespace:
            os.setns(namespace.fileno(), os.CLONE_NEWNET)
    if request["mounts"]:
        os.chdir(request["cwd"])  # as it is without them
        importlib.import_module(MOUNTS).enter(request["mounts"])


def become(request: dict[str, Any]) -> None:
    """Become what a process would be after execve(2): user, environment, directory, arguments."""
    if request["takes_terminal"]:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    if request["id"] is not None:
        os.setgroups([])
        os.setresgid(*[request["id"]] * 3)
        os.setresuid(*[request["id"]] * 3)
        process.set_dumpable(True)  # changing the user clears it, execve(2) sets it again
    os.environb.clear()
    os.environb.update({os.fsencode(name): os.fsencode(value) for name, value in request["env"].items()})
    time.tzset()
    os.chdir(request["cwd"])
    program, start = str(importlib.import_module("nono.__main__").__file__), ["-I", "-m", "nono"]
    if request["is_script"]:
        directory = os.path.dirname(sys.executable)
        program = os.path.join(directory, "nono")
        start = [program]
        sys.path.insert(0, directory)
    sys.argv = [program, *request["arguments"]]
    sys.orig_argv = [sys.executable, *start, *request["arguments"]]
    show_if_possible([*(request["simulator"] or ()), *sys.orig_argv], request["env"])


def show_if_possible(words: Sequence[str], environ: Mapping[str, str]) -> None:
    with suppress(OSError):  # a kernel without CONFIG_CHECKPOINT_RESTORE
        show(words, environ)


def show(words: Sequence[str], environ: Mapping[str, str]) -> None:
    """Make /proc/self/cmdline and environ show these, as after execve(2). Raises OSError.

    The kernel reads both from this process's memory, at addresses that prctl(2) can change.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.sbrk.restype = ctypes.c_void_p
    argument_area, environment_area = (
        b"".join(os.fsencode(word) + b"\0" for word in area)
        for area in (words, [f"{name}={value}" for name, value in environ.items()])
    )
    memory = mmap.mmap(-1, len(argument_area) + len(environment_area) + 1, flags=mmap.MAP_PRIVATE)
    memory.write(argument_area + environment_area)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(memory))  # it stays mapped
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    given = {name: int(fields[number - 3]) for name, number in FIELDS.items()}
    given["brk"] = libc.sbrk(0)
    given["arg_start"] = start
    given["arg_end"] = given["env_start"] = start + len(argument_area)
    given["env_end"] = start + len(argument_area) + len(environment_area)
    wanted = Map(**given, exe_fd=2**32 - 1)
    if libc.prctl(PR_SET_MM, PR_SET_MM_MAP, ctypes.byref(wanted), ctypes.sizeof(wanted), 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_MM_MAP)")


if __name__ == "__main__":
    main()
