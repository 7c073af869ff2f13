"""How git inside the sandbox reaches hosts over ssh: with nono's helper as the ProxyCommand."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence

from nono import connect_helper
from nono.named_tuple import NamedTuple
from nono.policy.capability import Grant
from nono.policy.files.grants import covering
from nono.policy.hosts.host_filter import HostFilter
from nono.proxy.handshake import ssh_identification


class GitSsh(NamedTuple):
    """Empty where ssh cannot be used, or the person has a command of their own, which is not replaced."""

    variables: Mapping[str, str]
    files: tuple[str, ...]  # files and directories that ssh and the helper have to read; canonical


def git_ssh(inherited: Mapping[str, str], hosts: HostFilter, grants: Sequence[Grant]) -> GitSsh:
    """The variables of git for a child that inherits these; grants are those it has already."""
    if not _may_use_ssh(hosts) or not sys.executable:
        return GitSsh({}, ())
    if any(inherited.get(name) for name in ("GIT_SSH_COMMAND", "GIT_SSH")):
        return GitSsh({}, ())
    helper = os.path.realpath(connect_helper.__file__)
    # Not the one of a virtual environment: it is a link, and what it leads to does without the environment.
    python = os.path.realpath(sys.executable)
    command = ssh_command((python, "-I", "-S", "-B", helper))
    needed = (helper, *_of_python(python))
    readable = [grant for grant in grants if grant.access.reads]
    missing = tuple(path for path in needed if not covering(readable, path))
    return GitSsh({"GIT_SSH_COMMAND": command}, tuple(filter(os.path.exists, missing)))


def _may_use_ssh(hosts: HostFilter) -> bool:
    """Whether a host may be reached where ssh can be spoken; nobody else needs what comes with it."""
    ports = None if hosts.allow is None else [rule.port for rule in hosts.allow]
    return ports is None or None in ports or ssh_identification.PORT in ports or bool(hosts.raw_tunnels)


def ssh_command(helper: Sequence[str]) -> str:
    """A GIT_SSH_COMMAND for sh(1), around a ProxyCommand in which ssh expands percent signs before sh."""
    proxy_command = f"{shlex.join(helper).replace('%', '%%')} %h %p"
    return f"ssh -o {shlex.quote(f'ProxyCommand={proxy_command}')}"


def _of_python(python: str) -> list[str]:
    """What the interpreter reads at its start, where that is not below /usr, as for a build of one's own."""
    if sys.base_prefix == "/usr":
        return [python]  # what it reads is granted with the system's programs
    # Imported here: it reads a large file of build settings.
    import sysconfig

    library = os.path.join(
        sysconfig.get_config_var("LIBDIR") or "", sysconfig.get_config_var("LDLIBRARY") or ""
    )
    candidates = (python, sysconfig.get_path("stdlib"), library)
    return list(dict.fromkeys(os.path.realpath(path) for path in candidates if os.path.exists(path)))
