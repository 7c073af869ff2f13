"""Name where services listen that start programs, or use keys, for whoever connects to them.

Landlock does not check connect(2) to a socket that has a path (ABI 1 to 7). Where no supervisor does either,
a command in namespaces of its own is kept from these by mounts.
"""

from collections.abc import Collection, Iterator

from nono.named_tuple import NamedTuple
from nono.policy.capability import CapabilitySet
from nono.policy.path_expansion import is_within
from nono.policy.socket_grant import SocketScope
from nono.sandbox.plan.private_view import is_held_otherwise

# A directory stands for all sockets in it. /run/WSL has those by which WSL2 starts programs of Windows.
_OF_SYSTEM = (
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/buildkit/buildkitd.sock",
    "/run/libvirt",
    "/run/incus/unix.socket",
    "/var/lib/incus/unix.socket",
    "/var/lib/lxd/unix.socket",
    "/var/snap/lxd/common/lxd/unix.socket",
    "/run/snapd.socket",
    "/run/WSL",
    "/mnt/wslg/runtime-dir",
)
_OF_HOME = (
    ".docker/desktop/docker.sock",
    ".docker/run/docker.sock",
    ".colima/docker.sock",
    ".colima/default/docker.sock",
    ".rd/docker.sock",
    ".screen",
    ".ssh/agent",
    ".1password/agent.sock",
    ".gnupg/S.gpg-agent",
    ".gnupg/S.gpg-agent.ssh",
    ".gnupg/S.gpg-agent.extra",
    ".gnupg/S.gpg-agent.browser",
)
# Where the runtime directory is shared with the command, these stay closed.
_OF_RUNTIME_DIR = ("bus", "systemd", "docker.sock", "podman", "libvirt", "gnupg", "keyring", "gcr", "emacs")


class Session(NamedTuple):
    """Where the services of this person and machine listen, all paths canonical."""

    runtime_dir: str | None  # the person's XDG_RUNTIME_DIR, if there is one
    sockets: tuple[str, ...]  # sockets, and directories of sockets, elsewhere


def usual_sockets(home: str, runtime_dir: str | None) -> Iterator[str]:
    """Yield where such services usually listen: sockets, and directories of sockets."""
    yield from _OF_SYSTEM
    yield from (f"{home}/{each}" for each in _OF_HOME)
    if runtime_dir is not None:
        yield from (f"{runtime_dir}/{each}" for each in _OF_RUNTIME_DIR)


def kept_from(session: Session, capabilities: CapabilitySet, roots: Collection[str]) -> CapabilitySet:
    """Return the capabilities of a command that is kept from the services for which it has no grant.

    roots: as for private_view().
    """
    runtime_dir = session.runtime_dir
    if runtime_dir is not None and (
        _is_granted_whole(runtime_dir, capabilities) or is_held_otherwise(runtime_dir, capabilities, roots)
    ):
        runtime_dir = None
    elsewhere = (path for path in session.sockets if runtime_dir is None or not is_within(path, runtime_dir))
    closed = tuple(path for path in elsewhere if not _is_asked(path, capabilities))
    return capabilities._replace(runtime_dir=runtime_dir, closed_sockets=closed)


def _is_granted_whole(directory: str, capabilities: CapabilitySet) -> bool:
    """Return True if a person has granted the directory or one above it for files, or the sockets in it."""
    if any(grant.is_users and is_within(directory, grant.path) for grant in capabilities.grants):
        return True
    whole = [grant for grant in capabilities.sockets if grant.scope is not SocketScope.FILE]
    return any(grant.covers(f"{directory}/bus") for grant in whole)


def _is_asked(path: str, capabilities: CapabilitySet) -> bool:
    """Return True if a person has granted the socket, or something in the directory of sockets."""
    if any(grant.covers(path) or is_within(grant.path, path) for grant in capabilities.sockets):
        return True
    return any(is_within(grant.path, path) for grant in capabilities.grants if grant.is_users)
