"""Show a recording in mitmweb or mitmproxy, including what is appended to it meanwhile."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable, Iterator
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO

from mitmproxy import ctx
from mitmproxy.exceptions import FlowReadException
from mitmproxy.io import FlowReader
from mitmproxy.tools import cmdline, main
from mitmproxy.tools.console.master import ConsoleMaster
from mitmproxy.tools.web.master import WebMaster

from nono.errors import NonoError
from nono.proxy.flows.netstrings import cut

if TYPE_CHECKING:
    from mitmproxy.master import Master

LOOK_EVERY_S = 0.3
READ_BYTES = 1 << 20


def view(file: BinaryIO, is_living: Callable[[], bool], place: str, *, port: int, in_terminal: bool) -> int:
    """Show the flows in `file` until the viewer is closed. Raises NonoError.

    is_living: Says whether more may be appended.
    place: A directory that no command may write, for mitmproxy's settings.
    """
    feed = Feed(file, is_living)

    def made(options: Any) -> Master:
        master: Master = (ConsoleMaster if in_terminal else WebMaster)(options)
        master.addons.add(feed)  # type: ignore[no-untyped-call]  # mitmproxy's, like the next
        return master

    # Not the person's own directory: settings there may load scripts, and mitmproxy would create a CA in it.
    # Not that of temporary files: a command may write there, and its settings would load a script of its own.
    with TemporaryDirectory(prefix="flows-", dir=place) as directory:
        arguments = ["--no-server", "--set", f"confdir={directory}"]
        if not in_terminal:
            # A browser started with the link would show its token to other users in /proc.
            settings = (f"web_port={port}", "web_open_browser=false", "termlog_verbosity=error")
            arguments += [word for setting in settings for word in ("--set", setting)]
        parser = cmdline.mitmproxy if in_terminal else cmdline.mitmweb
        try:
            main.run(made, parser, arguments)  # type: ignore[arg-type]  # anything that makes a master
        except OSError as error:
            # What mitmweb says continues with an option of its own.
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise NonoError(
                f"the exchanges cannot be shown on 127.0.0.1:{port}: {reason}",
                hint="--port names another one",
            ) from error
    return 0


class Feed:
    """A mitmproxy addon that loads the flows of a file as they are written."""

    def __init__(self, file: BinaryIO, is_living: Callable[[], bool]) -> None:
        self._file = file
        self._is_living = is_living
        self._task: asyncio.Task[None] | None = None

    def running(self) -> None:
        if isinstance(ctx.master, WebMaster):
            print(ctx.master.web_url, flush=True)
        self._task = asyncio.get_running_loop().create_task(self._load())

    def done(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _load(self) -> None:
        held = bytearray()
        while True:
            is_living = self._is_living()  # asked before reading, or the last records could be missed
            piece = await asyncio.to_thread(self._file.read, READ_BYTES)
            held += piece
            for whole in cut(held):
                for flow in _flows(whole):
                    await ctx.master.load_flow(flow)  # type: ignore[no-untyped-call]  # as above
            if not piece:
                if not is_living:
                    return
                await asyncio.sleep(LOOK_EVERY_S)


def _flows(whole: bytes) -> Iterator[Any]:
    try:
        yield from FlowReader(io.BytesIO(whole)).stream()
    except FlowReadException:
        return
