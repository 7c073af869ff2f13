"""Open the certificate authority of one run, and write the files that make clients inside trust it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from posixpath import join

from nono import paths
from nono.errors import reason_of
from nono.named_tuple import NamedTuple
from nono.policy.hosts.proxy_settings import ProxySettings
from nono.proxy.child_env import WGET_SETTINGS, trust_env
from nono.proxy.handshake.alpn import HTTP1, HTTP2, HTTP2_AT_NEED, Alpn
from nono.proxy.tls.leaf import Leaf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from ssl import SSLContext
    from typing import Protocol

    from nono.launch.proxy.ca_worker import PregeneratedCa
    from nono.proxy.tls.server_contexts import ServerContexts
    from nono.proxy.tls.session_ca import SessionCa
    from nono.proxy.tls.trust_bundle import TrustBundle
else:
    Protocol = object  # typing takes 2 ms to import


class TrustedAuthority(NamedTuple):
    """A CA in memory, and the files that hold its public part."""

    server_context: Callable[[str, bool], SSLContext]  # takes (host, x25519); see nono.proxy.exchange.context
    files: tuple[str, ...]  # files that clients inside must be able to read; canonical
    variables: Mapping[str, str]


class _Authority(Protocol):
    @property
    def certificate_pem(self) -> bytes: ...

    def server_context(self, host: str, alpn: Alpn, *, x25519: bool) -> SSLContext: ...


class LazyCa:
    """A CA that another process made, with leaves for the hosts that the run names.

    It is loaded when another host is first intercepted: cryptography takes 9 ms and 6 MB.
    """

    def __init__(self, made: PregeneratedCa, leaf_validity_s: float | None) -> None:
        self.certificate_pem = made.certificate_pem
        self._made = made
        self._leaf_validity_s = leaf_validity_s
        self._contexts: ServerContexts | None = None
        self._loaded: SessionCa | None = None

    def server_context(self, host: str, alpn: Alpn, *, x25519: bool) -> SSLContext:
        """Return ServerContexts.server_context for host."""
        if self._contexts is None:
            from nono.proxy.tls.server_contexts import ServerContexts  # imported here, with ssl

            self._contexts = ServerContexts(self._leaf, self.certificate_pem, self._made.not_after_s)
        return self._contexts.server_context(host, alpn, x25519=x25519)

    def _leaf(self, host: str, now_s: float) -> Leaf:
        if host in self._made.leaves:
            leaf = Leaf(*self._made.leaves[host])
            if now_s < leaf.renew_at_s:
                return leaf
        if self._loaded is None:
            from nono.proxy.tls.ca_certificate import MadeCa  # imported here, for the reason above
            from nono.proxy.tls.session_ca import SessionCa

            made = MadeCa(*self._made.made)
            self._loaded = SessionCa.from_made(made, leaf_validity_s=self._leaf_validity_s)
        return self._loaded.leaf(host, now_s)


@contextmanager
def trusted_authority(
    settings: ProxySettings,
    environ: Mapping[str, str],
    warn: Callable[[str], None],
    *,
    own: SessionCa | None = None,
    pregenerated: PregeneratedCa | None = None,
    http1_only: Callable[[str], bool] = lambda host: False,
    run_id: str = "",
) -> Iterator[TrustedAuthority | None]:
    """Open the CA of one run; its files are removed when the block is left.

    Yields None, after a warning, if they cannot be written: credentials then work through base URLs only.

    own: The user's own CA, in place of a generated one.
    pregenerated: A CA that another process made, with its first leaves.
    http1_only: Names the hosts for which HTTP/2 is never offered.
    run_id: Of the record of the run, by which its files are found after a crash; "" without one.
    """
    authority: _Authority = own or _new_authority(settings, pregenerated)
    directory = join(
        paths.state_root(environ), "sessions", f"intercept-{os.getpid()}-{run_id or os.urandom(8).hex()}"
    )
    with ExitStack() as stack:
        try:
            bundle = stack.enter_context(_bundle(directory, authority.certificate_pem, environ, pregenerated))
        except OSError as error:
            warn(
                f"TLS is not intercepted, so credentials work through their base URLs only: {directory}: "
                f"{reason_of(error)}"
            )
            yield None
            return
        for sentence in bundle.warnings:
            warn(sentence)
        written = tuple(os.path.realpath(path) for path in bundle.files)
        # A client that speaks only HTTP/2 gets it in any case; others are served faster without.
        usual = HTTP2 if settings.allow_http2 else HTTP2_AT_NEED
        yield TrustedAuthority(
            lambda host, x25519: authority.server_context(
                host, HTTP1 if http1_only(host) else usual, x25519=x25519
            ),
            written,
            trust_env(bundle.pem, bundle.added, bundle.truststore, settings.ca_env_vars, environ)
            | {WGET_SETTINGS: bundle.wgetrc},
        )


def _bundle(
    directory: str, certificate_pem: bytes, environ: Mapping[str, str], pregenerated: PregeneratedCa | None
) -> AbstractContextManager[TrustBundle]:
    """Write the files in `directory` for the clients that the variables suggest. Raises OSError."""
    # Imported here: only runs that intercept something need it.
    from nono.proxy.tls.trust_bundle import Roots, clients_bundles, trust_bundle, wants_truststore

    return trust_bundle(
        directory,
        certificate_pem,
        inherited=environ.get("SSL_CERT_FILE"),
        extra=environ.get("NODE_EXTRA_CA_CERTS"),
        clients=clients_bundles(environ),
        java=wants_truststore(environ),
        roots=Roots(*pregenerated.roots) if pregenerated else None,
        truststore=pregenerated.truststore if pregenerated else None,
    )


def _new_authority(settings: ProxySettings, pregenerated: PregeneratedCa | None) -> _Authority:
    if pregenerated is not None:
        return LazyCa(pregenerated, settings.leaf_validity_s)
    # Imported here: only runs that intercept something need cryptography.
    from nono.proxy.tls.session_ca import SessionCa

    return SessionCa.create(validity_s=settings.ca_validity_s, leaf_validity_s=settings.leaf_validity_s)
