"""Whom the supervisor trusts with a key is not for the command to choose."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.nono_run import Ended, NonoRun
from support.servers.http1 import Authority, HttpUpstream, upstream

KEY = "sk-canary-of-the-real-key"
# Appends the impostor's CA to the roots, then sends a request with the phantom.
ATTACK = """
import os, shutil, sys, urllib.request
roots, impostor = sys.argv[1:]
try:
    with open(roots, "a") as file:
        file.write(open(impostor).read())
except OSError as failure:
    print("roots:", failure.strerror)
proxied = urllib.request.Request(
    os.environ["DEMO_BASE_URL"] + "/models", headers={"Authorization": "Bearer " + os.environ["DEMO_KEY"]}
)
try:
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(proxied, timeout=20)
    print("answered")
except urllib.error.HTTPError as refusal:
    print(refusal.code)
"""
ATTACK_ALONE = "import os, urllib.request, urllib.error\n" + ATTACK[ATTACK.index("proxied =") :]


@dataclass(frozen=True, slots=True)
class Impostor:
    """It sits where the upstream should; nobody trusts its CA yet."""

    server: HttpUpstream
    ca: Path  # in the project, where the command reads it

    def attack(
        self,
        sandbox: NonoRun,
        roots: Path,
        *,
        entry: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Ended:
        demo: dict[str, Any] = {
            "upstream": f"https://localhost:{self.server.port}/v1",
            "credential_key": "env://SHOP_KEY",
            "env_var": "DEMO_KEY",
            **(entry or {}),
        }
        return sandbox.run(
            [sys.executable, "-I", "-S", "-c", ATTACK, str(roots), str(self.ca)],
            profile={"network": {"credentials": ["demo"], "custom_credentials": {"demo": demo}}},
            environment={"SHOP_KEY": KEY, **(environment or {})},
        )

    @property
    def keys(self) -> list[list[bytes]]:
        return [request.values(b"authorization") for request in self.server.requests]


@pytest.fixture
def impostor(sandbox: NonoRun) -> Iterator[Impostor]:
    ca = sandbox.project / "impostor.pem"
    authority = Authority(str(ca))
    ca.chmod(0o644)
    with upstream(tls=authority.server_context("localhost")) as server:
        yield Impostor(server, ca)
    ca.unlink()


def roots_in(directory: Path, sandbox: NonoRun) -> Path:
    """Write a file of the user with some CA in it."""
    roots = directory / "roots.pem"
    Authority(str(roots))
    return sandbox.give(roots)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_roots_that_the_command_may_write_are_refused(
    variable: str, sandbox: NonoRun, impostor: Impostor
) -> None:
    roots = roots_in(sandbox.project, sandbox)
    named = roots if variable == "SSL_CERT_FILE" else roots.parent
    refused = impostor.attack(sandbox, roots, environment={variable: str(named)})
    roots.unlink()
    assert impostor.keys == []
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert f"{variable} names '{named}', in {sandbox.project}, which the command may write" in refused.stderr
    assert f"env -u {variable} nono run" in refused.stderr


def test_roots_outside_the_grants_stay_as_they_were(sandbox: NonoRun, impostor: Impostor) -> None:
    roots = roots_in(sandbox.user.home, sandbox)
    held = impostor.attack(sandbox, roots, environment={"SSL_CERT_FILE": str(roots)})
    roots.unlink()
    assert impostor.keys == []
    assert held.stdout == "roots: Permission denied\n502\n", held.stderr


def test_who_is_trusted_from_outside_receives_the_key(sandbox: NonoRun, impostor: Impostor) -> None:
    """So what is refused above would have been the way of the key."""
    roots = roots_in(sandbox.user.home, sandbox)
    roots.write_bytes(impostor.ca.read_bytes())
    served = impostor.attack(sandbox, roots, environment={"SSL_CERT_FILE": str(roots)})
    roots.unlink()
    assert served.stdout == "roots: Permission denied\nanswered\n", served.stderr
    assert impostor.keys == [[f"Bearer {KEY}".encode()]]


@pytest.mark.parametrize("field", ["tls_ca", "tls_client_cert"])
def test_a_certificate_of_a_route_that_the_command_may_write_is_refused(
    field: str, sandbox: NonoRun, impostor: Impostor
) -> None:
    roots = roots_in(sandbox.project, sandbox)
    more = {"tls_client_key": str(sandbox.user.home / "key.pem")} if field == "tls_client_cert" else {}
    refused = impostor.attack(sandbox, roots, entry={field: str(roots), **more})
    roots.unlink()
    assert (refused.exit_code, impostor.keys) == (1, [])
    assert f"credential 'demo': {field} '{roots}' lies in {sandbox.project}" in refused.stderr


@pytest.mark.parametrize("field", ["tls_ca", "tls_client_cert"])
def test_a_link_on_the_way_to_a_certificate_of_a_route_is_refused(
    field: str, sandbox: NonoRun, impostor: Impostor
) -> None:
    roots = roots_in(sandbox.user.home, sandbox)
    link = sandbox.project / "certificates"
    link.symlink_to(roots.parent)
    more = {"tls_client_key": str(roots)} if field == "tls_client_cert" else {}
    refused = impostor.attack(sandbox, roots, entry={field: f"{link}/roots.pem", **more})
    for made in (link, roots):
        made.unlink()
    assert (refused.exit_code, impostor.keys) == (1, [])
    assert f"credential 'demo': {field} '{link}/roots.pem' is found by a link" in refused.stderr


def test_a_link_on_the_way_to_the_roots_is_refused_where_it_may_be_replaced(
    sandbox: NonoRun, impostor: Impostor
) -> None:
    """Neither what the variable names nor what it leads to is granted: a link between them is."""
    roots = roots_in(sandbox.user.home, sandbox)
    middle = sandbox.project / "middle"
    middle.symlink_to(roots.parent)
    entry = sandbox.user.home / "entry"
    entry.symlink_to(middle)
    refused = impostor.attack(sandbox, roots, environment={"SSL_CERT_FILE": f"{entry}/roots.pem"})
    for made in (entry, middle, roots):
        made.unlink()
    assert refused.exit_code == 1, refused.stderr
    assert "SSL_CERT_FILE names" in refused.stderr
    assert json.dumps(impostor.keys) == "[]"


@pytest.mark.needs("files of root")
def test_a_link_on_the_way_to_a_script_that_gives_out_a_key_is_refused(sandbox: NonoRun) -> None:
    """The command would turn it, and the next request run a script of its own outside the sandbox."""
    script = sandbox.user.home / "get"
    script.touch()
    sandbox.give(script)
    link = sandbox.project / "tools"
    link.symlink_to(sandbox.user.home)
    demo = {"upstream": "https://a.test", "credential_key": "cmd://demo", "env_var": "DEMO_KEY"}
    for way, is_refused in ((f"{link}/get", True), (str(script), False)):
        profile = {
            "credential_capture": {"demo": {"command": ["/bin/sh", way]}},
            "network": {"credentials": ["demo"], "custom_credentials": {"demo": demo}},
        }
        ended = sandbox.run(["/bin/true"], profile=profile)
        assert (ended.exit_code == 1) == is_refused, ended.stderr
        assert (f"{link} runs outside the sandbox" in ended.stderr) == is_refused
    link.unlink()


@pytest.mark.needs("files of root")
def test_a_script_that_gives_out_a_key_finds_no_program_of_the_command(sandbox: NonoRun) -> None:
    """PATH names a directory which the command may write, and which is not the working directory."""
    granted, script = sandbox.user.home / "granted", sandbox.user.home / "get"
    mark = sandbox.user.home / "mark"
    granted.mkdir()
    script.write_text(f"planted; echo {KEY}")
    for made in (granted, script):
        sandbox.give(made)
    demo = {"upstream": "http://127.0.0.1:9", "credential_key": "cmd://demo", "env_var": "DEMO_KEY"}
    profile = {
        "credential_capture": {"demo": {"command": ["/bin/sh", str(script)]}},
        "network": {"credentials": ["demo"], "custom_credentials": {"demo": demo}},
        "filesystem": {"allow": [str(granted)]},
    }
    plant = (
        "import os, sys\n"
        f"with open(sys.argv[1], 'w') as file: file.write('#!/bin/sh\\n: > {mark}')\n"
        "os.chmod(sys.argv[1], 0o755)\n"
    )
    command = [sys.executable, "-I", "-S", "-c", plant + ATTACK_ALONE, str(granted / "planted")]
    ended = sandbox.run(command, profile=profile, environment={"PATH": f"{granted}:/usr/bin:/bin"})
    assert ended.stdout == "502\n", ended.stderr
    assert not mark.exists()
