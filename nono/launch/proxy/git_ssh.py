"""Let git inside the sandbox reach hosts over ssh, with nono's helper as the ProxyCommand."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence

import nono
from nono.named_tuple import NamedTuple
from nono.policy.capability import Grant
from nono.policy.files.grants import covering
from nono.policy.hosts.host_filter import HostFilter
from nono.proxy.handshake import ssh_identification

HELPER = "connect_helper.py"  # not imported, because it runs inside and brings socket


class GitSsh(NamedTuple):
    """The variables and files git needs for ssh; empty if ssh is not granted or the user set a command."""

    variables: Mapping[str, str]
    files: tuple[str, ...]  # files and directories ssh and the helper must be able to read; canonical


def git_ssh(inherited: Mapping[str, str], hosts: HostFilter, grants: Sequence[Grant]) -> GitSsh:
    """Return git's ssh settings for the child.

    inherited: The variables the child inherits; a GIT_SSH_COMMAND or GIT_SSH among them is kept.
    hosts: The host filter of the run.
    grants: The grants the child already has.
    """
    if not _may_use_ssh(hosts) or not sys.executable:
        return GitSsh({}, ())
    if any(inherited.get(name) for name in ("GIT_SSH_COMMAND", "GIT_SSH")):
        return GitSsh({}, ())
    helper = os.path.realpath(os.path.join(os.path.dirname(nono.__file__), HELPER))
    # Resolved, because a virtual environment's python is a link whose target needs no environment.
    python = os.path.realpath(sys.executable)
    command = ssh_command((python, "-I", "-S", "-B", helper))
    needed = (helper, *_of_python(python))
    readable = [grant for grant in grants if grant.access.reads]
    missing = tuple(path for path in needed if not covering(readable, path))
    return GitSsh({"GIT_SSH_COMMAND": command}, tuple(filter(os.path.exists, missing)))


def _may_use_ssh(hosts: HostFilter) -> bool:
    """Check whether any granted host and port can carry ssh; other runs need none of its grants."""
    ports = None if hosts.allow is None else [rule.port for rule in hosts.allow]
    return ports is None or None in ports or ssh_identification.PORT in ports or bool(hosts.raw_tunnels)


def ssh_command(helper: Sequence[str]) -> str:
    """Return a GIT_SSH_COMMAND for sh(1). ssh expands % in its ProxyCommand before sh sees it."""
    proxy_command = f"{shlex.join(helper).replace('%', '%%')} %h %p"
    return f"ssh -o {shlex.quote(f'ProxyCommand={proxy_command}')}"


def _of_python(python: str) -> list[str]:
    """Return the paths the interpreter reads at startup, beyond /usr, for example for a custom build."""
    if sys.base_prefix == "/usr":
        return [python]  # the rest is granted with the system's programs
    # Imported here: it reads a large file of build settings.
    import sysconfig

    library = os.path.join(
        sysconfig.get_config_var("LIBDIR") or "", sysconfig.get_config_var("LDLIBRARY") or ""
    )
    candidates = (python, sysconfig.get_path("stdlib"), library)
    return list(dict.fromkeys(os.path.realpath(path) for path in candidates if os.path.exists(path)))
