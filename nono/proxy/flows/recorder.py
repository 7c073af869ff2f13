"""Write exchanges to a file that mitmweb and mitmdump can open, on a thread of their own."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from nono.proxy.flows.flow import Flow, KeptBytes
from nono.proxy.flows.redact import Mask
from nono.proxy.http.message import Header

MAX_KEPT_IN_ALL_BYTES = 64 * 1024 * 1024  # of bodies in memory, for all flows together
MAX_WAITING_FLOWS = 1024  # waiting for the disk; more are lost, because the loop must not wait for it
_ENDING_S = 1.0  # for flows still waiting for the disk when the run ends


class FlowRecorder:
    """A recording that lasts for a `with` block.

    A separate thread masks, encodes and writes the flows, so that a slow disk does not block the loop.
    Leaving the block writes the flows still open, as many as _ENDING_S is long enough for.
    """

    def __init__(self, path: str, mask: Mask, secret_headers: frozenset[bytes] = frozenset()) -> None:
        """Set up a recording to `path`, which must not exist yet.

        path: the file to create.
        mask: removes phantoms, tokens and secrets from any text; called on the thread.
        secret_headers: lower-case names of further header fields that carry credentials in this run.
        """
        self._path = path
        self._mask = mask
        self._secret_headers = secret_headers
        self._open = set[Flow]()
        self._waiting = queue.SimpleQueue[Flow | None]()
        self._until: float | None = None  # by the monotonic clock, once the run has ended
        self.kept = KeptBytes(MAX_KEPT_IN_ALL_BYTES)
        self._thread = threading.Thread(target=self._write_all, name="flow recorder", daemon=True)
        self._fd = -1
        self.problem: str | None = None  # why flows are missing from the file

    def __enter__(self) -> Self:
        """Create the file and start the thread. Raises OSError; EEXIST also for a dangling symbolic link."""
        # Imported before the first flow, but not by runs that record nothing: it takes 0.2 s.
        import mitmproxy.http
        import mitmproxy.io  # noqa: F401 - as above

        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(self._path, flags, 0o600)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._until = time.monotonic() + _ENDING_S
        for flow in sorted(self._open, key=lambda flow: flow.started):
            flow.failed("the run ended before the exchange did")
        self._waiting.put(None)
        self._thread.join()
        os.close(self._fd)

    def begin(
        self,
        *,
        method: bytes,
        scheme: str,
        host: str,
        port: int,
        target: bytes,
        version: bytes,
        headers: Sequence[Header],
    ) -> Flow:
        """Begin a flow; its finish() or failed() writes it. `target` is in origin form, `version` b"1.1"."""
        flow = Flow(self.close, self.kept, method, scheme, host, port, target, version, headers)
        self._open.add(flow)
        return flow

    def close(self, flow: Flow) -> None:
        """Queue a flow for writing. Later calls for the same flow do nothing."""
        if flow not in self._open:
            return
        self._open.remove(flow)
        if self._waiting.qsize() < MAX_WAITING_FLOWS or self._until is not None:
            self._waiting.put(flow)
        else:
            flow.release()
            self._lost("the disk is too slow")

    def _write_all(self) -> None:
        """Run the thread. It keeps draining the queue after an error, so that no put() blocks forever."""
        is_broken = False
        while (flow := self._waiting.get()) is not None:
            try:
                if self._until is not None and time.monotonic() > self._until:
                    self._lost("the disk is too slow")
                elif not is_broken:
                    self._append(flow.encoded(self._mask, self._secret_headers))
            except OSError as problem:
                is_broken = True
                self._lost(str(problem))
            except Exception as problem:  # its text may quote the exchange
                is_broken = True
                self._lost(type(problem).__name__)
            finally:
                flow.release()

    def _append(self, encoded: bytes) -> None:
        rest = memoryview(encoded)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            # Readers reject the whole file if half a flow is at its end.
            os.ftruncate(self._fd, os.lseek(self._fd, 0, os.SEEK_CUR) - (len(encoded) - len(rest)))
            raise

    def _lost(self, reason: str) -> None:
        self.problem = self.problem or f"{self._path}: not every exchange was recorded: {reason}"
