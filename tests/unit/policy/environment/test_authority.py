"""What the variables that point to authority lead to."""

from __future__ import annotations

import subprocess

import pytest

from nono.policy.environment.authority import POINTERS, flag_for, sockets_named, targets


@pytest.mark.parametrize(
    ("name", "value", "paths"),
    [
        ("SSH_AUTH_SOCK", "/run/agent", ["/run/agent"]),
        ("SSH_AUTH_SOCK", "agent", None),
        ("TMUX", "/tmp/tmux-1000/default,123,0", ["/tmp/tmux-1000/default"]),
        ("TMUX", "/tmp/a,b/s,123,0", ["/tmp/a,b/s"]),
        ("TMUX", "default,123,0", None),
        ("NVIM", "/run/nvim.1.0", ["/run/nvim.1.0"]),
        ("NVIM", "127.0.0.1:6666", None),
        ("KITTY_LISTEN_ON", "unix:/tmp/my kitty", ["/tmp/my kitty"]),
        ("KITTY_LISTEN_ON", "unix:@mykitty", None),
        ("KITTY_LISTEN_ON", "tcp:localhost:12345", None),
        ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/1/bus,guid=1", ["/run/user/1/bus"]),
        ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/a;unix:path=/b", ["/a", "/b"]),
        ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/My%20caf%C3%a9/b%2fbus%", ["/My café/b/bus%"]),
        ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/100%zz/%00/\udcff", ["/100%zz/%00/\udcff"]),
        ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/a;unix:abstract=/b", None),
        ("DBUS_SESSION_BUS_ADDRESS", "tcp:host=h,path=/a", None),
        ("DOCKER_HOST", "unix:///var/run/docker.sock", ["/var/run/docker.sock"]),
        ("DOCKER_HOST", "tcp://engine.example:2376", None),
        ("DOCKER_HOST", "ssh://me@host", None),
        ("KUBECONFIG", "/a:/b", ["/a", "/b"]),
        ("KUBECONFIG", "/a:b", None),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/key.json", ["/key.json"]),
        ("KRB5CCNAME", "FILE:/tmp/cc", ["/tmp/cc"]),
        ("KRB5CCNAME", "KEYRING:persistent:1000", None),
    ],
)
def test_a_pointer_leads_to_paths_or_to_what_no_grant_covers(
    name: str, value: str, paths: list[str] | None
) -> None:
    found = targets(name, value)
    assert (None if found is None else list(found)) == paths


@pytest.mark.parametrize(
    ("name", "value", "paths"),
    [
        ("DBUS_SESSION_BUS_ADDRESS", "autolaunch:;unix:path=/a;tcp:host=h;unix:path=/b%20c", ["/a", "/b c"]),
        ("DBUS_SESSION_BUS_ADDRESS", "unix:abstract=/a", []),
        ("CONTAINER_HOST", "unix:/run/engine", ["/run/engine"]),
        ("CONTAINER_HOST", "unix://run/engine", ["/run/engine"]),
        ("CONTAINER_HOST", "unix:///my%20engine", ["/my%20engine", "/my engine"]),
        ("CONTAINER_HOST", "ssh://me@host/run/engine", []),
        ("SSH_AUTH_SOCK", "/run/agent", ["/run/agent"]),
        ("SSH_AUTH_SOCK", "agent", []),
    ],
)
def test_a_socket_is_named_however_a_client_is_led_to_it(name: str, value: str, paths: list[str]) -> None:
    assert list(sockets_named(name, value)) == paths


@pytest.mark.parametrize("name", sorted(POINTERS))
def test_every_pointer_has_a_flag_that_names_it(name: str) -> None:
    assert name in flag_for(name)


@pytest.mark.parametrize(
    ("name", "value", "granted"),
    [
        ("SSH_AUTH_SOCK", "/run/my agent", ["--allow-unix-socket", "/run/my agent"]),
        ("TMUX", "/tmp/a,b/s,123,0", ["--allow-unix-socket", "/tmp/a,b/s"]),
        ("KITTY_LISTEN_ON", "unix:/tmp/my kitty", ["--allow-unix-socket", "/tmp/my kitty"]),
        ("KUBECONFIG", "/home/me/config", ["--read-file", "/home/me/config"]),
    ],
)
def test_a_shell_makes_the_path_of_a_flag(name: str, value: str, granted: list[str]) -> None:
    script = f"printf '%s\\n' {flag_for(name)}"
    assert subprocess.check_output(["sh", "-c", script], env={name: value}, text=True).splitlines() == granted
