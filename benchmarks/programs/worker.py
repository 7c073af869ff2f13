"""Does what the benchmark asks, from where a command stands: bare, under nono or beside nono-py's proxy.

One JSON object per line on stdin, {"job": NAME, ...}; one per line on stdout, {"values": [...]} or
{"error": TEXT}. It ends with stdin. The environment says where the services are, as it would tell an SDK:
<SERVICE>_BASE_URL, <SERVICE>_KEY, HTTPS_PROXY, and SSL_CERT_FILE where TLS is intercepted. Standard library
only, in one file: the sandbox then needs to grant no more than this file.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

PATIENCE_S = 20.0
HEAD_END = b"\r\n\r\n"
PIECE = 1 << 18
LOWEST_PRIORITY = 19


class Link:
    """A connection that is read up to a mark."""

    def __init__(self, transport: socket.socket) -> None:
        self.transport = transport
        self._buffer = b""

    def read_until(self, mark: bytes) -> bytes:
        """Read through the mark. Raises ConnectionError if the other end closes before it."""
        while mark not in self._buffer:
            piece = self.transport.recv(PIECE)
            if not piece:
                raise ConnectionResetError(f"closed after {self._buffer[:80]!r}")
            self._buffer += piece
        taken, _, self._buffer = self._buffer.partition(mark)
        return taken + mark

    def read_head(self) -> bytes:
        head = self.read_until(HEAD_END)
        status = head.split(b" ", 2)[1:2]
        if status != [b"200"]:
            raise ConnectionError(f"answered {head[:120]!r}")
        return head

    def read_body(self, head: bytes) -> int:
        """Drop a body that has a Content-Length. Returns its length."""
        fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:-2])
        size = int(fields[b"content-length"])
        left, self._buffer = size - len(self._buffer), b""
        space = memoryview(bytearray(PIECE))
        while left > 0:
            got = self.transport.recv_into(space)
            if not got:
                raise ConnectionResetError("closed within the body")
            left -= got
        return size

    def drain(self) -> None:
        """Read to the last chunk, or to the end: nono-py closes and leaves the last chunk out."""
        while not self._buffer.endswith(b"0\r\n\r\n"):
            piece = self.transport.recv(PIECE)
            if not piece:
                return
            self._buffer += piece

    def close(self) -> None:
        self.transport.close()


class Service:
    """A service as the environment describes it."""

    def __init__(self, name: str, ca_file: str | None) -> None:
        self._url = urlsplit(os.environ[f"{name}_BASE_URL"])
        self._key = os.environ[f"{name}_KEY"]
        self._tls = _trusting(ca_file) if self._url.scheme == "https" else None

    @property
    def port(self) -> int:
        return self._url.port or 443

    def request(self, path: str) -> bytes:
        return _get_with_key(self._url.path + path, self._url.netloc, self._key)

    def connect(self) -> Link:
        transport = _dial(self._url.hostname or "", self.port)
        if self._tls is not None:
            transport = self._tls.wrap_socket(transport, server_hostname=self._url.hostname)
        return Link(transport)


def _dial(host: str, port: int) -> socket.socket:
    transport = socket.create_connection((host, port), timeout=PATIENCE_S)
    transport.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return transport


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # nono's would pass, those of a peer do not
    return context


def _trusted(ca_file: str) -> str:
    """Return the roots that a client inside trusts where TLS is intercepted, else ca_file."""
    return os.environ.get("SSL_CERT_FILE", ca_file)


def _connect_head(authority: str) -> tuple[int, bytes]:
    """Return the port to dial for authority, and the head that asks for it: empty if there is no proxy."""
    if "HTTPS_PROXY" not in os.environ:
        return int(authority.rpartition(":")[2]), b""
    proxy = urlsplit(os.environ["HTTPS_PROXY"])
    token = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
    head = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: Basic {token}\r\n\r\n"
    return proxy.port or 0, head.encode()


def _tunnel(host: str, port: int, tls: ssl.SSLContext) -> Link:
    """Connect by TLS to host:port, through the proxy if there is one."""
    dialled, head = _connect_head(f"{host}:{port}")
    transport = _dial("127.0.0.1", dialled)
    if head:
        transport.sendall(head)
        Link(transport).read_head()
    return Link(tls.wrap_socket(transport, server_hostname=host))


def _get(path: str, host: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def _get_with_key(path: str, authority: str, key: str) -> bytes:
    fields = (f"Host: {authority}", f"Authorization: Bearer {key}", "Accept: */*")
    return "\r\n".join((f"GET {path} HTTP/1.1", *fields, "", "")).encode()


def _get_block(path: str, authority: str, key: str) -> bytes:
    """Return a GET as a field block of HTTP/2: literals without indexing (RFC 7541 section 6.2.2)."""

    def value(text: str) -> bytes:
        length, more = len(text), b""
        if length >= 127:  # section 5.1
            rest, length = length - 127, 127
            while rest >= 128:
                more += bytes([rest % 128 + 128])
                rest //= 128
            more += bytes([rest])
        return bytes([length]) + more + text.encode()

    # By number in the static table: :method GET, :scheme https, :path, :authority, authorization, accept.
    fields = [b"\x82\x87", b"\x04" + value(path), b"\x01" + value(authority)]
    return b"".join([*fields, b"\x0f\x08" + value(f"Bearer {key}"), b"\x0f\x04" + value("*/*")])


def spawn(argv: list[str]) -> list[float]:
    """Return the seconds that a command took, then the numbers that it printed."""
    start = time.perf_counter()
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    seconds = time.perf_counter() - start
    if ended.returncode:
        raise RuntimeError(f"{argv[0]} ended with {ended.returncode}: {ended.stderr.strip()[-200:]}")
    return [seconds, *map(float, ended.stdout.split())]


def _as_load(argv: list[str], given: bytes, seconds: float) -> subprocess.CompletedProcess[bytes]:
    """Run it at the lowest priority in every place: nono gives its command a low one, the others do not."""
    return subprocess.run(
        argv,
        input=given,
        capture_output=True,
        timeout=seconds + PATIENCE_S,
        check=False,
        preexec_fn=lambda: os.setpriority(os.PRIO_PROCESS, 0, LOWEST_PRIORITY),
    )


def load(service: str, path: str, probe: str, connections: int, seconds: float, keep: bool) -> list[float]:
    """Return the requests that were answered, the requests that failed, and the seconds."""
    where = Service(service, None)
    mode = "keep" if keep else "new"
    argv = [probe, "load", str(where.port), str(connections), str(seconds), mode]
    ended = _as_load(argv, where.request(path), seconds)
    if ended.returncode:
        raise RuntimeError(f"the load ended with {ended.returncode}")
    return [*map(float, ended.stdout.split()), seconds]


def wrk(service: str, path: str, wrk: str, connections: int, seconds: float) -> list[float]:
    """Load by wrk as load() does with keep-alive; wrk counts in whole seconds."""
    where = Service(service, None)
    line, *fields = where.request(path).decode().split("\r\n")
    url = f"http://127.0.0.1:{where.port}{line.split(' ')[1]}"
    headers = [f"-H{field}" for field in fields if field and not field.startswith("Host")]
    argv = [wrk, "-t1", f"-c{connections}", f"-d{max(round(seconds), 1)}s", *headers, url]
    ended = _as_load(argv, b"", seconds)
    if ended.returncode:
        raise RuntimeError(f"wrk: {ended.stderr.decode().strip()[-200:]}")
    words = ended.stdout.decode().split()
    answered = float(words[words.index("requests") - 1])
    failed = float(words[words.index("responses:") + 1]) if "responses:" in words else 0.0
    return [answered, failed, answered / float(words[words.index("Requests/sec:") + 1])]


def tls_load(
    program: str,
    kind: str,
    host: str,
    port: int,
    key: str,
    path: str,
    ca_file: str,
    connections: int,
    seconds: float,
    streams: int = 1,
) -> list[float]:
    """Load as load() does, over TLS that ends in the proxy. kind is one of tls_load.c; key: the variable."""
    authority = f"{host}:{port}"
    dialled, head = _connect_head(authority)
    request = (_get_block if kind == "h2" else _get_with_key)(path, authority, os.environ[key])
    argv = [
        program,
        kind,
        str(dialled),
        str(len(head)),
        host,
        _trusted(ca_file),
        str(connections),
        str(seconds),
    ]
    argv += [str(streams)] if kind == "h2" else []
    ended = _as_load(argv, head + request, seconds)
    if ended.returncode:
        raise RuntimeError(f"tls_load: {ended.stderr.decode().strip()[-200:]}")
    return [*map(float, ended.stdout.split()), seconds]


def bulk_intercepted(program: str, host: str, port: int, key: str, path: str, ca_file: str) -> list[float]:
    """Return the bytes per second of a body, over TLS that ends in the proxy."""
    authority = f"{host}:{port}"
    dialled, head = _connect_head(authority)
    request = _get_with_key(path, authority, os.environ[key])
    argv = [program, "bulk", str(dialled), str(len(head)), host, _trusted(ca_file)]
    ended = subprocess.run(argv, input=head + request, capture_output=True, timeout=PATIENCE_S, check=False)
    if ended.returncode:
        raise RuntimeError(f"tls_load: {ended.stderr.decode().strip()[-200:]}")
    size, ns = ended.stdout.split()
    return [float(size) / float(ns) * 1e9]


def first_event_intercepted(
    host: str, port: int, key: str, path: str, ca_file: str, count: int
) -> list[float]:
    """Time as first_event() does, over TLS that ends in the proxy."""
    tls, taken = _trusting(_trusted(ca_file)), []
    request = _get_with_key(path, f"{host}:{port}", os.environ[key])
    for _ in range(count):
        link = _tunnel(host, port, tls)
        taken.append(_seconds_to_first_event(link, request))
    return taken


def _seconds_to_first_event(link: Link, request: bytes) -> float:
    start = time.perf_counter()
    link.transport.sendall(request)
    link.read_until(b"data:")
    seconds = time.perf_counter() - start
    link.drain()
    link.close()
    return seconds


def first_event(service: str, path: str, ca_file: str, count: int) -> list[float]:
    """Return the seconds from a request on a connection just opened to the first event of its stream."""
    where = Service(service, ca_file)
    return [_seconds_to_first_event(where.connect(), where.request(path)) for _ in range(count)]


def tunnels(host: str, port: int, path: str, ca_file: str, count: int) -> list[float]:
    """Return the seconds for a tunnel: TCP, CONNECT, TLS, one request and its answer."""
    tls, taken = _trusting(ca_file), []
    for _ in range(count):
        start = time.perf_counter()
        link = _tunnel(host, port, tls)
        link.transport.sendall(_get(path, host))
        link.read_body(link.read_head())
        taken.append(time.perf_counter() - start)
        link.close()
    return taken


def bulk_reverse(service: str, path: str) -> list[float]:
    """Return the bytes per second of a body through the reverse route."""
    where = Service(service, None)
    link = where.connect()
    return [_rate(link, where.request(path))]


def bulk_tunnel(host: str, port: int, path: str, ca_file: str) -> list[float]:
    """Return the bytes per second of a body through a tunnel."""
    return [_rate(_tunnel(host, port, _trusting(ca_file)), _get(path, host))]


def _rate(link: Link, request: bytes) -> float:
    start = time.perf_counter()
    link.transport.sendall(request)
    size = link.read_body(link.read_head())
    taken = time.perf_counter() - start
    link.close()
    return size / taken


def latency(
    service: str, path: str, crowd: list[str], seconds: float, pause_s: float = 0.0, urgent: bool = False
) -> list[float]:
    """Return the seconds of each request on one connection while a crowd, if there is one, is busy.

    urgent: we run whenever we can, whatever the crowd does, so that what is measured is not our own waiting.
    """
    where, taken = Service(service, None), []
    link = where.connect()
    running = _started(crowd) if crowd else None
    if urgent:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        link.transport.sendall(where.request(path))
        link.read_body(link.read_head())
        taken.append(time.perf_counter() - start)
        time.sleep(pause_s)
    if urgent:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    link.close()
    if running is not None:
        done = running.communicate(timeout=PATIENCE_S)[0].split()
        if running.returncode or not float(done[0]):
            raise RuntimeError("the crowd did nothing")
    return taken


def _started(crowd: list[str]) -> subprocess.Popen[str]:
    running = subprocess.Popen(crowd, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    running.stdout.readline()  # "started"
    return running


def proxy_port() -> list[float]:
    return [float(urlsplit(os.environ["HTTPS_PROXY"]).port or 0)]


JOBS: dict[str, Callable[..., list[float]]] = {
    job.__name__: job
    for job in (
        spawn,
        load,
        wrk,
        tls_load,
        first_event,
        first_event_intercepted,
        tunnels,
        bulk_reverse,
        bulk_tunnel,
        bulk_intercepted,
        latency,
        proxy_port,
    )
}


def answer(order: dict[str, Any]) -> dict[str, Any]:
    """Do a job, and return what is printed; one that fails says so, and the worker goes on."""
    try:
        return {"values": JOBS[order.pop("job")](**order)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    if len(sys.argv) > 1:
        os.sched_setaffinity(0, {int(sys.argv[1])})
    print(json.dumps({"values": []}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
