"""The CA of a run, made in a process of its own while the supervisor still imports what it is made of.

cryptography takes 30 ms to import, a truststore for Java 15 ms to make. The process is forked before any
secret is read, has no descriptor but its pipe, and ends when it has written. The supervisor imports
cryptography itself only when a host is intercepted for the first time.
"""

from __future__ import annotations

import os
import signal
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NoReturn

from nono.kernel import process
from nono.policy.resolve import Resolved
from nono.sandbox import channel

FIRST_PRIVATE_DESCRIPTOR = 3


class MadeAhead:
    """A CA with its private key, and the truststore that holds it, where one is wanted."""

    __slots__ = ("certificate_pem", "key_pem", "truststore")

    def __init__(self, certificate_pem: bytes, key_pem: bytes, truststore: bytes | None) -> None:
        self.certificate_pem = certificate_pem
        self.key_pem = key_pem
        self.truststore = truststore


class AuthorityAhead:
    """The reading end. It is reaped with whatever else the supervisor has for a child."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def take(self) -> MadeAhead | None:
        """Waits for it, once. None when the process has failed: make the CA here then."""
        try:
            message = channel.receive(self._descriptor)
        except ValueError:
            return None
        if message is None:
            return None
        certificate, key, truststore = (str(message[name]) for name in ("certificate", "key", "truststore"))
        return MadeAhead(certificate.encode(), key.encode(), b64decode(truststore) or None)


def intercepts(resolved: Resolved) -> bool:
    """Whether a run looks into TLS, for which it needs a CA."""
    if resolved.proxy is None:
        return False
    return bool(resolved.proxy.learns or resolved.services or resolved.scopes or resolved.oauth_routes)


@contextmanager
def authority_ahead(resolved: Resolved, environ: Mapping[str, str]) -> Iterator[AuthorityAhead | None]:
    """Begins to make the CA; None for a run without. Call it before a secret is read or a thread runs.

    What still runs when the block is left is killed; it is reaped by supervise(), whose block is around.
    """
    if resolved.proxy is None or not intercepts(resolved):
        yield None
        return
    ours, theirs = os.pipe()
    supervisor_pid = os.getpid()
    pid = os.fork()
    if pid == 0:
        _make(theirs, supervisor_pid, resolved.proxy.ca_validity_s, environ)
    os.close(theirs)
    pidfd = os.pidfd_open(pid)
    try:
        yield AuthorityAhead(ours)
    finally:
        os.close(ours)
        with suppress(ProcessLookupError):  # it has ended, as it should
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)


def _make(descriptor: int, supervisor_pid: int, validity_s: float, environ: Mapping[str, str]) -> NoReturn:
    """The whole life of the process. Whatever goes wrong is left for the supervisor to meet and to say."""
    try:
        process.set_parent_death_signal(signal.SIGKILL)
        if os.getppid() == supervisor_pid:
            process.close_range_from(FIRST_PRIVATE_DESCRIPTOR, keep={descriptor})
            channel.send(descriptor, _made(validity_s, environ))
    finally:
        os._exit(0)


def _made(validity_s: float, environ: Mapping[str, str]) -> channel.Message:
    # Imported here: it is for the forked process alone.
    from nono.proxy.authority import SessionAuthority
    from nono.proxy.trust_bundle import trusted_roots, truststore_of, wants_truststore

    authority = SessionAuthority.create(validity_s=validity_s)
    truststore = b""
    if wants_truststore(environ):
        roots, _ = trusted_roots(environ.get("SSL_CERT_FILE"))
        truststore = truststore_of([*roots, authority.certificate_pem])
    return {
        "certificate": authority.certificate_pem.decode("ascii"),
        "key": authority.private_key_pem().decode("ascii"),
        "truststore": b64encode(truststore).decode("ascii"),
    }
