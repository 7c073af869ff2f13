"""One end of a TCP or TLS connection that moves only when it is pumped, so that a play needs no clock."""

from __future__ import annotations

import socket
import ssl
import struct
from contextlib import suppress
from typing import Literal

Ending = Literal["closed", "reset", "broken"]  # broken: the TLS of it

_READ_BYTES = 1 << 16


class Link:
    """tls: None while it is plain. pieces: what arrived and was not taken, a TLS record each."""

    def __init__(self, transport: socket.socket) -> None:
        transport.setblocking(False)
        with suppress(OSError):
            transport.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport = transport
        self._out = bytearray()
        self._early: list[bytes] = []  # written before the handshake was complete
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._shaken = True
        self.reads = True
        self.pieces: list[bytes] = []
        self.ending: Ending | None = None
        self.is_open = True  # on this side
        self._lingers = False  # closed, with something still to send

    @property
    def protocol(self) -> str | None:
        """As ALPN chose it; None before the handshake is complete."""
        return self._tls.selected_alpn_protocol() if self._tls is not None and self._shaken else None

    @property
    def is_ready(self) -> bool:
        return self._shaken

    def start_tls(self, context: ssl.SSLContext, *, server_name: str | None = None) -> None:
        """server_name: None at the server's end."""
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_name is None, server_hostname=server_name
        )
        self._shaken = False
        self._decrypt()  # a client speaks first
        self._flush()

    def write(self, octets: bytes) -> None:
        if not octets or not self.is_open:
            return
        if not self._shaken:
            self._early.append(octets)
        elif self._tls is None:
            self._out += octets
        else:
            with suppress(ssl.SSLError):
                self._tls.write(octets)
        self._flush()

    def take(self) -> list[bytes]:
        taken, self.pieces = self.pieces, []
        return taken

    def pump(self) -> bool:
        """Read and write what can be; whether anything moved."""
        if not self.is_open:
            return self._linger()
        moved = self._flush()
        while self.reads and self.ending is None:
            try:
                octets = self._transport.recv(_READ_BYTES)
            except BlockingIOError:
                break
            except OSError:
                self.ending = "reset"
                return True
            moved = True
            if not octets:
                self._closed_by_peer()
            elif self._tls is None:
                self.pieces.append(octets)
            else:
                self._incoming.write(octets)
                self._decrypt()
        return self._flush() or moved

    def _closed_by_peer(self) -> None:
        self._decrypt()  # which may find a fault, or the end of TLS
        if self.ending is None:
            self.ending = "closed"

    def _decrypt(self) -> None:
        if self._tls is None:
            return
        try:
            if not self._shaken:
                self._tls.do_handshake()
                self._shaken = True
                early, self._early = self._early, []
                for octets in early:
                    self._tls.write(octets)
            while piece := self._tls.read(_READ_BYTES):
                self.pieces.append(piece)
            self.ending = "closed"
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ending = "closed"
        except ssl.SSLError:
            self.ending = "broken"

    def _flush(self) -> bool:
        if self._outgoing.pending:
            self._out += self._outgoing.read()
        if not self._out:
            return False
        try:
            sent = self._transport.send(self._out)
        except BlockingIOError:
            return False
        except OSError:
            self._out.clear()
            return False
        del self._out[:sent]
        return bool(sent)

    def close(self, *, resets: bool = False) -> None:
        if not self.is_open:
            return
        self.is_open = False
        if resets:
            with suppress(OSError):
                self._transport.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif self._tls is not None and self._shaken:
            with suppress(ssl.SSLError):
                self._tls.unwrap()
            self._flush()
        self._lingers = bool(self._out) and not resets and self.ending is None
        if not self._lingers:
            self._transport.close()

    def _linger(self) -> bool:
        if not self._lingers:
            return False
        moved = self._flush()
        if not self._out:
            self.end()
        return moved

    def end(self) -> None:
        """Close, whatever is still to be sent."""
        self.close()
        self._lingers = False
        self._transport.close()
