"""Run a gRPC server and channels of the real library; messages are bytes, so protobuf is not needed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc  # type: ignore[import-untyped]  # it ships none
import trustme

from support.proxy.http2_stage import HOST, Stage
from support.proxy.thread import PHANTOM, TIMEOUT_S, TOKEN

KEY = [("authorization", f"Bearer {PHANTOM}")]
SERVICE = "/test.Echo/"


@dataclass
class EchoServer:
    """The calls that the server received."""

    port: int
    metadata: list[dict[str, str]] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def _note(self, context: grpc.ServicerContext) -> None:
        self.metadata.append({str(key): str(value) for key, value in context.invocation_metadata()})

    def unary(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self._note(context)
        context.set_trailing_metadata([("x-size", str(len(request)))])
        return request

    def tells(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        """Answer with the caller's key, compressed whatever it takes."""
        self._note(context)
        context.set_compression(grpc.Compression.Gzip)
        return self.metadata[-1]["authorization"].encode() + bytes(2000)

    def fails(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self._note(context)
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, request.decode())
        return b""

    def sleeps(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self._note(context)
        context.add_callback(self.cancelled.set)
        self.cancelled.wait(TIMEOUT_S)
        return b""

    def repeats(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        self._note(context)
        count, size = map(int, request.split())
        for _ in range(count):
            yield bytes(size)

    def counts(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        self._note(context)
        return str(sum(len(request) for request in requests)).encode()

    def talks(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        self._note(context)
        for request in requests:
            if request == b"stop":
                context.abort(grpc.StatusCode.OUT_OF_RANGE, "stopped")
            yield b"<" + request + b">"


@contextmanager
def echo_server(ca_file: str) -> Iterator[EchoServer]:
    """Run a server over TLS for HOST. ca_file is written: the certificate to verify it with."""
    ca = trustme.CA()
    Path(ca_file).write_bytes(ca.cert_pem.bytes())
    certificate = ca.issue_cert(HOST)
    upstream_proxy = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    with ThreadPoolExecutor(16) as pool:
        server = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
        credentials = grpc.ssl_server_credentials([(certificate.private_key_pem.bytes(), upstream_proxy)])
        echo = EchoServer(server.add_secure_port("127.0.0.1:0", credentials))
        handlers = {
            "Unary": grpc.unary_unary_rpc_method_handler(echo.unary),
            "Tells": grpc.unary_unary_rpc_method_handler(echo.tells),
            "Fails": grpc.unary_unary_rpc_method_handler(echo.fails),
            "Sleeps": grpc.unary_unary_rpc_method_handler(echo.sleeps),
            "Repeats": grpc.unary_stream_rpc_method_handler(echo.repeats),
            "Counts": grpc.stream_unary_rpc_method_handler(echo.counts),
            "Talks": grpc.stream_stream_rpc_method_handler(echo.talks),
        }
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Echo", handlers)])
        server.start()
        try:
            yield echo
        finally:
            echo.cancelled.set()
            server.stop(None).wait(TIMEOUT_S)


@contextmanager
def channel(stage: Stage) -> Iterator[grpc.Channel]:
    """Yield a channel through the proxy, to which the library itself sends CONNECT."""
    options = [
        ("grpc.http_proxy", f"http://nono:{TOKEN}@127.0.0.1:{stage.proxy.port}"),
        ("grpc.enable_http_proxy", 1),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_receive_message_length", -1),
    ]
    credentials = grpc.ssl_channel_credentials(Path(stage.ca_file).read_bytes())
    with grpc.secure_channel(stage.authority, credentials, options) as opened:
        yield opened
