"""Serve the clients of `nono doctor`: a proxy on loopback that terminates every TLS connection itself.

`nono run` is told to reach hosts through it. A client inside can therefore ask for a name that does not
exist, and no request leaves this machine.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLSocket

from nono.cli.doctor.grpc import serve_grpc
from nono.cli.doctor.pages import page
from nono.proxy.handshake.alpn import HTTP2
from nono.proxy.tls.session_ca import SessionCa

_TIMEOUT_S = 30.0
_SSH = b"SSH-2.0-nono_doctor\r\n"
_MAX_BODY = 1024 * 1024


class _Handler(BaseHTTPRequestHandler):
    """Handle one connection: a CONNECT, then TLS and requests for that host, or the first line of SSH."""

    protocol_version = "HTTP/1.1"
    timeout = _TIMEOUT_S
    host = ""  # the host of the CONNECT

    def do_CONNECT(self) -> None:
        if self.host:
            self.send_error(400)
            return
        self.host, _, port = self.path.rpartition(":")
        self.send_response_only(200)
        self.end_headers()
        if port == "22":
            self.wfile.write(_SSH)
            if self.rfile.readline(256).startswith(b"SSH-2.0-"):
                self.note("SSH")
            self.close_connection = True
            return
        try:
            tls = self.end_tls()
            if tls.selected_alpn_protocol() == "h2":
                self.close_connection = True
                serve_grpc(tls, self.note)
                return
        except OSError:  # nono did not trust the certificate, or is gone
            self.close_connection = True
            return
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb")
        self.close_connection = False

    def do_GET(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not self.host or not length.isdecimal() or int(length) > _MAX_BODY:
            self.send_error(400)
            return
        self.rfile.read(int(length))
        path = self.path.partition("?")[0]
        self.note(f"{self.command} {path}")
        answer = page(self.host, path)
        self.send_response_only(200)
        self.send_header("Content-Type", answer.media_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()

    do_HEAD = do_POST = do_GET  # noqa: N815 - names of the base class

    def finish(self) -> None:
        super().finish()
        self.connection.close()  # the TLS socket, which took over the descriptor

    def note(self, request: str) -> None:
        """Remember a request for the host of this connection."""
        raise NotImplementedError

    def end_tls(self) -> SSLSocket:
        """Replace the connection with its TLS socket and return that.

        Raises OSError if the handshake fails.
        """
        raise NotImplementedError

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: `nono doctor` reports what has arrived."""


class Server:
    """A running server. `port`: on loopback; `ca_pem`: the certificate nono must trust to talk to it."""

    def __init__(self, port: int, ca_pem: bytes, asked: dict[str, list[str]]) -> None:
        self.port = port
        self.ca_pem = ca_pem
        self._asked = asked

    def asked(self, host: str) -> tuple[str, ...]:
        """Return the requests that arrived for `host`, each as "METHOD /path"; "SSH" for an SSH client."""
        return tuple(self._asked.get(host, ()))


@contextmanager
def serving() -> Iterator[Server]:
    """Run the server until the block is left. Raises OSError if there is no free port."""
    authority = SessionCa.create(validity_s=3600)
    asked: dict[str, list[str]] = {}
    lock = threading.Lock()  # a SessionCa is made for use by one thread

    class Handler(_Handler):
        def note(self, request: str) -> None:
            with lock:
                asked.setdefault(self.host, []).append(request)

        def end_tls(self) -> SSLSocket:
            with lock:
                context = authority.server_context(self.host, HTTP2)
            self.connection = tls = context.wrap_socket(self.connection, server_side=True)
            return tls

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield Server(server.server_address[1], authority.certificate_pem, asked)
        finally:
            server.shutdown()
            thread.join()
