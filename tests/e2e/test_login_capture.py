"""A command logs in inside `nono run`, works, comes back and refreshes: it never has a real token."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from nono.credentials.logins.phantom import MARK, nonce_of
from support.clients import login as login_client
from support.clients.run import PYTHON, Stage, stage
from support.nono_run import NONO, Ended
from support.servers.http1 import Received
from support.servers.login_provider import CANARY, Running, login_provider

STORE = "providers.json"
PROGRAM = str(Path(login_client.__file__))
AT_ONCE = 20 if os.environ.get("NONO_TEST_LONG") else 8  # runs


@dataclass(frozen=True)
class Scene:
    stage: Stage
    running: Running

    def run(self, *actions: str, allow: bool = True, flags: tuple[str, ...] = ()) -> Ended:
        """Run the client inside a new `nono run`; afterwards no real token is anywhere but in the store."""
        ended = self.start(*actions, allow=allow, flags=flags)
        assert CANARY not in ended.stdout + ended.stderr + json.dumps(ended.events)
        assert {path.name for path in self.files() if CANARY.encode() in path.read_bytes()} <= {STORE}
        return ended

    def start(
        self, *actions: str, allow: bool = True, flags: tuple[str, ...] = (), limit_s: str = "0"
    ) -> Ended:
        return self.stage.runner.run(
            ("timeout", limit_s, *self.client(*actions)),
            profile=self.profile(allow=allow),
            environment={"SSL_CERT_FILE": self.stage.authority.ca_file},
            flags=flags,
        )

    def client(self, *actions: str) -> tuple[str, ...]:
        return (*PYTHON, PROGRAM, str(self.running.auth.port), str(self.running.api.port), *actions)

    def profile(self, *, allow: bool = True) -> dict[str, object]:
        domains = [f"localhost:{self.running.auth.port}"] if allow else []
        return {"network": {"allow_domain": domains}, **self.running.profile}

    def files(self) -> list[Path]:
        home = self.stage.runner.user.home
        return [path for path in sorted(home.rglob("*")) if path.is_file() and not path.is_symlink()]

    def stores(self) -> list[Path]:
        return [path for path in self.files() if path.name == STORE]

    def age(self) -> None:
        """Let the access tokens expire by the clock of the runs, not of the provider."""
        [store] = self.stores()
        document = json.loads(store.read_text())
        for login in document["logins"].values():
            login["renewed_at_secs"], login["expires_at_secs"] = 0, 60
        store.write_text(json.dumps(document))

    def kept(self) -> dict[str, str]:
        """Return what the client has in its file."""
        content: dict[str, str] = json.loads((self.stage.project / "login.json").read_text())
        return content

    def nono(self, *arguments: str) -> Ended:
        return self.stage.runner.bare([*NONO, *arguments])


@pytest.fixture
def scene() -> Iterator[Scene]:
    with stage() as prepared, login_provider(prepared.authority) as running:
        yield Scene(prepared, running)


def test_a_whole_login_works_with_phantoms_alone(scene: Scene) -> None:
    first = scene.run("login", "me")
    assert first.exit_code == 0, first.stdout + first.stderr
    assert first.stdout.count('200  {"name": "somebody"}') == 2  # its own URL, and the base URL
    phantoms = scene.kept()
    assert MARK.fullmatch(phantoms["access_token"])
    assert MARK.fullmatch(phantoms["refresh_token"])
    assert nonce_of(phantoms["id_token"]) is not None
    [store] = scene.stores()
    assert (store.stat().st_mode & 0o777, store.parent.stat().st_mode & 0o777) == (0o600, 0o700)

    [before] = scene.running.provider.refresh
    scene.age()
    second = scene.run("me", "refresh", "me")
    assert second.exit_code == 0, second.stdout + second.stderr
    assert second.stdout.count('200  {"name": "somebody"}') == 4
    assert scene.kept() == phantoms  # whoever else holds them has new tokens too
    assert len(scene.running.provider.refresh - {before}) == 1

    third = scene.run("revoke", "me", "refresh")
    assert third.exit_code == 0, third.stdout + third.stderr
    assert third.stdout.count("401") == 2
    assert "refresh 400" in third.stdout
    assert scene.running.provider.refresh == set()

    asked = "".join(scene.running.provider.seen)
    assert "nono_" not in asked
    assert asked.count(f"Bearer {CANARY}-access-") == 8
    assert {event.get("route_id") for event in second.allowed if event["path"]} == {"acme", "oauth.acme"}


def test_no_program_of_the_command_protects_the_store(scene: Scene) -> None:
    """The first login of all is encrypted, where that is possible, while its command runs."""
    runner = scene.stage.runner
    granted, marker = runner.make(runner.user.home / "tools"), runner.user.home / "ran-outside"
    planted = f"echo '#!/bin/sh' > {granted}/systemd-creds; echo 'touch {marker}' >> {granted}/systemd-creds"
    ended = runner.run(
        ("sh", "-c", f'{planted}; chmod +x {granted}/*; exec "$@"', "sh", *scene.client("login")),
        profile=scene.profile(),
        environment={
            "SSL_CERT_FILE": scene.stage.authority.ca_file,
            "PATH": f"{granted}:/usr/local/bin:/usr/bin:/bin",
        },
        flags=(f"--allow={granted}",),
    )
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    assert (granted / "systemd-creds").exists()
    assert len(scene.stores()) == 1
    assert not marker.exists()


def test_runs_that_refresh_at_once_renew_the_login_once(scene: Scene) -> None:
    scene.run("login")
    scene.age()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ended = list(pool.map(lambda _: scene.start("refresh", "me"), range(AT_ONCE)))
    assert [each.exit_code for each in ended] == [0] * AT_ONCE, "".join(each.stderr for each in ended)
    assert [each.stdout.count("refresh 200") for each in ended] == [1] * AT_ONCE
    assert [each.stdout.count('200  {"name": "somebody"}') for each in ended] == [2] * AT_ONCE
    assert "".join(scene.running.provider.seen).count("grant_type=refresh_token") == 1


def test_a_refresh_token_that_was_used_elsewhere_ends_the_login_with_words(scene: Scene) -> None:
    scene.run("login")
    scene.age()
    scene.running.provider.refresh.clear()
    ended = scene.run("refresh")
    assert "refresh 400" in ended.stdout
    assert "invalid_grant" in ended.stdout


def test_a_provider_that_hangs_does_not_hold_up_the_end_of_a_run(scene: Scene) -> None:
    scene.run("login")
    scene.age()
    may_answer = threading.Event()
    provider, token = scene.running.provider, scene.running.provider.token

    def slow(request: Received) -> None:
        may_answer.wait(60)
        token(request)

    provider.token = slow  # type: ignore[method-assign]  # for this test
    began = time.monotonic()
    try:
        scene.start("refresh", limit_s="3")
        lasted_s = time.monotonic() - began
    finally:
        may_answer.set()
    assert len(provider.seen[-1].split("grant_type=refresh_token")) == 2  # it was asked
    assert lasted_s < 20


def test_nothing_that_the_command_can_do_shows_it_a_token(scene: Scene) -> None:
    scene.run("login")
    attacked = scene.run("attack")
    assert attacked.exit_code == 0, attacked.stderr
    assert attacked.stdout.count("refused PermissionError") == 2
    assert scene.running.api.requests == []
    used = {token for token in scene.running.provider.given if token in "".join(scene.running.provider.seen)}
    assert used == {scene.running.provider.given[0]}  # as Bearer, at its own token endpoint


def test_a_purge_ends_a_login(scene: Scene) -> None:
    scene.run("login", "me")
    listed = scene.nono("credential", "logins")
    assert listed.stdout.split()[:3] == ["acme", "3", "tokens"]
    assert CANARY not in listed.stdout
    assert scene.nono("credential", "logins", "--purge", "other").stdout.startswith("Removed 0 ")
    assert scene.nono("credential", "logins", "--purge", "acme").stdout.startswith("Removed 3 ")
    assert CANARY.encode() not in b"".join(path.read_bytes() for path in scene.files())
    refused = scene.run("me", "refresh")
    assert refused.stdout.count("log in again inside the sandbox") == 3
    assert len(scene.running.provider.access) == 1


def test_a_broken_store_prevents_the_start_with_advice(scene: Scene) -> None:
    scene.run("login")
    [store] = scene.stores()
    store.write_text("{")
    ended = scene.stage.runner.run(
        (sys.executable, "-c", "print('started')"), profile={"network": {}, **scene.running.profile}
    )
    assert ended.exit_code == 1
    assert "started" not in ended.stdout
    assert "not a store of captured logins" in ended.stderr
    assert "move the file away" in ended.stderr


def test_an_empty_allow_list_leaves_only_the_login_of_a_host_open(scene: Scene) -> None:
    ended = scene.run("login", allow=False)
    assert ended.exit_code != 0
    assert "not in the allowlist" in ended.stderr
    assert [request.target for request in scene.running.auth.requests] == []


@pytest.mark.parametrize("flags", [(), ("--allow-http2",)], ids=["plain", "HTTP/2 allowed"])
def test_the_host_of_a_token_endpoint_speaks_http_1_only(scene: Scene, flags: tuple[str, ...]) -> None:
    ended = scene.run("alpn", flags=flags)
    assert ended.stdout == "alpn http/1.1\n", ended.stderr
