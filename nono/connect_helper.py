"""Open a tunnel through HTTPS_PROXY for ssh: `nono connect-helper HOST PORT` is its ProxyCommand.

The tunnel uses stdin and stdout. This file needs only the standard library, because nothing else of nono is
readable inside the sandbox; ssh starts it with `python -I -S`.
"""

from __future__ import annotations

import os
import socket
import sys
from base64 import b64encode
from collections.abc import Mapping, Sequence

PROXY_VARIABLES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
_MAX_HEAD_BYTES = 64 * 1024
_ANSWER_TIMEOUT_S = 60.0  # longer than the proxy itself waits for an upstream
_PIECE_BYTES = 256 * 1024
USAGE = "usage: nono connect-helper HOST PORT"


class NoTunnelError(Exception):
    """The tunnel could not be opened. The text is a message to a person."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the helper.

    Returns 0 when the tunnel has ended, 1 if it could not be opened, 2 for wrong arguments.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words in (["-h"], ["--help"]):
        print(USAGE)
        return 0
    if len(words) != 2 or not _is_host(words[0]) or not _is_port(words[1]):
        print(USAGE, file=sys.stderr)
        return 2
    host, port = words
    try:
        connected, first = open_tunnel(host, int(port))
    except (NoTunnelError, OSError) as error:
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        print(f"nono: no tunnel to {host}:{port}: {reason}", file=sys.stderr)
        return 1
    with connected:
        _join(connected, first)
    return 0


def _is_host(text: str) -> bool:
    """Check that text fits in a request line; the proxy judges the host it names."""
    return text.isascii() and text.isprintable() and not set(text) & set(" /@?#[]")


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 65535


def open_tunnel(host: str, port: int, environ: Mapping[str, str] = os.environ) -> tuple[socket.socket, bytes]:
    """Connect to host:port; also returns the bytes already received. Raises OSError or NoTunnelError.

    environ: Names the proxy.
    """
    url = next((environ[name] for name in PROXY_VARIABLES if environ.get(name)), "")
    if not url:
        raise NoTunnelError("HTTPS_PROXY is not set; this helper is for programs that `nono run` started")
    address, authorization = _proxy_of(url)
    connected = socket.create_connection(address, _ANSWER_TIMEOUT_S)
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        connected.sendall(
            f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n".encode("ascii")
        )
        first = _read_answer(connected)
        connected.settimeout(None)
    except BaseException:
        connected.close()
        raise
    return connected, first


def _proxy_of(url: str) -> tuple[tuple[str, int], str]:
    """Return the proxy's address and its Proxy-Authorization field, "" without a user."""
    from urllib.parse import unquote, urlsplit

    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise NoTunnelError("HTTPS_PROXY is no URL") from None
    if parts.scheme != "http" or host is None:
        raise NoTunnelError("HTTPS_PROXY is not the URL of an http proxy")
    if parts.username is None:
        return (host, port or 80), ""
    user_and_password = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    encoded = b64encode(user_and_password.encode()).decode("ascii")
    return (host, port or 80), f"Proxy-Authorization: Basic {encoded}\r\n"


def _read_answer(connected: socket.socket) -> bytes:
    """Return the bytes after the head of a 200. Raises NoTunnelError with the proxy's reason otherwise."""
    begun = b""
    while b"\r\n\r\n" not in begun:
        piece = connected.recv(4096)
        if not piece or len(begun) > _MAX_HEAD_BYTES:
            raise NoTunnelError("the proxy's answer is not complete")
        begun += piece
    head, _, rest = begun.partition(b"\r\n\r\n")
    status_line = head.split(b"\r\n", 1)[0].decode("latin-1")
    words = status_line.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or words[1] != "200":
        raise NoTunnelError(" ".join(words[1:]) or "the proxy does not speak HTTP")
    return rest


def _join(connected: socket.socket, first: bytes) -> None:
    """Relay both ways until the other end closes. The end of stdin is passed on as a half-close."""
    # A thread for each direction, so that a full pipe in one does not block the other; a daemon thread, as
    # ssh may keep our stdin open for as long as we live.
    # Imported here: the supervisor imports this file to learn its place.
    from threading import Thread

    Thread(target=_send_stdin, args=(connected,), daemon=True).start()
    try:
        while first or (first := connected.recv(_PIECE_BYTES)):
            left = memoryview(first)
            while left:
                left = left[os.write(1, left) :]
            first = b""
    except OSError:
        pass  # reset by the peer, or ssh stopped reading: the tunnel has ended


def _send_stdin(connected: socket.socket) -> None:
    try:
        while piece := os.read(0, _PIECE_BYTES):
            connected.sendall(piece)
        connected.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other direction fails too and ends the program


if __name__ == "__main__":
    sys.exit(main())
