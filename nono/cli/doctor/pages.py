"""Return the answers of the `nono doctor` server: as much of each package index as its client asks for."""

from __future__ import annotations

import json

from nono.named_tuple import NamedTuple

PACKAGE = "nono-doctor"
GO_MODULE = "nono.invalid/doctor"
_WHEEL = "nono_doctor-1.0.0-py3-none-any.whl"
_NO_HASH = "0" * 64


class Page(NamedTuple):
    """A body and its media type."""

    body: bytes
    media_type: str = "text/plain"


def page(host: str, path: str) -> Page:
    """Return the page at a path without its query. Any unknown page contains "ok"."""
    known: dict[str, Page] = {
        # git: a repository without branches (gitprotocol-http(5)).
        "/repository.git/info/refs": Page(
            b"001e# service=git-upload-pack\n0000"
            + _packet_line(f"{'0' * 40} capabilities^{{}}\0agent=nono\n")
            + b"0000",
            "application/x-git-upload-pack-advertisement",
        ),
        "/api/v3/user": _json({"login": "nono"}),
        # The simple index, with the metadata beside the wheel (PEP 503, PEP 658).
        f"/simple/{PACKAGE}/": Page(
            f'<a href="{_WHEEL}" data-dist-info-metadata="true">{_WHEEL}</a>'.encode(),
            "text/html",
        ),
        f"/simple/{PACKAGE}/{_WHEEL}.metadata": Page(
            f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0.0\n".encode()
        ),
        f"/{PACKAGE}": _json(
            {
                "name": PACKAGE,
                "dist-tags": {"latest": "1.0.0"},
                "versions": {
                    "1.0.0": {
                        "name": PACKAGE,
                        "version": "1.0.0",
                        "dist": {"tarball": f"https://{host}/none.tgz", "shasum": "0" * 40},
                    }
                },
            }
        ),
        f"/{GO_MODULE}/@v/list": Page(b"v1.0.0\n"),
        f"/{GO_MODULE}/@v/v1.0.0.info": _json({"Version": "v1.0.0"}),
        f"/{GO_MODULE}/@v/v1.0.0.mod": Page(f"module {GO_MODULE}\n".encode()),
        "/index/config.json": _json({"dl": f"https://{host}/dl"}),
        f"/index/{PACKAGE[:2]}/{PACKAGE[2:4]}/{PACKAGE}": _json(
            {"name": PACKAGE, "vers": "1.0.0", "deps": [], "cksum": _NO_HASH, "features": {}, "yanked": False}
        ),
    }
    return known.get(path, Page(b"ok\n"))


def _json(document: object) -> Page:
    return Page(json.dumps(document).encode() + b"\n", "application/json")


def _packet_line(text: str) -> bytes:
    """Frame a line as git does (gitprotocol-common(5)), with its length in four hexadecimal digits first."""
    return f"{len(text) + 4:04x}{text}".encode()
