"""Turn the options of a run into profile entries, where a profile can express them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from posixpath import normpath

from nono.policy.path_expansion import PathContext, is_within
from nono.policy.why.saving import Addition, Entry, is_said, shortened

_FILES, _NETWORK = "filesystem", "network"
_PATHS: Mapping[str, str] = {
    "allow": "allow",
    "read": "read",
    "write": "write",
    "allow_file": "allow_file",
    "read_file": "read_file",
    "write_file": "write_file",
    "allow_unix_socket": "unix_socket",
    "allow_unix_socket_bind": "unix_socket_bind",
    "allow_unix_socket_dir": "unix_socket_dir",
    "allow_unix_socket_dir_bind": "unix_socket_dir_bind",
    "allow_unix_socket_subtree": "unix_socket_subtree",
    "allow_unix_socket_subtree_bind": "unix_socket_subtree_bind",
    "suppress_save_prompt": "suppress_save_prompt",
}
_NAMES: Mapping[str, str] = {
    "allow_domain": "allow_domain",
    "deny_domain": "deny_domain",
    "credential": "credentials",
    "network_profile": "network_profile",
}
_PORTS: Mapping[str, str] = {
    "open_port": "open_port",
    "listen_port": "listen_port",
    "allow_connect_port": "connect_port",
}
PORTS_MAX = 20  # more ports are left as an option


def entry_of(option: str, value: str, path_context: PathContext, bypassed: Sequence[str]) -> Addition | None:
    """Return the entry for one value of an option; None if the option must be given again.

    option: The name of its field in a request, such as `read_file`.
    bypassed: Absolute paths whose protection the run lifted. Grants there are for that run only.
    """
    if not is_said(value, is_path=option in _PATHS):
        return None
    if option in _PATHS:
        path = path_context.of_flag(value)
        if ".." in path.split("/") or any(is_within(path, each) for each in bypassed):
            return None
        is_relative = not value.startswith(("/", "~"))
        return Addition((Entry(_FILES, _PATHS[option], _spelled(normpath(path), path_context, is_relative)),))
    if option in _NAMES:
        return Addition((Entry(_NETWORK, _NAMES[option], value),))
    return None


def ports_of(option: str, ports: Sequence[int]) -> list[Addition]:
    """Return the entries for an option's ports; none if the option must be given again."""
    if option not in _PORTS or len(ports) > PORTS_MAX:
        return []
    return [Addition((Entry(_NETWORK, _PORTS[option], port),)) for port in ports]


def _spelled(path: str, path_context: PathContext, is_relative: bool) -> str:
    """Spell a path for a profile. A relative path stays relative to the working directory of each run."""
    if is_relative and is_within(path, path_context.workdir):
        return f"$WORKDIR{path[len(path_context.workdir) :]}"
    return shortened(path, path_context.home)
