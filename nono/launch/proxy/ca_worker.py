"""Make the CA of a run in a separate process, while the supervisor is still importing its modules.

The process is forked before any secret is read, keeps no private descriptor but its pipe, and exits once it
has written the CA, the leaves of the hosts that the run names, and the trusted roots. The supervisor imports
cryptography itself only when it first intercepts another host.
"""

from __future__ import annotations

import marshal
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from nono.forked import Answer, Reply, answer_pipe, fork_child
from nono.kernel import process
from nono.kernel.signals import signal
from nono.named_tuple import NamedTuple
from nono.policy.resolve import Resolved

MADE_BYTES_MAX = 8 * 1024 * 1024  # a truststore of the system's roots takes a fortieth of that
_MAX_LEAVES = 16  # 0.1 ms each, for which the command waits


class PregeneratedCa(NamedTuple):
    """A CA, its first leaves, the other trusted roots, and the Java truststore of all roots, if needed."""

    certificate_pem: bytes
    made: tuple[bytes, bytes, int, int]  # the fields of ca_certificate.MadeCa
    not_after_s: int
    leaves: dict[str, tuple[bytes, float]]  # by host: the fields of leaf.Leaf
    roots: tuple[tuple[bytes, ...], tuple[bytes, ...], tuple[str, ...]]  # the fields of trust_bundle.Roots
    truststore: bytes | None

    def __repr__(self) -> str:
        return "PregeneratedCa(...)"


class CaWorker:
    """The parent's end of the pipe. The process is reaped by `supervise()`."""

    def __init__(self, answer: Answer, pidfd: int) -> None:
        self._answer = answer
        self._pidfd = pidfd

    def take(self) -> PregeneratedCa | None:
        """Wait for the CA; call once. Returns None if the process failed: the caller then makes the CA."""
        made = self._answer.read(MADE_BYTES_MAX)
        if made is None:
            return None
        return PregeneratedCa(*marshal.loads(made))  # written by this very program, in its own child

    def stop(self) -> None:
        """End the process if it still works. Stopping twice is harmless."""
        self._answer.close()
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):  # it has exited, as it should
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            os.close(self._pidfd)
            self._pidfd = -1


def intercepts(resolved: Resolved) -> bool:
    """Check whether the run may intercept TLS, for which it needs a CA."""
    if resolved.proxy is None:
        return False
    return bool(resolved.proxy.learns or resolved.services or resolved.scopes or resolved.oauth_routes)


@contextmanager
def ca_worker(resolved: Resolved, environ: Mapping[str, str]) -> Iterator[CaWorker | None]:
    """Start making the CA; None for a run without one. Call before reading a secret or starting a thread.

    A process still running when the block is left is killed. supervise() reaps it, and waits for it unless
    stop() is called before.
    """
    if resolved.proxy is None or not intercepts(resolved):
        yield None
        return
    answer, reply = answer_pipe()
    pid = fork_child(
        lambda: _make(reply, resolved, environ),
        set_death_signal=lambda: process.set_parent_death_signal(signal.SIGKILL),
    )
    reply.close()
    worker = CaWorker(answer, os.pidfd_open(pid))
    try:
        yield worker
    finally:
        worker.stop()


def _make(reply: Reply, resolved: Resolved, environ: Mapping[str, str]) -> None:
    """Run the forked process. On failure it sends nothing: the supervisor meets and reports the error."""
    process.close_range_from(process.FIRST_PRIVATE_DESCRIPTOR, keep={reply.fileno()})
    proxy = resolved.proxy
    assert proxy is not None  # otherwise nothing is intercepted
    reply.send(_made(proxy.ca_validity_s, proxy.leaf_validity_s, named_hosts(resolved), environ))


def named_hosts(resolved: Resolved) -> list[str]:
    """Return the hosts that the run will intercept by exact name: the first ones, if there are many."""
    origins = [(route.upstream.scheme, route.upstream.host) for route in resolved.oauth_routes]
    origins += [(service.upstream.scheme, service.upstream.host) for service in resolved.services]
    origins += [(scope.scheme, scope.host) for scope in resolved.scopes]
    hosts = [host for scheme, host in origins if scheme == "https" and not host.startswith("*.")]
    return list(dict.fromkeys(hosts))[:_MAX_LEAVES]


def _made(
    validity_s: float, leaf_validity_s: float, hosts: Sequence[str], environ: Mapping[str, str]
) -> bytes:
    # Imported here: only the forked process needs it.
    from nono.proxy.tls import ca_certificate
    from nono.proxy.tls.leaf_certificate import LeafKey, LeafMaker
    from nono.proxy.tls.trust_bundle import clients_bundles, trusted_roots, wants_truststore

    now_s = time.time()
    made = ca_certificate.make(validity_s, now_s)
    pem, key = made.certificate_pem, made.key
    maker = LeafMaker(key, made.issuer(key), LeafKey(), leaf_validity_s)
    leaves = {host: tuple(maker.leaf(host, now_s)) for host in hosts}
    roots = trusted_roots(
        environ.get("SSL_CERT_FILE"), environ.get("NODE_EXTRA_CA_CERTS"), clients_bundles(environ)
    )
    truststore = None
    if wants_truststore(environ):
        from nono.proxy.tls.truststore import truststore_of

        truststore = truststore_of([*roots.blocks, pem])
    return marshal.dumps((pem, tuple(made), made.not_after_s, leaves, tuple(roots), truststore))
