"""Write the files with the person's and the system's roots and the session's CA, for clients inside."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from posixpath import join

from nono.disk import root_places
from nono.disk.descriptor import read_at_most
from nono.named_tuple import NamedTuple
from nono.policy.environment.authority import CERTIFICATE_BUNDLES
from nono.private_dir import open_private_dir

BUNDLE = "intercept-ca.pem"
ADDED = "intercept-ca-added.pem"
TRUSTSTORE = "intercept-ca.jks"
WGETRC = "intercept-wgetrc"

_MAX_FILE_BYTES = 16 * 1024 * 1024  # distributions ship a quarter of a megabyte
_ROOT_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # RHEL 7
    "/etc/ssl/cert.pem",  # Alpine without ca-certificates
)
_ROOT_DIRECTORIES = ("/etc/ssl/certs", "/etc/pki/tls/certs")
# Where an administrator puts roots of their own: Debian, Fedora, openSUSE, Arch.
_ADMINS_DIRECTORIES = (
    "/usr/local/share/ca-certificates",
    "/etc/pki/ca-trust/source/anchors",
    "/etc/pki/trust/anchors",
    "/etc/ca-certificates/trust-source/anchors",
)
_HASHED_NAME = r"[0-9a-f]{8}\.[0-9]+"  # openssl-rehash(1)
# RFC 7468 section 5.1 and openssl-x509(1); a key in the same file must not reach the command.
_CERTIFICATE = rb"-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----\s[A-Za-z0-9+/=\s]+-----END \1-----"


class TrustBundle(NamedTuple):
    """The absolute paths of the files, and warnings for the person."""

    pem: str
    added: str  # for clients that bring roots of their own and add these
    truststore: str | None  # for Java
    wgetrc: str  # settings of wget, which with GnuTLS reads no variable for certificates
    warnings: tuple[str, ...]

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.pem, self.added, self.truststore, self.wgetrc)))


class Roots(NamedTuple):
    """Root certificates as PEM blocks, and warnings for the person."""

    blocks: tuple[bytes, ...]
    added: tuple[bytes, ...]  # what no client can bring: the person's and the administrator's
    warnings: tuple[str, ...]


class RootPlaces(NamedTuple):
    """Where the system's roots are: the first file with certificates is used, or else hashed directories."""

    files: Sequence[str]
    directories: Sequence[str]
    admins: Sequence[str] = ()  # directories with the roots among them that an administrator added


def system_places() -> RootPlaces:
    """Return OpenSSL's compiled-in places, then those of distributions. SSL_CERT_FILE is not consulted."""
    compiled_in = root_places.of_openssl()
    return RootPlaces(
        (compiled_in.file, *_ROOT_FILES),
        (compiled_in.directories, *_ROOT_DIRECTORIES),
        _ADMINS_DIRECTORIES,
    )


def wants_truststore(environment: Mapping[str, str]) -> bool:
    """Return True if `environment` leads to a JVM; no other client needs a truststore."""
    if environment.get("JAVA_HOME"):
        return True
    folders = environment.get("PATH", "").split(os.pathsep)
    return any(_is_program(join(folder, "java")) for folder in folders if folder)


def _is_program(path: str) -> bool:
    return os.access(path, os.X_OK) and os.path.isfile(path)


@contextmanager
def trust_bundle(
    directory: str,
    session_ca_pem: bytes,
    *,
    inherited: str | None,
    extra: str | None = None,
    clients: Sequence[str] = (),
    java: bool = False,
    places: RootPlaces | None = None,
    roots: Roots | None = None,
    truststore: bytes | None = None,
) -> Iterator[TrustBundle]:
    """Write the bundle into `directory` for the block; afterwards remove it, and the directory if empty.

    directory: absolute, used by this session only; created with mode 0700 if missing.
    session_ca_pem: the session's CA.
    inherited: SSL_CERT_FILE of the person's environment.
    extra: NODE_EXTRA_CA_CERTS of the person's environment.
    clients: what clients_bundles() returns of it.
    java: write a truststore too.
    places: where to look for the system's roots; None for the usual places.
    roots: those that trusted_roots() found already.
    truststore: the truststore's content, if it exists already.

    The PEM file holds the certificates of `inherited`, the system's roots, those of `clients`, and last the
    session's CA. The added one holds only what a client that brings its own roots lacks: Node parses every
    certificate in its file each time it starts, and 140 take 20 ms.
    Raises OSError if it cannot be written, if the directory is not private (see open_private_dir), or if no
    root was found: a bundle with only the session's CA would remove all other trust.
    """
    directory_fd = open_private_dir(directory, create=True)
    try:
        blocks, added, warnings = roots or trusted_roots(inherited, extra, clients, places)
        if not blocks:
            raise FileNotFoundError("no file with the system's root certificates was found (ca-certificates)")
        certificates = [*blocks, session_ca_pem.strip()]
        _write(directory_fd, BUNDLE, b"\n".join([*certificates, b""]))
        _write(directory_fd, ADDED, b"\n".join([*added, session_ca_pem.strip(), b""]))
        pem, wgetrc = join(directory, BUNDLE), join(directory, WGETRC)
        _write(directory_fd, WGETRC, b"ca_certificate = %b\n" % os.fsencode(pem))
        if java:
            _write(directory_fd, TRUSTSTORE, truststore or _truststore_of(certificates))
        java_file = join(directory, TRUSTSTORE) if java else None
        yield TrustBundle(pem, join(directory, ADDED), java_file, wgetrc, warnings)
    finally:
        for name in (BUNDLE, ADDED, TRUSTSTORE, WGETRC):
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory_fd)
        os.close(directory_fd)
        with suppress(OSError):  # not empty: others use it too
            os.rmdir(directory)


def clients_bundles(environ: Mapping[str, str]) -> list[str]:
    """Return the files that single clients trust in place of SSL_CERT_FILE: the bundle takes their places."""
    named = (environ.get(name, "") for name in CERTIFICATE_BUNDLES if name != "SSL_CERT_FILE")
    return [path for path in dict.fromkeys(named) if path.startswith("/")]


def trusted_roots(
    inherited: str | None,
    extra: str | None = None,
    clients: Sequence[str] = (),
    places: RootPlaces | None = None,
) -> Roots:
    """Return the roots for trust_bundle() without the session's CA."""
    places = places or system_places()
    warnings: list[str] = []
    own = _inherited_roots(inherited, warnings) if inherited else []
    system = _system_roots(places)
    shared = {*map(_normal, system)}
    added = [block for block in own if _normal(block) not in shared]
    added += [block for block in _admins_roots(places.admins) if _normal(block) in shared]
    if extra:
        with suppress(OSError):  # Node goes on without it too
            added += _certificates_of(extra)
    blocks = dict.fromkeys([*own, *system])
    for path in clients:
        if path not in (inherited, *places.files):
            with suppress(OSError):  # a directory, as Requests takes one; a client goes on, or says so itself
                blocks |= dict.fromkeys(_certificates_of(path))
    return Roots(tuple(blocks), tuple(dict.fromkeys(added)), tuple(warnings))


def _admins_roots(directories: Sequence[str]) -> list[bytes]:
    roots: list[bytes] = []
    for directory in directories:
        for folder, _, names in os.walk(directory):
            for name in sorted(names):
                with suppress(OSError):
                    roots += _certificates_of(join(folder, name))
    return roots


def _normal(block: bytes) -> bytes:
    """Return a PEM block without its line breaks, which differ between a file and a store made of it."""
    return b"".join(block.split())


def _inherited_roots(path: str, warnings: list[str]) -> list[bytes]:
    try:
        roots = _certificates_of(path)
    except OSError as failure:
        warnings.append(f"SSL_CERT_FILE {path!r} cannot be read and is left out: {failure.strerror}")
        return []
    if not roots:
        warnings.append(f"SSL_CERT_FILE {path!r} holds no certificate in PEM and is left out")
    return roots


def _system_roots(places: RootPlaces) -> list[bytes]:
    for path in places.files:
        with suppress(OSError):
            if roots := _certificates_of(path):
                return roots
    for directory in places.directories:
        with suppress(OSError):
            if roots := _hashed_roots(directory):
                return roots
    return []


def _hashed_roots(directory: str) -> list[bytes]:
    roots: list[bytes] = []
    for name in sorted(os.listdir(directory)):
        if re.fullmatch(_HASHED_NAME, name):
            with suppress(OSError):  # a dangling link
                roots += _certificates_of(join(directory, name))
    return roots


def _certificates_of(path: str) -> list[bytes]:
    """Return the PEM blocks of a file unchanged. Raises OSError, also if it is not regular or too large."""
    # O_NONBLOCK: the path may be a FIFO that nobody writes to.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        content = read_at_most(fd, _MAX_FILE_BYTES + 1)
    finally:
        os.close(fd)
    if len(content) > _MAX_FILE_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
    return [block.group() for block in re.finditer(_CERTIFICATE, content)]


def _write(directory_fd: int, name: str, content: bytes) -> None:
    """Create a file with mode 0400, replacing one left by a killed session."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory_fd)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o400, dir_fd=directory_fd), "wb") as file:
        os.fchmod(file.fileno(), 0o400)  # a umask may have cleared the owner's bit
        file.write(content)


def _truststore_of(certificates: Sequence[bytes]) -> bytes:
    # Imported here: it was usually made with the CA, if there is a JVM at all.
    from nono.proxy.tls.truststore import truststore_of

    return truststore_of(certificates)
