"""Serve one handler of HTTP on loopback, in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class PostHandler(BaseHTTPRequestHandler):
    """Hands the body of each POST to post(), and prints nothing."""

    def do_POST(self) -> None:
        self.post(self.rfile.read(int(self.headers["Content-Length"])))

    def post(self, content: bytes) -> None:
        raise NotImplementedError

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, kind: str, content: bytes, *, retry_after_s: int | None = None) -> None:
        """Send a response with a body of the media type `kind`."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if retry_after_s is not None:
            self.send_header("Retry-After", str(retry_after_s))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def serving(handler: type[PostHandler], port: int = 0) -> Iterator[str]:
    """Serve until the block is left. Yields the URL. port: 0 takes a free one."""
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
