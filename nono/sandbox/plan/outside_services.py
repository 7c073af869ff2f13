"""Name where services listen that start programs, or use keys, for whoever connects to them.

Landlock does not check connect(2) to a socket that has a path (ABI 1 to 7). Where no supervisor does either,
a command in namespaces of its own is kept from these by mounts.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from nono.named_tuple import NamedTuple
from nono.policy.capability import CapabilitySet
from nono.policy.path_expansion import is_within
from nono.policy.socket_grant import SocketScope
from nono.sandbox.plan.private_view import is_held_otherwise

# By the directory that they are below. A directory stands for all sockets in it, a "*" for any text within a
# name; with one in the last name, sockets alone are meant. /run/WSL has those that start programs of Windows.
_OF_SYSTEM = {
    "/run": (
        "dbus/system_bus_socket",
        "systemd/private",
        "docker.sock",
        "podman/podman.sock",
        "containerd/containerd.sock",
        "crio/crio.sock",
        "buildkit/buildkitd.sock",
        "libvirt",
        "incus/unix.socket",
        "multipass_socket",
        "snapd.socket",
        "watchman/*/sock",
        "WSL",
    ),
    "/var/lib": ("incus/unix.socket", "lxd/unix.socket"),
    "/var/snap": ("lxd/common/lxd/unix.socket", "multipass/common/multipass_socket"),
    "/usr/local/var": ("run/watchman/*/sock",),
    "/mnt/wslg": ("runtime-dir",),
}
_OF_HOME = (
    ".docker/desktop/*.sock",
    ".docker/run/docker.sock",
    ".colima/docker.sock",
    ".colima/*/docker.sock",
    ".colima/_lima/*/ssh.sock",
    ".lima/*/sock",
    ".lima/*/ssh.sock",
    ".rd/docker.sock",
    ".screen",
    ".ssh/agent",
    # Whoever connects to an ssh that is shared is logged in on its host. Its name is free: ControlPath in
    # ssh_config(5).
    ".ssh/*",
    ".ssh/*/*",
    ".1password/agent.sock",
    ".bitwarden-ssh-agent.sock",
    ".var/app/com.bitwarden.desktop/data/.bitwarden-ssh-agent.sock",
    "snap/bitwarden/current/.bitwarden-ssh-agent.sock",
    ".git-credential-cache",  # git-credential-cache(1): it tells passwords, and ends when it has none
    ".gnupg/S.*",
    ".emacs.d/server/*",
    # Servers that start programs, or copy files, for their user's other programs.
    ".pm2",
    ".mutagen/daemon",
    ".sbt/*/server/*/sock",
    ".urxvt/*",
    ".abduco",
    ".ansible/cp",  # as those of ssh
)
_EDITORS = (
    "Antigravity",
    "Code",
    "Code - Insiders",
    "Code - OSS",
    "Cursor",
    "Kiro",
    "Positron",
    "Trae",
    "VSCodium",
    "Windsurf",
)
# Below the base directories of the person (XDG base directory spec).
_OF_BASES = {
    ("XDG_CACHE_HOME", ".cache"): (
        "git/credential",
        "JetBrains/*/.port",
        "nvim/*",
        "ibus",  # GNOME's input method, whose engines read the keyboard and type into windows
        # Those of a session without a runtime directory. Assistive technology types into windows.
        "at-spi",
        "keyring-*/*",
        "gcr",
        "libvirt",
        "qtile/*",
    ),
    ("XDG_CONFIG_HOME", ".config"): ("colima/*/docker.sock", *(f"{each}/*.sock" for each in _EDITORS)),
    ("XDG_DATA_HOME", ".local/share"): (
        "containers/podman/machine/*/podman.sock",
        "wezterm/*",
        "zed/*.sock",
    ),
    ("XDG_STATE_HOME", ".local/state"): ("watchman/*/sock",),
}
# Where the runtime directory is shared with the command, these stay closed.
_OF_RUNTIME_DIR = (
    "bus",
    "at-spi",
    "systemd",
    "docker.sock",
    "podman",
    "buildkit",
    "containerd-rootless",
    "libvirt",
    "snapd-session-agent.socket",
    "gnupg",
    "keyring",
    "gcr",
    "openssh_agent",
    "ssh-agent*",
    "rbw",
    "emacs",
    "nvim.*",
    "vscode-*",
    "tmux-*/*",
    "zellij",
    "wezterm",
    "Alacritty-*",
    "sway-ipc.*",
    "i3",
    "hypr",
    "niri.*",
    "foot*",
    "kakoune",
    "lf.*",
    "shpool",
)
# The same where a directory of temporary files is.
_OF_TEMPORARY = (
    "tmux-*/*",
    "screens/*/*",
    "emacs*/*",
    "nvim.*/*/*",
    "vscode-*",
    "zellij-*/*/*",
    "ssh-*/agent.*",
    "i3-*/ipc-socket.*",
    "dbus-*",
    "at-spi2-*/*",
    "keyring-*/*",
    "foot.*",
    "kakoune-*/*",
    "lf.*",
    "podman-run-*/podman/*",
    "socket-ts.*",
    "tmate-*/*",
)
_OF_VARIABLES = {
    "PM2_HOME": ("*.sock",),
    "TMUX_TMPDIR": ("tmux-*/*",),
    "SCREENDIR": ("*",),
    "ZELLIJ_SOCKET_DIR": ("*/*",),
    "GNUPGHOME": ("S.*",),
}
_SCREENS = "/run/screen"
# Each login of ssh may make a socket there while the command runs, and each start of gpg-agent.
_OF_KEYS = (".ssh", ".gnupg")
Patterns = tuple[str, Sequence[str]]  # below a directory


class Session(NamedTuple):
    """Where the services of this person and machine listen, all paths canonical."""

    runtime_dir: str | None  # the person's XDG_RUNTIME_DIR, if there is one
    sockets: tuple[str, ...]  # sockets, and directories of sockets, elsewhere
    of_keys: tuple[str, ...] = ()  # directories of keys, where sockets are made as well


def usual_sockets(home: str, runtime_dir: str | None, environ: Mapping[str, str]) -> Iterator[Patterns]:
    """Yield where such services usually listen: sockets, and directories of sockets."""
    yield from _OF_SYSTEM.items()
    yield home, _OF_HOME
    for (name, usual), below in _OF_BASES.items():
        directories = dict.fromkeys((f"{home}/{usual}", environ.get(name, "")))
        yield from ((each, below) for each in directories if each.startswith("/"))
    if runtime_dir is not None:
        yield runtime_dir, _OF_RUNTIME_DIR
    for name, below in _OF_VARIABLES.items():
        if environ.get(name, "").startswith("/"):
            yield environ[name], below


def directories_of_keys(home: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield where keys and sockets usually lie together."""
    yield from (f"{home}/{each}" for each in _OF_KEYS)
    if environ.get("GNUPGHOME", "").startswith("/"):
        yield environ["GNUPGHOME"]


def temporary_sockets(directories: Iterable[str]) -> Iterator[Patterns]:
    """Yield the same for directories of temporary files that the command shares with its host."""
    for each in directories:
        yield each, ("*/*",) if each == _SCREENS else _OF_TEMPORARY


def kept_from(session: Session, capabilities: CapabilitySet, roots: Collection[str]) -> CapabilitySet:
    """Return the capabilities of a command that is kept from the services for which it has no grant.

    roots: as for private_view().
    """
    runtime_dir = session.runtime_dir
    if runtime_dir is not None and (
        _is_granted_whole(runtime_dir, capabilities) or is_held_otherwise(runtime_dir, capabilities, roots)
    ):
        runtime_dir = None
    hidden = [path for path in session.of_keys if not _is_touched(path, capabilities)]
    covers = hidden if runtime_dir is None else [*hidden, runtime_dir]
    elsewhere = (path for path in session.sockets if not any(is_within(path, each) for each in covers))
    closed = [*hidden, *(path for path in elsewhere if not _is_asked(path, capabilities))]
    return capabilities._replace(runtime_dir=runtime_dir, closed_sockets=tuple(closed))


def fixed(session: Session, capabilities: CapabilitySet) -> CapabilitySet:
    """Return the capabilities of a command that cannot move the services to where no later run looks."""
    found = (session.runtime_dir, *session.sockets)
    return capabilities._replace(fixed_sockets=tuple(path for path in found if path is not None))


def _is_granted_whole(directory: str, capabilities: CapabilitySet) -> bool:
    """Return True if a person has granted the directory or one above it for files, or the sockets in it."""
    if any(grant.is_users and is_within(directory, grant.path) for grant in capabilities.grants):
        return True
    whole = [grant for grant in capabilities.sockets if grant.scope is not SocketScope.FILE]
    return any(grant.covers(f"{directory}/bus") for grant in whole)


def _is_touched(directory: str, capabilities: CapabilitySet) -> bool:
    """Return True if anything in the directory, or around it, is granted, or the command starts there."""
    if is_within(capabilities.workdir, directory):
        return True
    granted = [grant.path for grant in capabilities.grants]
    granted += [grant.path for grant in capabilities.sockets]
    return any(is_within(path, directory) or is_within(directory, path) for path in granted)


def _is_asked(path: str, capabilities: CapabilitySet) -> bool:
    """Return True if a person has granted the socket, or something in the directory of sockets."""
    if any(grant.covers(path) or is_within(grant.path, path) for grant in capabilities.sockets):
        return True
    return any(is_within(grant.path, path) for grant in capabilities.grants if grant.is_users)
