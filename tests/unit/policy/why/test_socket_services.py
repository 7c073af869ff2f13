"""nono.policy.why.socket_services: which Unix sockets lead out of the sandbox."""

from __future__ import annotations

import pytest

from nono.policy.why.socket_services import starter_of_programs


@pytest.mark.parametrize(
    ("path", "starter"),
    [
        ("/run/docker.sock", "a container engine"),
        ("/home/ada/.docker/run/docker.sock", "a container engine"),
        ("/run/user/1000/podman/podman.sock", "a container engine"),
        ("/run/containerd/containerd.sock.ttrpc", "a container engine"),
        ("/var/lib/incus/unix.socket", "a container engine"),
        ("/run/libvirt/libvirt-sock", "libvirt"),
        ("/run/user/1000/bus", "D-Bus"),
        ("/run/dbus/system_bus_socket", "D-Bus"),
        ("/run/user/1000/systemd/private", "systemd"),
        ("/tmp/tmux-1000/default", "a terminal multiplexer"),
        ("/run/screen/S-ada/1.pts", "a terminal multiplexer"),
    ],
)
def test_a_socket_whose_service_starts_programs_is_known(path: str, starter: str) -> None:
    assert (starter_of_programs(path) or "").startswith(starter)


@pytest.mark.parametrize(
    "path",
    [
        "/run/docker.sock.d/a",
        "/run/mydocker.sock",
        "/run/user/1000/bus.d/a",
        "/run/postgresql/.s.PGSQL.5432",
        "/run/user/1000/keyring/ssh",
    ],
)
def test_other_sockets_are_not_taken_for_one(path: str) -> None:
    assert starter_of_programs(path) is None
