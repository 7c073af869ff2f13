"""Run a time-stamping authority on loopback: `openssl ts` behind HTTP."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.outward.serving import PostHandler, serving

_CONFIG = """
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[tsa]
extendedKeyUsage = critical,timeStamping
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[ts]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
ordering = yes
ess_cert_id_chain = no
[with_root]
certs = {folder}/ca.pem
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
ordering = yes
ess_cert_id_chain = no
"""


class Authority:
    """What the authority was asked, and whether it answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = folder / "ca.pem"
        self.asked = 0
        self.is_down = False
        self.is_unsorted = False  # it adds its root, as `openssl ts` does, in another order than DER's
        self.url = ""
        self._lock = threading.Lock()

    def answer(self, query: bytes) -> bytes:
        with self._lock:
            self.asked += 1
            (self.folder / "query.tsq").write_bytes(query)
            section = "with_root" if self.is_unsorted else "ts"
            argv = [
                "openssl",
                "ts",
                "-reply",
                "-queryfile",
                "query.tsq",
                "-config",
                "tsa.cnf",
                "-section",
                section,
            ]
            run = subprocess.run(argv, cwd=self.folder, capture_output=True, check=True, timeout=20)
            return run.stdout


def _make(folder: Path) -> None:
    (folder / "tsa.cnf").write_text(_CONFIG.format(folder=folder))
    (folder / "serial").write_text("01\n")

    def openssl(*argv: str) -> None:
        subprocess.run(["openssl", *argv], cwd=folder, capture_output=True, check=True, timeout=20)

    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "tsa.cnf"]
    root = ["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=root", "-extensions", "ca", "-days", "9"]
    openssl("req", "-x509", *new, *root)
    openssl("req", *new, *["-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=clock"])
    by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-extfile", "tsa.cnf", "-extensions", "tsa", "-days", "9"]
    openssl("x509", "-req", "-in", "tsa.csr", "-out", "tsa.pem", *by)


@contextmanager
def authority(folder: Path) -> Iterator[Authority]:
    """Serve until the block is left. folder: where its keys are created."""
    _make(folder)
    served = Authority(folder)

    class Handler(PostHandler):
        def post(self, query: bytes) -> None:
            content = b"" if served.is_down else served.answer(query)
            self.answer(503 if served.is_down else 200, "application/timestamp-reply", content)

    with serving(Handler) as url:
        served.url = f"{url}/tsr"
        yield served
