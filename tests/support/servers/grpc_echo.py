"""A gRPC server in a process of its own: gRPC's threads and the forks of a test suite do not go together.

    python grpc_echo.py CERTIFICATE_AND_KEY_PEM

Prints its port, then for each call a line of JSON: the method and its metadata. Ends with its standard input.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TRAILER = ("canary-trailer", "arrived")


@dataclass(slots=True)
class GrpcServer:
    """A running server, valid in the block that yielded it."""

    port: int
    _process: subprocess.Popen[str]

    def ended(self) -> list[dict[str, Any]]:
        """End the server, and return the method and metadata of each call that arrived."""
        said, _ = self._process.communicate(timeout=20)
        return [json.loads(line) for line in said.splitlines()]


@contextmanager
def grpc_server(pem: Path) -> Iterator[GrpcServer]:
    """Run a server. pem: its key and the chain of its certificate."""
    argv = [sys.executable, "-I", __file__, str(pem)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield GrpcServer(int(process.stdout.readline()), process)
        finally:
            process.kill()


def main(pem: str) -> None:
    import grpc  # type: ignore[import-untyped]  # it ships no types

    class Echo(grpc.GenericRpcHandler):  # type: ignore[misc]  # it is Any
        def service(self, details: Any) -> Any:
            print(json.dumps({"method": details.method, **dict(details.invocation_metadata)}), flush=True)

            def say(request: bytes, context: Any) -> bytes:
                context.set_trailing_metadata((TRAILER,))
                return request

            def talk(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
                context.set_trailing_metadata((TRAILER,))
                yield from requests

            if details.method.endswith("/Say"):
                return grpc.unary_unary_rpc_method_handler(say)
            return grpc.stream_stream_rpc_method_handler(talk)

    content = Path(pem).read_bytes()
    server = grpc.server(ThreadPoolExecutor(4), handlers=(Echo(),))
    port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([(content, content)]))
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(grace=0).wait()


if __name__ == "__main__":
    main(sys.argv[1])
