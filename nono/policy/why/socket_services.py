"""Recognise services that start programs outside the sandbox for whoever asks."""

from __future__ import annotations

import re

_ENGINE = "a container engine, which mounts any of its files"
_BUS = "D-Bus, by systemd among others"
_MULTIPLEXER = "a terminal multiplexer, in its windows"
_EDITOR = "an editor, by its own language or an extension"
_WINDOWS = "a window manager, by its commands"
_AGENT = "a coding agent outside, in its sessions"
_TERMINAL = "a terminal, in its windows"
_MANAGER = "a manager of processes, which starts more of them"
_SERVICES = (
    (re.compile(r".*/(docker|podman|containerd|crio|buildkitd)(\.raw)?\.sock(\.ttrpc)?"), _ENGINE),
    (re.compile(r".*/(lxd|incus)/unix\.socket"), _ENGINE),
    (re.compile(r".*/libvirt/(libvirt|virtqemud)-sock"), "libvirt, in machines with any of its files"),
    (re.compile(r"/run/user/\d+/bus|.*/dbus/system_bus_socket|.*/tmp/dbus-[^/]*"), _BUS),
    (re.compile(r"/run/(user/\d+/)?systemd/private"), "systemd"),
    (re.compile(r".*/(tmux|tmate)-\d+/[^/]*|.*/screens?/S-[^/]*/[^/]*"), _MULTIPLEXER),
    (re.compile(r".*/zellij(-\d+)?/.*|.*/wezterm/(gui-)?sock(-\d+)?"), _MULTIPLEXER),
    (re.compile(r"(/run/user/\d+/emacs|.*/emacs\d+)/[^/]*|.*/nvim\.[^/]*|.*/vscode-ipc-.*\.sock"), _EDITOR),
    # Codex listens behind a link in its state directory, which is not what is judged.
    (re.compile(r".*/codex-daemon-\d+/[^/]*|.*/app-server-control\.sock"), _AGENT),
    (re.compile(r".*/cc-daemon-[^/]*/.*|.*/cc-socks(-\d+)?/[^/]*"), _AGENT),
    (re.compile(r".*/kakoune(-[^/]*)?/[^/]*"), _EDITOR),
    (re.compile(r".*/foot[^/]*\.sock|.*/urxvtd-[^/]*|.*/lf\.[^/]*\.sock"), _TERMINAL),
    (re.compile(r".*/\.pm2/(rpc|pub)\.sock|.*/socket-ts\.\d+"), _MANAGER),
    (re.compile(r".*/sway-ipc\.[^/]*|.*/i3/ipc-socket\.\d+|.*/hypr/[^/]*/\.socket\.sock"), _WINDOWS),
)

_AT_PORTS = {
    "2375": _ENGINE,
    "3632": "distcc, whose server runs what it is told",
    "4226": "sccache, whose server runs what it is told; "
    "`--env SCCACHE_SERVER_PORT=4227` has the run start its own",
    "5005": "a debugged Java program, which runs the code of whoever connects",
    "9229": "a debugged Node program, which runs the code of whoever connects",
}

# Ports that people open on purpose, or where other servers listen as often.
_USED_AT_PORTS = {
    "2345": "Delve",
    "4444": "a WebDriver",
    "5678": "debugpy",
    "6379": "Redis",
    "8001": "`kubectl proxy`",
    "8265": "Ray",
    "8786": "Dask",
    "8888": "Jupyter without a token",
    "9000": "PHP-FPM",
    "9222": "a debugged browser",
    "9515": "ChromeDriver",
    "10001": "Ray",
}


def starter_of_programs(path: str) -> str | None:
    """Return what starts programs for whoever connects to the socket at `path`; None: nothing that is known.

    Tells by the usual names alone, so None promises nothing.
    """
    return next((service for pattern, service in _SERVICES if pattern.fullmatch(path)), None)


def starter_at_port(port: str) -> str | None:
    """Return what starts programs for whoever connects to `port` of this machine; None: nothing known.

    Tells by the usual ports alone, so None promises nothing.
    """
    return _AT_PORTS.get(port)


def controllable_at_port(port: str) -> str | None:
    """Return what may be at `port` of this machine and acts for whoever connects; None: nothing known."""
    return _USED_AT_PORTS.get(port)
