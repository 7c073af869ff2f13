"""Write a Go module with its checksum database as files, which go reads in place of a proxy of modules."""

from __future__ import annotations

import json
import zipfile
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

MODULE, VERSION = "host.example/lib", "v1.0.0"
PROGRAM = f"{MODULE}/answers@{VERSION}"
_DATABASE = "sums.example"
_ED25519 = b"\1"
_LEAF = b"\0"  # of a Merkle tree
_MOD = f"module {MODULE}\n\ngo 1.21\n".encode()
_FILES = {
    "go.mod": _MOD,
    "lib.go": b"package lib\n",
    "answers/main.go": b"package main\n\nfunc main() { println(6 * 7) }\n",
}


def written_below(directory: Path) -> dict[str, str]:
    """Write them, and return the variables of go that lead there."""
    versions = directory / MODULE / "@v"
    versions.mkdir(parents=True)
    files = {f"{MODULE}@{VERSION}/{name}": content for name, content in _FILES.items()}
    with zipfile.ZipFile(versions / f"{VERSION}.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    (versions / "list").write_text(f"{VERSION}\n")
    (versions / f"{VERSION}.mod").write_bytes(_MOD)
    (versions / f"{VERSION}.info").write_text(json.dumps({"Version": VERSION}))
    record = f"{MODULE} {VERSION} {_h1(files)}\n{MODULE} {VERSION}/go.mod {_h1({'go.mod': _MOD})}\n"
    key = _signed_database(directory / "sumdb" / _DATABASE, record)
    # GOFLAGS: a person's `rm -r` removes what go keeps.
    return {"GOPROXY": directory.as_uri(), "GOSUMDB": key, "GOFLAGS": "-modcacherw", "GOTOOLCHAIN": "local"}


def _h1(files: Mapping[str, bytes]) -> str:
    """Return the hash of go.sum (golang.org/x/mod/sumdb/dirhash)."""
    lines = "".join(f"{sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))
    return f"h1:{_base64(sha256(lines.encode()).digest())}"


def _signed_database(directory: Path, record: str) -> str:
    """Write a database of one record (golang.org/x/mod/sumdb, tlog and note), and return its key."""
    private = Ed25519PrivateKey.generate()
    public = _ED25519 + private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    key_hash = sha256(f"{_DATABASE}\n".encode() + public).digest()[:4]
    root = sha256(_LEAF + record.encode()).digest()
    head = f"go.sum database tree\n1\n{_base64(root)}\n"
    note = f"{head}\n\u2014 {_DATABASE} {_base64(key_hash + private.sign(head.encode()))}\n"
    for path, content in {
        "supported": b"",
        "latest": note.encode(),
        f"lookup/{MODULE}@{VERSION}": f"0\n{record}\n{note}".encode(),
        "tile/8/0/000.p/1": root,
    }.items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return f"{_DATABASE}+{key_hash.hex()}+{_base64(public)}"


def _base64(content: bytes) -> str:
    return b64encode(content).decode()
