"""nono.policy.why.socket_services: which Unix sockets lead out of the sandbox."""

from __future__ import annotations

import pytest

from nono.policy.why.socket_services import starter_at_port, starter_of_programs


@pytest.mark.parametrize(
    ("path", "starter"),
    [
        ("/run/docker.sock", "a container engine"),
        ("/home/ada/.docker/run/docker.sock", "a container engine"),
        ("/home/ada/.docker/desktop/docker.raw.sock", "a container engine"),
        ("/run/user/1000/podman/podman.sock", "a container engine"),
        ("/run/containerd/containerd.sock.ttrpc", "a container engine"),
        ("/var/lib/incus/unix.socket", "a container engine"),
        ("/run/libvirt/libvirt-sock", "libvirt"),
        ("/run/user/1000/bus", "D-Bus"),
        ("/run/dbus/system_bus_socket", "D-Bus"),
        ("/tmp/dbus-Ab3dE", "D-Bus"),
        ("/run/user/1000/systemd/private", "systemd"),
        ("/tmp/tmux-1000/default", "a terminal multiplexer"),
        ("/run/screen/S-ada/1.pts", "a terminal multiplexer"),
        ("/run/user/1000/zellij/0.42.2/main", "a terminal multiplexer"),
        ("/tmp/zellij-1000/0.42.2/main", "a terminal multiplexer"),
        ("/run/user/1000/wezterm/gui-sock-812", "a terminal multiplexer"),
        ("/run/user/1000/emacs/server", "an editor"),
        ("/tmp/emacs1000/server", "an editor"),
        ("/run/user/1000/nvim.812.0", "an editor"),
        ("/tmp/nvim.ada/XyZ/nvim.812.0", "an editor"),
        ("/run/user/1000/vscode-ipc-0f.sock", "an editor"),
        ("/tmp/codex-daemon-1000/24a3", "a coding agent"),
        ("/home/ada/.codex/app-server-control/app-server-control.sock", "a coding agent"),
        ("/tmp/cc-daemon-1000/0f/control.sock", "a coding agent"),
        ("/tmp/cc-socks/812.sock", "a coding agent"),
        ("/tmp/cc-socks-1000/812.sock", "a coding agent"),
        ("/run/user/1000/sway-ipc.1000.812.sock", "a window manager"),
        ("/run/user/1000/i3/ipc-socket.812", "a window manager"),
        ("/run/user/1000/hypr/0f_1/.socket.sock", "a window manager"),
        ("/tmp/kakoune-ada/812", "an editor"),
        ("/tmp/tmate-1000/default", "a terminal multiplexer"),
        ("/run/user/1000/foot-wayland-0.sock", "a terminal"),
        ("/home/ada/.urxvt/urxvtd-host", "a terminal"),
        ("/run/user/1000/lf.ada.sock", "a terminal"),
        ("/home/ada/.pm2/rpc.sock", "a manager of processes"),
        ("/tmp/socket-ts.1000", "a manager of processes"),
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
        "/run/user/1000/hypr/0f_1/.socket2.sock",  # it only tells of events
        "/home/ada/emacs/a.sock",
        "/tmp/codex-1000/24a3",
    ],
)
def test_other_sockets_are_not_taken_for_one(path: str) -> None:
    assert starter_of_programs(path) is None


@pytest.mark.parametrize(("port", "is_known"), [("9229", True), ("9230", False)])
def test_the_port_of_a_server_that_starts_programs_is_recognised(port: str, is_known: bool) -> None:
    assert (starter_at_port(port) or "").startswith("a debugged Node program") is is_known
