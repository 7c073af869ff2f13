"""Start nono as subprocess.run and Popen do, by forking a process that has already imported it.

Such a start costs half as much, and most tests do not test the start. With NONO_TEST_COLD=1 in the
environment, each start executes the interpreter, and with N those of every Nth test by its name. So does a
start that a fork cannot imitate: with a prefix other than the mounts of support.private_mounts, the
setpriv(1) of support.ordinary_user and the simulator of kernels, in this order; with another interpreter or
language; or in namespaces other than the server's. The network may be another.
"""

from __future__ import annotations

import atexit
import ctypes
import io
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import get_native_id
from time import monotonic
from typing import Any

from support import private_mounts
from support.kernelsim.kernel import Kernel
from support.running.forked_process import ForkedProcess, told

NONO = (sys.executable, "-I", "-m", "nono")
SCRIPT = str(Path(sys.executable).with_name("nono"))
SIMULATOR = Kernel().command([])[:-1]  # up to its options
MAIN = Path(__file__).with_name("fork_server_main.py")
MOUNTS = (sys.executable, "-I", "-S", private_mounts.__file__)
LANGUAGE = "C.UTF-8"
PR_SET_MM, PR_SET_MM_MAP_SIZE = 35, 15  # <linux/prctl.h>
REQUEST_MAX = 100_000  # bytes; a SOCK_SEQPACKET socket accepts twice as many
READ_SIZE = 1 << 16
# Prefixes of variables that the loader, libc or a library reads before main() is called.
READ_AT_START = ("LD_", "LC_", "GLIBC_", "MALLOC_", "OPENSSL_", "PYTHON")
READ_LATER = {"LC_ALL", "PYTHON_KEYRING_BACKEND"}  # the first makes no difference if its value is allowed
NAMESPACES = ("cgroup", "ipc", "mnt", "pid_for_children", "time_for_children", "user", "uts")
# In a session of its own: takes the terminal on 0 as its controlling one and becomes the command.
TAKE_TERMINAL = (
    "import fcntl, os, signal, sys, termios;"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "signal.signal(signal.SIGPIPE, signal.SIG_DFL);"
    "signal.signal(signal.SIGXFSZ, signal.SIG_DFL);"
    "signal.signal(signal.SIGINT, signal.SIG_DFL);"
    "os.execvp(sys.argv[1], sys.argv[1:])"
)


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    timeout: float,
    input: str | None = None,  # as in subprocess.run
    stdin: int | None = None,
    pass_fds: Sequence[int] = (),
    errors: str = "strict",
) -> subprocess.CompletedProcess[str]:
    """Run to the end and capture the output as text. Raises TimeoutExpired after `timeout` seconds."""
    server, request = _server_for(argv, env, cwd, pass_fds)
    if server is None:
        source: dict[str, Any] = {"input": input} if stdin is None else {"stdin": stdin}
        how: dict[str, Any] = {
            "capture_output": True,
            "text": True,
            "errors": errors,
            "check": False,
        } | source
        return subprocess.run(argv, env=env, cwd=cwd, pass_fds=tuple(pass_fds), timeout=timeout, **how)
    data = (input or "").encode()
    with server.forked(request, data if stdin is None else stdin, pass_fds) as process:
        return process.finish(argv, timeout, errors)


def start(
    argv: Sequence[str | bytes],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    takes_terminal: bool = False,
    **streams: Any,  # stdin, stdout, stderr, text, bufsize: as in subprocess.Popen
) -> subprocess.Popen[Any]:
    """Start as Popen does. takes_terminal: in a session of its own, whose terminal is on stdin."""
    words = [os.fsdecode(word) for word in argv]
    server, request = _server_for(words, env, cwd or Path.cwd(), takes_terminal=takes_terminal)
    if server is not None and _shows_in_proc():
        return ForkedProcess(server.requests, request, argv, **streams)
    if takes_terminal:
        argv = [sys.executable, "-I", "-S", "-c", TAKE_TERMINAL, *argv]
    return subprocess.Popen(argv, env=dict(env), cwd=cwd, start_new_session=takes_terminal, **streams)


@cache
def _shows_in_proc() -> bool:
    """Return True if a forked start shows its own arguments in /proc, by which tests find what still runs."""
    size = ctypes.c_uint()
    return bool(ctypes.CDLL(None).prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, ctypes.byref(size), 0, 0) == 0)


def _server_for(
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: Path,
    pass_fds: Sequence[int] = (),
    *,
    takes_terminal: bool = False,
) -> tuple[_Server | None, bytes]:
    """Return the server and the request for it; None if the start has to execute the interpreter."""
    server = _server() if _is_alike(env) else None
    request = _request(argv, env, cwd, pass_fds, takes_terminal)
    if server is None or request is None or not server.is_here():
        return None, b""
    return server, request


def _is_alike(environ: Mapping[str, str]) -> bool:
    return (
        not _is_cold()
        and environ.get("LANG") == LANGUAGE
        and environ.get("LC_ALL", LANGUAGE) in (LANGUAGE, "C")  # Python uses UTF-8 for both
        and not any(name.startswith(READ_AT_START) for name in environ.keys() - READ_LATER)
    )


def _is_cold() -> bool:
    """Return True if the current test is of the Nth part that NONO_TEST_COLD=N makes start anew."""
    part = int(os.environ.get("NONO_TEST_COLD") or 0)
    test = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0]
    return part > 0 and zlib.crc32(test.encode()) % part == 0


def _request(
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: Path,
    pass_fds: Sequence[int],
    takes_terminal: bool = False,
) -> bytes | None:
    """Return the request for the server; None if it cannot serve this argv, or one of this length."""
    for first, program in enumerate(argv):
        start = (SCRIPT,) if program == SCRIPT else NONO
        if tuple(argv[first : first + len(start)]) != start:
            continue
        prefix = _understood(argv[:first])
        if prefix is None:
            return None
        values = prefix | {
            "arguments": argv[first + len(start) :],
            "env": env,
            "cwd": str(cwd),
            "pass_fds": pass_fds,
            "is_script": start != NONO,
            "takes_terminal": takes_terminal,
            "network": f"/proc/{os.getpid()}/task/{get_native_id()}/ns/net",
        }
        request = json.dumps(values).encode()
        return request if len(request) <= REQUEST_MAX else None
    return None


def _understood(prefix: Sequence[str]) -> dict[str, object] | None:
    """Return what the words before nono's ask for: mounts, setpriv(1), the simulator. None for others.

    "mounts": as in private_mounts.enter; "id": the user; "simulator": the simulator's words. None or empty
    where the prefix has no such part.
    """
    left = list(prefix)
    mounts: list[str] = []
    if tuple(left[: len(MOUNTS)]) == MOUNTS:
        if os.geteuid() != 0:
            return None  # these take a user namespace, whose capabilities are lost by execve(2) alone
        end = left.index("--")
        mounts, left = left[len(MOUNTS) : end], left[end + 1 :]
    number = _identity(left[:5])
    left = left if number is None else left[5:]
    if left and not (left[: len(SIMULATOR)] == SIMULATOR and left.count("--") == 1 and left[-1] == "--"):
        return None
    return {"mounts": mounts, "id": number, "simulator": left or None}


def _identity(words: Sequence[str]) -> int | None:
    """Return the user ID in the setpriv(1) command of support.ordinary_user; None in other words."""
    match words:
        case [program, user, group, "--clear-groups", "--"] if program.endswith("/setpriv"):
            name, _, number = user.partition("=")
            if name == "--reuid" and group == f"--regid={number}":
                return int(number)
    return None


@dataclass(frozen=True, slots=True)
class _Server:
    requests: socket.socket
    owner: int
    namespaces: tuple[str, ...]

    def is_here(self) -> bool:
        """Return True if a child of this thread would be in the same namespaces as a child of the server.

        The network is left out: a child of the server enters that of the thread.
        """
        return os.getpid() == self.owner and _namespaces() == self.namespaces

    @contextmanager
    def forked(self, request: bytes, stdin: bytes | int, pass_fds: Sequence[int]) -> Iterator[_Forked]:
        with ExitStack() as ours, ExitStack() as theirs:
            outputs = [_pipe(reader=ours, writer=theirs) for _ in range(3)]
            left = b""
            writer = None
            if isinstance(stdin, bytes):
                left = stdin
                stdin, number = os.pipe()
                theirs.callback(os.close, stdin)
                writer = ours.enter_context(open(number, "wb", buffering=0))
            out, err, answer = (written for _, written in outputs)
            socket.send_fds(self.requests, [request], [stdin, out, err, answer, *pass_fds])
            theirs.close()
            (stdout, _), (stderr, _), (answer, _) = outputs
            yield _Forked(stdout, stderr, answer, writer, left)


def _pipe(*, reader: ExitStack, writer: ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    reader.callback(os.close, ends[0])
    writer.callback(os.close, ends[1])
    return ends


@dataclass(slots=True)
class _Forked:
    """A process requested from the server. The descriptors are the pipe ends that stay in this process."""

    stdout: int
    stderr: int
    answer: int
    stdin: io.FileIO | None
    left: bytes
    read: dict[int, bytearray] = field(default_factory=lambda: defaultdict(bytearray), init=False)

    def finish(self, argv: Sequence[str], timeout: float, errors: str) -> subprocess.CompletedProcess[str]:
        deadline = monotonic() + timeout
        with selectors.PollSelector() as ready:
            for descriptor in (self.stdout, self.stderr, self.answer):
                ready.register(descriptor, selectors.EVENT_READ)
            if self.stdin is not None:
                os.set_blocking(self.stdin.fileno(), False)
                ready.register(self.stdin, selectors.EVENT_WRITE)
            while ready.get_map():
                if (left_s := deadline - monotonic()) <= 0:
                    self._kill()
                    raise subprocess.TimeoutExpired(argv, timeout, *map(bytes, self._outputs()))
                for key, _ in ready.select(left_s):
                    if not (self._write() if key.fileobj is self.stdin else self._read(key.fd)):
                        ready.unregister(key.fileobj)
        answer = told(self.read[self.answer])
        if len(answer) != 2:
            raise RuntimeError(f"the fork server could not start it: {self._outputs()[1].decode()}")
        code = os.waitstatus_to_exitcode(answer[b"status"])
        return subprocess.CompletedProcess(argv, code, *(_text(output, errors) for output in self._outputs()))

    def _outputs(self) -> tuple[bytearray, bytearray]:
        return self.read[self.stdout], self.read[self.stderr]

    def _read(self, descriptor: int) -> bool:
        """Read once. Returns False at the end of the output."""
        data = os.read(descriptor, READ_SIZE)
        self.read[descriptor] += data
        return bool(data)

    def _write(self) -> bool:
        """Write once. Returns False when everything is written, or nobody reads it."""
        assert self.stdin is not None
        with suppress(BrokenPipeError):
            self.left = self.left[self.stdin.write(self.left[:READ_SIZE]) if self.left else 0 :]
            if self.left:
                return True
        self.stdin.close()
        return False

    def _kill(self) -> None:
        """Kill the process, unless its exit code has arrived: its ID may then belong to another process."""
        answer = told(self.read[self.answer])
        if answer.keys() == {b"pid"}:
            os.kill(answer[b"pid"], signal.SIGKILL)


def _text(data: bytearray, errors: str) -> str:
    """Decode output as subprocess does with text=True."""
    return data.decode(errors=errors).replace("\r\n", "\n").replace("\r", "\n")


@cache
def _server() -> _Server:
    """Start the server of this process, once. It ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        theirs.set_inheritable(True)
        environ = {"PATH": os.environ.get("PATH", os.defpath), "LANG": LANGUAGE}
        argv = [sys.executable, "-I", str(MAIN), str(theirs.fileno())]
        os.waitpid(os.posix_spawn(sys.executable, argv, environ), 0)
    atexit.register(ours.close)
    return _Server(ours, os.getpid(), _namespaces())


def _namespaces() -> tuple[str, ...]:
    links = (Path("/proc/thread-self/ns", name) for name in NAMESPACES)
    return tuple(os.readlink(link) for link in links if link.is_symlink())
