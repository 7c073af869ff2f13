"""Serve package indexes as far as their clients need them: a few fixed pages that require the real key."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from support.servers.http1 import Received

PACKAGE = "tiny-canary"
VERSION = "1.0"
MARK = "from the private index"  # printed by the package
NPM_PACKAGE = "@canary/tiny"

Page = tuple[str, bytes]  # content type, content
Pages = Mapping[str, Page]


@dataclass(frozen=True, slots=True)
class Index:
    """The handler of an upstream.

    pages: The pages by path, for the origin that clients see.
    authorization: The field without which the answer is 401.
    """

    pages: Callable[[str], Pages]
    authorization: str

    def __call__(self, request: Received) -> None:
        request.read_body()
        respond = request.connection.respond
        if request.values(b"authorization") != [self.authorization.encode()]:
            respond(401, b"{}", [("WWW-Authenticate", 'Basic realm="index"')], reason="Unauthorized")
            return
        host = (request.value(b"host") or b"").decode()
        path = request.target.decode().partition("?")[0]
        page = self.pages(f"https://{host}").get(path)
        if page is None:
            respond(404, b"{}", reason="Not Found")
        else:
            respond(body=page[1], fields=[("Content-Type", page[0])])


def basic(user_and_password: str) -> str:
    """Return the Basic credentials of RFC 7617."""
    return "Basic " + base64.b64encode(user_and_password.encode()).decode()


def python_pages(origin: str) -> Pages:
    """Return the pages of the simple repository API (packaging.python.org, PEP 503)."""
    wheel = _wheel()
    name = f"{PACKAGE.replace('-', '_')}-{VERSION}-py3-none-any.whl"
    link = f'<a href="{origin}/files/{name}#sha256={hashlib.sha256(wheel).hexdigest()}">{name}</a>'
    page = f"<!DOCTYPE html><html><body>{link}</body></html>".encode()
    return {
        f"/simple/{PACKAGE}/": ("text/html", page),
        f"/files/{name}": ("application/octet-stream", wheel),
    }


def npm_pages(origin: str) -> Pages:
    """Return a package document and its tarball: github.com/npm/registry/blob/main/docs/REGISTRY-API.md"""
    manifest = {"name": NPM_PACKAGE, "version": f"{VERSION}.0", "main": "index.js"}
    tarball = _tar_gz(
        {
            "package/package.json": json.dumps(manifest),
            "package/index.js": f"module.exports = {json.dumps(MARK)}\n",
        }
    )
    digest = base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    file = f"/{NPM_PACKAGE}/-/tiny-{VERSION}.0.tgz"
    dist = {"tarball": origin + file, "integrity": f"sha512-{digest}"}
    document = {
        "name": NPM_PACKAGE,
        "dist-tags": {"latest": f"{VERSION}.0"},
        "versions": {f"{VERSION}.0": {**manifest, "dist": dist}},
    }
    return {
        "/@canary%2Ftiny": ("application/json", json.dumps(document).encode()),
        file: ("application/octet-stream", tarball),
    }


def cargo_pages(origin: str) -> Pages:
    """Return a sparse registry, https://doc.rust-lang.org/cargo/reference/registry-index.html"""
    version = f"{VERSION}.0"
    crate = _tar_gz(
        {
            f"{PACKAGE}-{version}/Cargo.toml": f'[package]\nname = "{PACKAGE}"\nversion = "{version}"\n',
            f"{PACKAGE}-{version}/src/lib.rs": f'pub const MARK: &str = "{MARK}";\n',
        }
    )
    config = {"dl": f"{origin}/crates/{{crate}}/{{version}}/download", "api": origin, "auth-required": True}
    entry = {
        "name": PACKAGE,
        "vers": version,
        "deps": [],
        "cksum": hashlib.sha256(crate).hexdigest(),
        "features": {},
        "yanked": False,
    }
    return {
        "/index/config.json": ("application/json", json.dumps(config).encode()),
        f"/index/{PACKAGE[:2]}/{PACKAGE[2:4]}/{PACKAGE}": ("text/plain", json.dumps(entry).encode()),
        f"/crates/{PACKAGE}/{version}/download": ("application/gzip", crate),
    }


def _wheel() -> bytes:
    """Build a wheel: https://packaging.python.org/en/latest/specifications/binary-distribution-format/"""
    module = PACKAGE.replace("-", "_")
    about = f"{module}-{VERSION}.dist-info"
    files = {
        f"{module}.py": f"MARK = {MARK!r}\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {VERSION}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, f"{about}/RECORD"))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in {**files, f"{about}/RECORD": record}.items():
            # With a fixed time: the page that contains the digest is made anew for each request.
            archive.writestr(zipfile.ZipInfo(name), text)
    return content.getvalue()


def _tar_gz(files: Mapping[str, str]) -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return gzip.compress(plain.getvalue(), mtime=0)
