"""Answer gRPC calls with "unimplemented", for the server of `nono doctor`."""

from __future__ import annotations

from collections.abc import Callable
from ssl import SSLSocket

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, RequestReceived
from h2.exceptions import ProtocolError

_CHUNK_BYTES = 65536
_UNIMPLEMENTED = "12"  # grpc-status, from gRPC's list of status codes


def serve_grpc(connection: SSLSocket, note: Callable[[str], None]) -> None:
    """Serve one HTTP/2 connection until it ends. `note` receives each request, as "METHOD /path".

    Raises OSError if the connection breaks or is silent for too long.
    """
    state = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
    state.initiate_connection()
    connection.sendall(state.data_to_send())
    while piece := connection.recv(_CHUNK_BYTES):
        try:
            events = state.receive_data(piece)
        except ProtocolError:
            break
        for event in events:
            if isinstance(event, RequestReceived):
                fields = {str(name): str(value) for name, value in event.headers}  # str: header_encoding
                note(f"{fields[':method']} {fields[':path']}")
                state.send_headers(
                    event.stream_id, [(":status", "200"), ("content-type", "application/grpc")]
                )
                state.send_headers(event.stream_id, [("grpc-status", _UNIMPLEMENTED)], end_stream=True)
            elif isinstance(event, ConnectionTerminated):
                return
        connection.sendall(state.data_to_send())
