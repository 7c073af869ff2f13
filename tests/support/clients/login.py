"""A command that logs in, for the sandbox: it keeps what it gets in a file, as the real ones do.

python login.py AUTH_PORT API_PORT ACTION...
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import ssl
import sys
import urllib.request
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

LOGIN = Path("login.json")
CALLBACK = "http://127.0.0.1:1/callback"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


OPENER = urllib.request.build_opener(_NoRedirect)


def ask(url: str, form: dict[str, str] | None = None, **headers: str) -> tuple[int, str, str]:
    """Ask, and return (status, Location, body)."""
    content = None if form is None else urlencode(form).encode()
    request = urllib.request.Request(url, content, headers)
    try:
        with OPENER.open(request, timeout=30) as response:
            return response.status, "", response.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.headers.get("Location", ""), error.read().decode()


def keep(body: str) -> None:
    new = LOGIN.with_name(f"login.{secrets.token_hex(8)}")  # every run has a process 3 of its own
    new.write_text(body)
    new.rename(LOGIN)  # a concurrent reader sees a whole file
    print("kept", sorted(json.loads(body)))


class LoginClient:
    def __init__(self, auth_port: str, api_port: str) -> None:
        self.auth_port = int(auth_port)
        self.auth = f"https://localhost:{auth_port}"
        self.api = f"https://localhost:{api_port}"

    @property
    def kept(self) -> dict[str, str]:
        content: dict[str, str] = json.loads(LOGIN.read_text())
        return content

    def login(self) -> None:
        verifier = secrets.token_urlsafe(32)
        challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = urlencode({"code_challenge": challenge, "redirect_uri": CALLBACK})
        status, location, body = ask(f"{self.auth}/oauth/authorize?{query}")
        assert status == 302, body
        code = parse_qs(urlsplit(location).query)["code"][0]
        form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
        status, _, body = ask(f"{self.auth}/oauth/token", form)
        assert status == 200, body
        keep(body)

    def me(self) -> None:
        bearer = f"Bearer {self.kept['access_token']}"
        for url in (self.api, os.environ["ACME_API_URL"]):
            print(*ask(f"{url}/v1/me", Authorization=bearer))

    def refresh(self) -> None:
        form = {"grant_type": "refresh_token", "refresh_token": self.kept["refresh_token"]}
        status, _, body = ask(f"{self.auth}/oauth/token", form)
        print("refresh", status)
        if status == 200:
            keep(body)
        else:
            print(body)

    def revoke(self) -> None:
        print("revoke", *ask(f"{self.auth}/oauth/revoke", {"token": self.kept["refresh_token"]}))

    def attack(self) -> None:
        """Try everything that might show a real token."""
        access, refresh = self.kept["access_token"], self.kept["refresh_token"]
        print(ask(f"{self.auth}/oauth/token", {"grant_type": "x", "code": access, "refresh_token": refresh}))
        print(ask(f"{self.auth}/oauth/authorize?code_challenge=x&redirect_uri={access}"))
        print(ask(f"{self.api}/v1/me", Authorization=f"Bearer {access}", Cookie=f"x={refresh}"))
        print(ask(f"{self.api}/v1/me?token={access}"))
        print(ask(f"{self.auth}/oauth/token", {}, Authorization=f"Bearer {access}"))
        state = Path.home() / ".local/state"  # XDG_STATE_HOME is the command's own
        for path in (state / "nono", state / "nono/oauth-capture/providers.json"):
            try:
                print(os.listdir(path) if path.suffix == "" else path.read_text())
            except OSError as error:
                print("refused", type(error).__name__, path.name)
        print(dict(os.environ))

    def alpn(self) -> None:
        """Return the protocol that is negotiated with the host of the token endpoint."""
        proxy = urlsplit(os.environ["HTTPS_PROXY"])
        pair = f"{unquote(proxy.username or '')}:{unquote(proxy.password or '')}"
        with socket.create_connection((proxy.hostname or "", proxy.port or 0), 30) as transport:
            basic = b64encode(pair.encode()).decode()
            authority = f"localhost:{self.auth_port}"
            fields = f"Host: {authority}\r\nProxy-Authorization: Basic {basic}\r\n"
            transport.sendall(f"CONNECT {authority} HTTP/1.1\r\n{fields}\r\n".encode())
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += transport.recv(1)
            context = ssl.create_default_context()
            context.set_alpn_protocols(["h2", "http/1.1"])
            with context.wrap_socket(transport, server_hostname="localhost") as secured:
                print("alpn", secured.selected_alpn_protocol())


if __name__ == "__main__":
    client = LoginClient(*sys.argv[1:3])
    for action in sys.argv[3:]:
        getattr(client, action)()
