"""Run a part of the soak in a process that obeys orders: one JSON value per line, in and out."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio

TESTS = Path(__file__).parents[2]
Order = Callable[..., Awaitable[Any]]


class Worker:
    """A running ``python -m support.soak.<program>``; a context manager whose end ends the process.

    ready: What it reported when it had started.
    """

    def __init__(self, program: str, **settings: Any) -> None:
        environment = os.environ | {"PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"support.soak.{program}", json.dumps(settings)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._buffer = b""
        self.pid = self._process.pid
        try:
            self.ready: Any = self._line(60.0)
        except BaseException:
            self._kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.end()
        finally:
            self._kill()

    def end(self, patience_s: float = 30.0) -> None:
        """Close its input, which ends the process. AssertionError if it does not end, or fails."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(patience_s) == 0

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()
        sys.stderr.write(self.complaints())
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                pipe.close()

    def complaints(self) -> str:
        """Return what it has written to stderr."""
        size = os.fstat(self._errors.fileno()).st_size
        return os.pread(self._errors.fileno(), size, 0).decode(errors="replace")

    def ask(self, order: str, *, patience_s: float = 60.0, **arguments: Any) -> Any:
        """Return what the order returned. AssertionError if it takes too long or the process is gone."""
        self.tell(order, **arguments)
        return self.answer(patience_s)

    def tell(self, order: str, **arguments: Any) -> None:
        """Give an order whose answer is awaited later."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([order, arguments]).encode() + b"\n")
        self._process.stdin.flush()

    def answer(self, patience_s: float) -> Any:
        return self._line(patience_s)

    def _line(self, patience_s: float) -> Any:
        assert self._process.stdout is not None
        output = self._process.stdout.fileno()
        deadline = time.monotonic() + patience_s
        pieces = [self._buffer]
        while b"\n" not in pieces[-1]:
            left = deadline - time.monotonic()
            assert left > 0, f"process {self.pid} does not answer"
            if select.select([output], [], [], left)[0]:
                pieces.append(os.read(output, 1 << 20))
                assert pieces[-1], f"process {self.pid} is gone"
        line, _, self._buffer = b"".join(pieces).partition(b"\n")
        return json.loads(line)


async def obey(ready: Any, orders: Mapping[str, Order]) -> None:
    """Report ready, then carry out orders one by one until the input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    # A copy: the loop makes its descriptor non-blocking, and other prints would fail.
    with os.fdopen(os.dup(1), "wb") as output:
        value = ready
        while True:
            output.write(json.dumps(value).encode() + b"\n")
            output.flush()
            line = await reader.readline()
            if not line:
                break
            order, arguments = json.loads(line)
            value = await orders[order](**arguments)
    pipe.close()


def run(main: Callable[..., Awaitable[None]]) -> None:
    """Run main on a uvloop with the settings that the process was started with."""
    settings: dict[str, Any] = json.loads(sys.argv[1])
    logging.basicConfig(format=f"{Path(sys.argv[0]).stem}: %(message)s")

    async def start() -> None:
        await main(**settings)

    anyio.run(start, backend_options={"use_uvloop": True})
