"""Follow the output of a terminal and draw its screen on request: the program of the model's process."""

from __future__ import annotations

import os
from typing import BinaryIO

from nono.disk.descriptor import write_all
from nono.supervisor.screen import messages
from nono.supervisor.screen.model import ghostty
from nono.supervisor.screen.model.confine import confine
from nono.supervisor.screen.model.picture import Followed

CONNECTION = 0
READ_BYTES = 1 << 17


def main(library: str, rows: int, columns: int) -> None:
    """Serve the connection on descriptor 0 until its other end is closed; any error ends the process."""
    loaded = ghostty.load(library)
    terminal = Followed(loaded, rows, columns)
    with open(CONNECTION, "rb", buffering=READ_BYTES, closefd=False) as connection:
        confine(CONNECTION)
        while serve_message(connection, terminal):
            pass
    os._exit(0)


def serve_message(connection: BinaryIO, terminal: Followed) -> bool:
    """Read and follow one message. Returns False at the end of the connection."""
    head = connection.read(messages.HEAD.size)
    if len(head) < messages.HEAD.size:
        return False
    kind, length = messages.HEAD.unpack(head)
    content = connection.read(length)
    if kind == messages.OUTPUT:
        terminal.write(content)
    elif kind == messages.SIZE:
        terminal.resize(*messages.SIDES.unpack(content))
    elif kind == messages.SWITCH:
        terminal.go_on(is_alternate=content == b"\1")
    else:
        write_all(CONNECTION, messages.picture(terminal.draw()))
    return True
