"""A real nginx, run by an ordinary user, whose access log shows how it understood each request."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.ordinary_user import ordinary_user
from support.ports import unused_port
from support.servers.process import accepts

TIMEOUT_S = 20.0
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")

# nginx can log fields that it is told, but cannot list all of them.
FIELDS = (
    "host", "content-length", "transfer-encoding", "connection", "expect", "te", "trailer", "upgrade",
    "accept", "content-type", "cookie", "x-a", "x-b", "x-c", "x-sum", "authorization", "x-smuggled",
)  # fmt: skip

# Every request is passed on, because nginx keeps a body only for a next hop; the second server is that hop.
_CONFIGURATION = """
daemon off;
master_process off;
pid {home}/nginx.pid;
error_log {home}/error.log crit;
events {{ worker_connections 128; }}
http {{
  log_format understood escape=json '{format}';
  access_log off;
  client_body_temp_path {home}/tmp;
  proxy_temp_path {home}/tmp;
  fastcgi_temp_path {home}/tmp;
  uwsgi_temp_path {home}/tmp;
  scgi_temp_path {home}/tmp;
  underscores_in_headers on;
  ignore_invalid_headers off;
  merge_slashes off;
  client_max_body_size 0;
  client_body_buffer_size 256k;
  client_body_in_single_buffer on;
  lingering_close off;
  keepalive_requests 1000000;
  proxy_ignore_client_abort on;
  server {{
    listen 127.0.0.1:{port};
    access_log {home}/access.log understood;
    location / {{ proxy_pass http://unix:{home}/next.sock; }}
  }}
  server {{
    listen unix:{home}/next.sock;
    location / {{ return 200; }}
  }}
}}
"""


@dataclass(frozen=True)
class Understood:
    """One request in the log. The values of a field that occurs twice are joined, as a list."""

    status: int  # the answer of nginx
    method: bytes
    target: bytes
    length: int  # bytes of the whole request, including the framing of its body
    body: bytes
    fields: dict[str, bytes]  # those of FIELDS that were present and not empty


def _format() -> str:
    values = {"status": "status", "method": "request_method", "target": "request_uri"}
    values |= {"length": "request_length", "body": "request_body"}
    values |= {f"field {name}": f"http_{name.replace('-', '_')}" for name in FIELDS}
    return "{" + ",".join(f'"{key}":"${variable}"' for key, variable in values.items()) + "}"


def _entry(line: bytes) -> Understood:
    # Above 0x7f nginx writes bytes unchanged; every byte below becomes itself or a JSON escape.
    logged: dict[str, str] = json.loads(line.decode("latin-1"))
    return Understood(
        status=int(logged["status"]),
        method=logged["method"].encode("latin-1"),
        target=logged["target"].encode("latin-1"),
        length=int(logged["length"]),
        body=logged["body"].encode("latin-1"),
        fields={name: value.encode("latin-1") for name in FIELDS if (value := logged[f"field {name}"])},
    )


class Nginx:
    """A running server on 127.0.0.1:port."""

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self._log = log
        self._read = 0

    def entries(self) -> list[Understood]:
        """Return what was logged since the last call. A request is logged before its connection is closed."""
        with self._log.open("rb") as log:
            log.seek(self._read)
            new = log.read()
        self._read += len(new)
        return [_entry(line) for line in new.splitlines()]

    def read(self, wire: bytes) -> list[Understood]:
        """Send wire as everything a client sends on one connection, and return how it was understood."""
        with socket.create_connection(("127.0.0.1", self.port), TIMEOUT_S) as client:
            try:
                client.sendall(wire)
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
            except ConnectionError:
                pass  # it closed because of a fault before it had read everything
        return self.entries()


@contextmanager
def _running(command: Sequence[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def nginx() -> Iterator[Nginx]:
    """Yield a server of its own. It and its files are removed when the block is left."""
    assert NGINX is not None
    with ordinary_user() as user:
        port = unused_port()
        configuration = user.home / "nginx.conf"
        configuration.write_text(_CONFIGURATION.format(home=user.home, port=port, format=_format()))
        os.chmod(configuration, 0o644)
        command = user.command([NGINX, "-e", "stderr", "-p", str(user.home), "-c", str(configuration)])
        with _running(command, user.environment()) as process:
            if not accepts(port, process):
                process.kill()
                raise RuntimeError(f"nginx does not start: {process.communicate()[1].decode()}")
            yield Nginx(port, user.home / "access.log")
