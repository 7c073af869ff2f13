"""The CA of a run, made in a process of its own while the supervisor still imports what it is made of.

cryptography takes 30 ms to import, a truststore for Java 15 ms to make. The process is forked before any
secret is read, has no descriptor but its pipe, and ends when it has written. The supervisor imports
cryptography itself only when a host is intercepted for the first time.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from nono.forked import Answer, Reply, answer_pipe, fork_child
from nono.kernel import process
from nono.policy.resolve import Resolved

MADE_BYTES_MAX = 8 * 1024 * 1024  # a truststore of the system's roots has a fortieth of that
_BETWEEN = b"\0"  # is in no PEM; the truststore, which may have it, comes last


class PregeneratedCa:
    """A CA with its private key, and the truststore that holds it, where one is wanted."""

    __slots__ = ("certificate_pem", "key_pem", "truststore")

    def __init__(self, certificate_pem: bytes, key_pem: bytes, truststore: bytes | None) -> None:
        self.certificate_pem = certificate_pem
        self.key_pem = key_pem
        self.truststore = truststore


class CaWorker:
    """The reading end. The process is reaped with whatever else the supervisor has for a child."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def take(self) -> PregeneratedCa | None:
        """Wait for it, once. None when the process has failed: make the CA here then."""
        made = self._answer.read(MADE_BYTES_MAX)
        if made is None:
            return None
        certificate, key, truststore = made.split(_BETWEEN, 2)
        return PregeneratedCa(certificate, key, truststore or None)


def intercepts(resolved: Resolved) -> bool:
    """Whether a run looks into TLS, for which it needs a CA."""
    if resolved.proxy is None:
        return False
    return bool(resolved.proxy.learns or resolved.services or resolved.scopes or resolved.oauth_routes)


@contextmanager
def authority_ahead(resolved: Resolved, environ: Mapping[str, str]) -> Iterator[CaWorker | None]:
    """Begins to make the CA; None for a run without. Call it before a secret is read or a thread runs.

    What still runs when the block is left is killed; it is reaped by supervise(), whose block is around.
    """
    if resolved.proxy is None or not intercepts(resolved):
        yield None
        return
    answer, reply = answer_pipe()
    validity_s = resolved.proxy.ca_validity_s
    pid = fork_child(
        lambda: _make(reply, validity_s, environ),
        set_death_signal=lambda: process.set_parent_death_signal(signal.SIGKILL),
    )
    reply.close()
    pidfd = os.pidfd_open(pid)
    try:
        yield CaWorker(answer)
    finally:
        answer.close()
        with suppress(ProcessLookupError):  # it has ended, as it should
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)


def _make(reply: Reply, validity_s: float, environ: Mapping[str, str]) -> None:
    """The whole life of the process. Whatever goes wrong is left for the supervisor to meet and to say."""
    process.close_range_from(process.FIRST_PRIVATE_DESCRIPTOR, keep={reply.fileno()})
    reply.send(_made(validity_s, environ))


def _made(validity_s: float, environ: Mapping[str, str]) -> bytes:
    # Imported here: it is for the forked process alone.
    from nono.proxy.tls.session_ca import SessionCa
    from nono.proxy.tls.trust_bundle import trusted_roots, truststore_of, wants_truststore

    authority = SessionCa.create(validity_s=validity_s)
    truststore = b""
    if wants_truststore(environ):
        roots, _ = trusted_roots(environ.get("SSL_CERT_FILE"))
        truststore = truststore_of([*roots, authority.certificate_pem])
    return _BETWEEN.join((authority.certificate_pem, authority.private_key_pem(), truststore))
