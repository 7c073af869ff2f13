"""Perform connect(2) and bind(2) on Unix sockets with a path, on the judged file by its descriptor."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from nono.kernel import socket_names
from nono.kernel.open_path import path_to
from nono.policy.files.unix_sockets import OWN_SOCKET, UnixSocketPolicy
from nono.policy.path_expansion import is_within
from nono.supervisor.calls.caller_paths import CallerContextMismatchError, CallerPaths, Named, umask_of
from nono.supervisor.calls.held_connects import Held, HeldConnects
from nono.supervisor.calls.own_sockets import OwnSockets, may_listen
from nono.supervisor.calls.trapped_call import (
    Answer,
    HiddenCallerError,
    Socket,
    TrappedCalls,
    is_blocking,
    release,
    send_timeout_s,
)
from nono.supervisor.calls.watchdog import BlockingCallWatchdog
from nono.supervisor.verdict import adjudicator
from nono.supervisor.verdict.adjudicator import PerformUnix, Refuse
from nono.supervisor.verdict.audit_events import performed
from nono.supervisor.verdict.syscall_args import UnixAddress

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from nono.audit.dedup import DedupRecorder
    from nono.kernel.notify import Notification

_CONNECTION_ORIENTED = (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)
_ABSENT = (errno.ENOENT, errno.ENOTDIR)  # as stat(2) would tell the caller
_UNRESOLVED = (*_ABSENT, errno.ELOOP, errno.EAGAIN)


class UnixCalls:
    """Performs the Unix socket calls of one listener. close() abandons callers that still wait."""

    def __init__(
        self,
        paths: CallerPaths,
        rules: UnixSocketPolicy,
        calls: TrappedCalls,
        recorder: DedupRecorder,
        answer: Callable[[Notification, int | Refuse], None],
        resume: Callable[[Notification], None],
        watchdog: BlockingCallWatchdog,
    ) -> None:
        """Set up the calls of one listener.

        answer: Sends the errno of a delayed answer.
        resume: Lets the kernel carry out a call.
        paths: Closed by this object.
        """
        self._paths = paths
        self._rules = rules
        self._calls = calls
        self._recorder = recorder
        self._resume = resume
        self._watchdog = watchdog
        self._held = HeldConnects(calls, answer)
        self._binder: ThreadPoolExecutor | None = None
        self._own = OwnSockets()

    def close(self) -> None:
        self._held.close()
        if self._binder is not None:
            self._binder.shutdown()
        self._own.close()
        self._paths.close()

    def connect(self, call: Notification, address: UnixAddress) -> Answer:
        """Connect for the caller. Raises OSError and HiddenCallerError like every trapped call."""
        path: bytes | None = None
        try:
            path = self._paths.absolute(call.tid, address.path)
            with self._paths.resolved(path) as named:
                if named.is_deleted:
                    return errno.ECONNREFUSED
                is_own = self._own.holds(named.descriptor)
                is_dead = not named.is_socket or _is_dead(named)
                verdict = adjudicator.judge_unix(
                    named.path, self._rules, binds=False, is_own=is_own, is_dead=is_dead
                )
                if isinstance(verdict, Refuse):
                    return verdict
                if is_dead:
                    return errno.ECONNREFUSED
                return self._connect(call, named, verdict, is_own=is_own)
        except CallerContextMismatchError:
            return adjudicator.refuse_unix(address, adjudicator.FOREIGN_VIEW)
        except OSError as error:
            if error.errno not in _UNRESOLVED:
                raise
            return self._unresolved(path, address, error.errno)

    def bind(self, call: Notification, address: UnixAddress) -> Answer:
        """Bind for the caller. The file gets the mode and owner that it would have had from the caller.

        Raises like connect().
        """
        try:
            path = self._paths.absolute(call.tid, address.path)
            with self._paths.parent(path) as (directory, name):
                if directory.is_deleted:
                    return errno.ENOENT
                verdict = adjudicator.judge_unix(_below(directory.path, name), self._rules, binds=True)
                if isinstance(verdict, Refuse):
                    return verdict
                if verdict.rule == OWN_SOCKET:
                    return self._bind_itself(call, verdict)
                return self._bind(call, directory, name, verdict)
        except CallerContextMismatchError:
            return adjudicator.refuse_unix(address, adjudicator.FOREIGN_VIEW)
        except OSError as error:
            if error.errno not in _UNRESOLVED:
                raise
            return self._as_spelled(address, error.errno, binds=True)

    def perform_by_name(self, call: Notification, sockaddr: bytes, *, binds: bool) -> int:
        """Connect or bind by an abstract name or none, which cannot be swapped afterwards.

        A full backlog is EAGAIN.
        """
        duplicate = self._stream(call)
        if duplicate is None:
            return errno.EACCES
        try:
            if binds:
                return socket_names.bind(duplicate.fileno(), sockaddr)
            self._watchdog.arm()
            return _try_to_connect(duplicate, partial(socket_names.connect, duplicate.fileno(), sockaddr))
        finally:
            release(duplicate)

    def _unresolved(self, path: bytes | None, address: UnixAddress, errno_value: int) -> Answer:
        """Give the kernel's answer, because clients look for their server, unless the path is denied.

        path: Absolute; None if even that is unknown.
        """
        if path is not None:
            with suppress(OSError), self._paths.parent(path) as (directory, name):
                address = UnixAddress(os.fsencode(_below(directory.path, name)))
        return self._as_spelled(address, errno_value, binds=False)

    def _as_spelled(self, address: UnixAddress, errno_value: int, *, binds: bool) -> Answer:
        """Return the kernel's errno or a refusal for a path that leads nowhere. Acts on nothing."""
        path = os.fsdecode(address.path)
        is_dead = errno_value in _ABSENT and not is_within(path, "/proc")  # "self" is another process for us
        verdict = adjudicator.judge_unix(path, self._rules, binds=binds, is_resolved=False, is_dead=is_dead)
        return verdict if isinstance(verdict, Refuse) else errno_value

    def _connect(self, call: Notification, named: Named, verdict: PerformUnix, *, is_own: bool) -> int | None:
        duplicate = self._stream(call)
        if duplicate is None:
            return errno.EACCES
        if not self._record(verdict):
            release(duplicate)
            return errno.EACCES
        blocking = is_blocking(duplicate)
        try:
            self._watchdog.arm()
            result = _try_to_connect(duplicate, partial(duplicate.connect_ex, named.address))
            if blocking and result == errno.EAGAIN and not self._held.is_full:
                judge = partial(adjudicator.judge_unix, named.path, self._rules, binds=False, is_own=is_own)
                self._held.hold(self._waiting(call, duplicate, os.dup(named.descriptor), judge))
                return None
        except BaseException:
            release(duplicate)
            raise
        release(duplicate)
        return result

    def _waiting(
        self, call: Notification, duplicate: Socket, file: int, judge: Callable[[], PerformUnix | Refuse]
    ) -> Held:
        """Return a blocking connect to `file`, an O_PATH descriptor that it takes over.

        judge: Judges it by the rules of the moment, which may have changed while it waits.
        """

        def attempt() -> int | Refuse | None:
            verdict = judge()
            if isinstance(verdict, Refuse):
                return verdict
            self._watchdog.arm()
            result = _try_to_connect(duplicate, partial(duplicate.connect_ex, path_to(file)))
            return None if result == errno.EAGAIN else result

        def release_both() -> None:
            os.close(file)
            release(duplicate)

        patience_s = send_timeout_s(duplicate)
        deadline_s = None if patience_s is None else asyncio.get_running_loop().time() + patience_s
        return Held(call, attempt, release_both, deadline_s, errno.EAGAIN)

    def _bind(self, call: Notification, directory: Named, name: bytes, verdict: PerformUnix) -> int:
        umask = umask_of(call.tid)
        duplicate = self._stream(call)
        if duplicate is None:
            return errno.EACCES
        try:
            if not self._record(verdict):
                return errno.EACCES
            if self._binder is None:
                # Imported here: few commands bind a Unix socket.
                from concurrent.futures import ThreadPoolExecutor

                self._binder = ThreadPoolExecutor(1, "nono-bind", _own_directory_and_umask)
            self._binder.submit(_bind_in, duplicate, directory.descriptor, name, umask).result()
        except RuntimeError:  # no thread can be started: its user's limit of processes is reached
            self._binder = None
            return errno.EAGAIN
        except OSError as error:
            return error.errno or errno.EACCES
        finally:
            release(duplicate)
        return 0

    def _bind_itself(self, call: Notification, verdict: PerformUnix) -> int | None:
        """Let the kernel carry out the bind, so that the socket's name is the one the command used.

        The arguments may have changed by then, but Landlock lets the command create sockets in these
        directories only, and listen(2) on a socket with another kind of address is judged again.
        """
        if not self._record(verdict):
            return errno.EACCES
        self._resume(call)
        return None

    def will_listen(self, call: Notification, duplicate: Socket, address: UnixAddress) -> None:
        """Remember a socket's file where the command may bind one: it may connect to it.

        Call before the socket listens.
        """
        unknown = suppress(OSError, CallerContextMismatchError, HiddenCallerError)
        with unknown, self._paths.resolved(self._paths.absolute(call.tid, address.path)) as named:
            verdict = adjudicator.judge_unix(named.path, self._rules, binds=True)
            if not isinstance(verdict, Refuse):
                self._own.add(duplicate, named.descriptor, call.tid)

    def _record(self, verdict: PerformUnix) -> bool:
        """Record the verdict if required.

        Returns False if that failed; the call must not be carried out then.
        """
        if self._rules.files is not None:
            return True
        with suppress(OSError):
            self._recorder.dedup(performed(verdict))
            return True
        return False

    def _stream(self, call: Notification) -> Socket | None:
        """Duplicate the caller's socket if it connects by path and then keeps its peer, else return None."""
        duplicate = self._calls.socket(call)
        if duplicate is None:
            return None
        is_mediated = self._rules.files is None
        is_served = duplicate.type in _CONNECTION_ORIENTED or not is_mediated
        if duplicate.family == socket.AF_UNIX and is_served:
            return duplicate
        release(duplicate)
        return None


def _below(directory: str, name: bytes) -> str:
    return f"{directory.rstrip('/')}/{os.fsdecode(name)}"


def _is_dead(named: Named) -> bool:
    """Return whether no socket is bound to the file, or one that takes connections and does not listen.

    Such a one may be the command's own, whose server has bound it and listens next: clients try again after
    ECONNREFUSED, and give up after EACCES. No socket notices the test.
    """
    return not all(may_listen(named.descriptor, kind) for kind in _CONNECTION_ORIENTED)


def _try_to_connect(duplicate: Socket, connect: Callable[[], int]) -> int:
    """Connect without blocking and return the errno; EAGAIN if the listener's backlog is full."""
    blocking = is_blocking(duplicate)
    # The flag belongs to the open file description that the command shares; it is restored at once.
    duplicate.setblocking(False)
    try:
        result = connect()
        return errno.EAGAIN if result == errno.EINTR else result
    finally:
        if blocking:
            duplicate.setblocking(True)


def _own_directory_and_umask() -> None:
    """Give the calling thread its own working directory and umask (CLONE_FS).

    If unshare(2) is refused, as by container engines, the whole process shares both for the time of a bind:
    nono itself creates files with an explicit mode and an absolute path.
    """
    with suppress(OSError):
        os.unshare(os.CLONE_FS)


def _bind_in(duplicate: Socket, directory: int, name: bytes, umask: int) -> None:
    """Bind `name` in `directory`. Runs in a thread with its own working directory.

    bind(2) accepts no directory descriptor, and a path through /proc/self/fd would become the socket's name.
    """
    home = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    previous = os.umask(umask)
    try:
        os.fchdir(directory)
        duplicate.bind(name)
    finally:
        os.umask(previous)
        os.fchdir(home)
        os.close(home)
