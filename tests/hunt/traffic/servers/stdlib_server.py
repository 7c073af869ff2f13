"""http.server of HTTP/1.1, as small services have it. Usage: stdlib_server.py PORT LOG"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        entry = {
            "method": self.command,
            "target": self.path,
            "mark": self.headers.get("x-mark", ""),
            "key": self.headers.get("authorization", ""),
        }
        with open(sys.argv[2], "a") as log:
            log.write(json.dumps(entry) + "\n")
        if not self.path.startswith("/unread"):
            self.rfile.read(int(self.headers.get("content-length") or 0))
        body = entry["mark"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Answer", entry["mark"])
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def __getattr__(self, name: str) -> object:
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
