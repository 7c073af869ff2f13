"""Serve a private Sigstore over HTTP: the identity of a CI job, the authority, and the log of signatures.

They speak what the public ones do (Fulcio v2, Rekor v1), so that the library signs with them unchanged.
"""

from __future__ import annotations

import json
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from support.credentials.sigstore_instance import WORKFLOW, Instance

TOKEN, AUTHORITY, LOG = "/token", "/api/v2/signingCert", "/api/v1/log/entries"


@dataclass
class Servers:
    """One instance over HTTP: `answers` replaces the answer of a path, by a status and a body."""

    url: str
    instance: Instance
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def job(self) -> Mapping[str, str]:
        """Return the variables by which a job of GitHub Actions obtains its identity."""
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "bearer",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}{TOKEN}?api-version=2",
        }

    def trust_config(self) -> str:
        """Return what the library knows the instance by, in the place of its production configuration."""

        def service(path: str = "") -> list[dict[str, object]]:
            valid = {"start": "2020-01-01T00:00:00Z"}
            return [{"url": f"{self.url}{path}", "majorApiVersion": 1, "validFor": valid, "operator": "test"}]

        signing = {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": service(),
            "rekorTlogUrls": service(),
            "rekorTlogConfig": {"selector": "ANY"},
        }
        return json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
                "trustedRoot": json.loads(self.instance.trusted_root()),
                "signingConfig": signing,
            }
        )

    def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        self.asked.append(path)
        if path in self.answers:
            return self.answers[path]
        match path:
            case "/token":
                return 200, json.dumps({"value": _identity()}).encode()
            case "/api/v2/signingCert":
                return 200, json.dumps(self._certified(json.loads(body))).encode()
            case "/api/v1/log/entries":
                return 201, json.dumps(self._logged(json.loads(body))).encode()
        return 404, b"{}"

    def _certified(self, request: Mapping[str, str]) -> dict[str, Any]:
        signing_request = x509.load_pem_x509_csr(b64decode(request["certificateSigningRequest"]))
        key = signing_request.public_key()
        chain = (self.instance.certificate(key), self.instance.root)
        texts = [each.public_bytes(serialization.Encoding.PEM).decode() for each in chain]
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": texts}}}

    def _logged(self, proposed: Mapping[str, Any]) -> dict[str, Any]:
        content = proposed["spec"]["proposedContent"]
        entry = cast(
            Any, self.instance.entry(content["envelope"].encode(), b64decode(content["verifiers"][0]))
        )
        proof = entry["inclusionProof"]
        verification = {
            "signedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
            "inclusionProof": {
                "logIndex": 0,
                "treeSize": 1,
                "hashes": [],
                "rootHash": b64decode(proof["rootHash"]).hex(),
                "checkpoint": proof["checkpoint"]["envelope"],
            },
        }
        answered = {
            "body": entry["canonicalizedBody"],
            "integratedTime": int(entry["integratedTime"]),
            "logID": b64decode(entry["logId"]["keyId"]).hex(),
            "logIndex": 0,
            "verification": verification,
        }
        return {"0" * 64: answered}


@contextmanager
def sigstore_servers() -> Iterator[Servers]:
    """Serve an instance until the block is left."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes) -> None:
            status, content = servers.answer(self.path.partition("?")[0], body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        servers = Servers(f"http://127.0.0.1:{listening.server_port}", Instance())
        thread = Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield servers
        finally:
            listening.shutdown()
            thread.join()


def _identity() -> str:
    """Return an identity token. Its signature is for the authority to check, which this one does not."""
    now_s = int(time.time())
    claims = {
        "iss": WORKFLOW["8"],
        "sub": "repo:org/repo",
        "aud": "sigstore",
        "iat": now_s,
        "exp": now_s + 300,
    }
    parts = [json.dumps(each).encode() for each in ({"alg": "none"}, claims)]
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*parts, b"unsigned"))
