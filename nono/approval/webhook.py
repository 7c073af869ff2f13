"""Ask an HTTP endpoint: one POST on one connection, following no redirects."""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from contextlib import suppress

import httptools

from nono import __version__
from nono.approval import webhook_message
from nono.approval.request import Answer, Question
from nono.disk.user_ids import owner_of
from nono.kernel.sock_diag import users_of_server
from nono.policy.hosts.local_server import refused_server
from nono.policy.hosts.upstream import is_loopback
from nono.policy.services.approval import WebhookBackend

_READ_BYTES = 16 * 1024
_HEAD_BYTES_MAX = 64 * 1024


class Webhook:
    """A Backend that posts to a webhook. The caller limits the time."""

    def __init__(self, where: WebhookBackend) -> None:
        self._upstream = where.upstream
        self._target = where.target
        # Made once, before the command starts, because it reads the host's root certificates.
        self._tls = _context() if where.upstream.scheme == "https" else None

    async def ask(self, question: Question, expires_s: float) -> Answer:
        body = webhook_message.body(question, expires_s)
        try:
            status, reply = await self._post(body)
        except ssl.SSLCertVerificationError as error:
            return Answer("error", f"the webhook's certificate is not trusted: {error.verify_message}")
        except OSError as error:
            return Answer("error", f"the webhook cannot be reached: {error.strerror or type(error).__name__}")
        except EOFError:
            return Answer("error", "the webhook's reply ended early, or does not say how long it is")
        except (httptools.HttpParserError, ValueError):
            return Answer("error", "the webhook's reply is not HTTP, too long, or more than one")
        return webhook_message.answer(question, status, reply)

    async def _post(self, body: bytes) -> tuple[int, bytes]:
        """Return status and body of the reply.

        Raises OSError, HttpParserError, EOFError if it is cut, or ValueError if it is too long or two.
        """
        upstream = self._upstream
        server_name = upstream.host if self._tls is not None else None
        reader, writer = await asyncio.open_connection(
            upstream.host, upstream.port, ssl=self._tls, server_hostname=server_name
        )
        try:
            if self._tls is None:
                _refuse_another_users(writer)
            head = (
                f"POST {self._target} HTTP/1.1\r\nHost: {upstream.authority.decode()}\r\n"
                f"User-Agent: nono/{__version__}\r\nContent-Type: application/json\r\n"
                f"Accept: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode("ascii") + body)
            reply = _Reply()
            while not reply.is_complete:
                piece = await reader.read(_READ_BYTES)
                if not piece:
                    raise EOFError("a reply without an end")
                reply.feed(piece)
            return reply.status, bytes(reply.body)
        finally:
            writer.close()
            with suppress(OSError):
                writer.transport.abort()


def _refuse_another_users(writer: asyncio.StreamWriter) -> None:
    """Raise OSError if another user of this machine would answer, or may have done so already."""
    server, client = writer.get_extra_info("peername")[:2], writer.get_extra_info("sockname")[:2]
    if is_loopback(server[0]):
        refused = refused_server(users_of_server(server, client), os.geteuid(), owner_of)
        if refused is not None:
            raise PermissionError(errno.EPERM, refused)


def _context() -> ssl.SSLContext:
    """Trust the host's roots. ssl.create_default_context() would also obey SSLKEYLOGFILE."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_default_certs()
    return context


class _Reply:
    """A response, as far as it has been received."""

    def __init__(self) -> None:
        self.status = 0
        self.body = bytearray()
        self.is_complete = False
        self._fed = 0
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, piece: bytes) -> None:
        self._fed += len(piece)
        if self._fed > _HEAD_BYTES_MAX + webhook_message.RESPONSE_BYTES_MAX:
            raise ValueError("a reply that is too long")
        self._parser.feed_data(piece)

    def on_message_begin(self) -> None:
        if self.is_complete:
            raise ValueError("two replies, of which nobody knows which one counts")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, piece: bytes) -> None:
        self.body += piece
        if len(self.body) > webhook_message.RESPONSE_BYTES_MAX:
            raise ValueError("a reply that is too long")

    def on_message_complete(self) -> None:
        self.is_complete = self.status >= 200  # not an interim response
