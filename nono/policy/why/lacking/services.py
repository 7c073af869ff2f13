"""Name the services outside from which a run keeps its command, where its program asks one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from posixpath import basename, join

from nono.policy.capability import Access, CapabilitySet
from nono.policy.path_expansion import PathContext
from nono.policy.why.commands.words import Started
from nono.policy.why.usual_table import REACHES_A_REMOTE, SSH, Row

_OF_BUS = frozenset(
    ("systemctl", "systemd-run", "busctl", "gdbus", "dbus-send", "notify-send", "secret-tool", "flatpak")
)
_OF_ENGINES = {
    "docker": "docker.sock",
    "docker-compose": "docker.sock",
    "podman": "podman.sock",
    "nerdctl": "containerd.sock",
    "lxc": "unix.socket",
    "incus": "unix.socket",
    "virsh": "libvirt",
}
_OF_WAYLAND = frozenset(("wl-copy", "wl-paste", "wlr-randr", "grim", "foot", "wayland-info"))
_OUTSIDE = "run it outside: whoever reaches that starts programs there"
# By zwp_virtual_keyboard_v1, for example, which compositors of wlroots offer to everybody.
_TYPES = "run it outside: whoever reaches that reads what you copy, and may type for you"


def asked_services(
    programs: Sequence[Started], capabilities: CapabilitySet, path_context: PathContext
) -> Iterator[tuple[Row, str]]:
    """Yield the sockets of the services that the programs ask, whether or not they are there."""
    for program, operands, *_ in programs:
        if program in _OF_BUS and capabilities.runtime_dir is not None:
            bus = join(capabilities.runtime_dir, "bus")
            yield Row(bus, Access.READ, "the bus of your session", is_service=True, instead=_OUTSIDE), program
        if program in _OF_WAYLAND and capabilities.runtime_dir is not None:
            path = join(capabilities.runtime_dir, path_context.environ.get("WAYLAND_DISPLAY", "wayland-0"))
            yield Row(path, Access.READ, "your display", is_service=True, instead=_TYPES), program
        for socket in capabilities.closed_sockets:
            if basename(socket) == _OF_ENGINES.get(program):
                yield Row(socket, Access.READ, "its engine", is_service=True, instead=_OUTSIDE), program
        agent = path_context.environ.get("SSH_AUTH_SOCK", "")
        asks_agent = program in (*SSH, "ssh-add") or (
            program == "git" and not REACHES_A_REMOTE.isdisjoint(operands)
        )
        if agent.startswith("/") and asks_agent:
            yield Row(agent, Access.READ, "your ssh-agent", is_service=True), program
