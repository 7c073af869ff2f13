"""A real sshd on loopback, run by an ordinary user who may log in with one key, and its git repository.

If the suite runs as root, the user has no account, and sshd and ssh reject users without one. They then see
another /etc/passwd, in a mount namespace.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support import private_mounts
from support.ordinary_user import OrdinaryUser
from support.ports import unused_port
from support.servers.git import git
from support.servers.process import listening

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")

_CONFIGURATION = """
ListenAddress 127.0.0.1
Port {port}
HostKey {home}/host_key
PidFile none
AuthorizedKeysFile {home}/client_key.pub
AuthenticationMethods publickey
StrictModes no
UsePAM no
PrintMotd no
"""


@dataclass(frozen=True, slots=True)
class Sshd:
    """A running server. key and known_hosts are for its client; repository is on the server's side."""

    port: int
    user: str
    key: Path
    known_hosts: Path  # knows the server by any name
    repository: Path
    stage: Sequence[str]  # the argv prefix of a client


def _keygen(path: Path) -> None:
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, timeout=60)


def _account(user: OrdinaryUser, directory: Path) -> tuple[str, Sequence[str]]:
    """Return the user's name, and the argv prefix of a program that has to know it."""
    if os.geteuid() != 0:
        return pwd.getpwuid(user.uid).pw_name, ()
    passwd = directory / "passwd"
    passwd.write_text(
        f"root:x:0:0::/root:/bin/sh\nsshd:x:999:999::/run:/bin/false\n"
        f"git:x:{user.uid}:{user.gid}::{user.home}:/bin/sh\n"
    )
    passwd.chmod(0o644)
    return "git", private_mounts.stage({"/etc/passwd": passwd})  # a start of nono with it can be forked


@contextmanager
def sshd(user: OrdinaryUser, directory: Path) -> Iterator[Sshd]:
    """Yield a server in directory, which the user owns; removed when the block is left."""
    assert SSHD is not None
    name, stage = _account(user, directory)
    port = unused_port()
    for key in ("host_key", "client_key"):
        _keygen(directory / key)
        user.give(directory / key)
    public = (directory / "host_key.pub").read_text()
    (directory / "known_hosts").write_text(f"* {public}")
    (directory / "sshd_config").write_text(_CONFIGURATION.format(port=port, home=directory))
    repository = directory / "repository.git"
    git("init", "--quiet", "--bare", "--initial-branch=main", str(repository), cwd=directory)
    work = directory / "work"
    git("clone", "--quiet", str(repository), str(work), cwd=directory)
    (work / "README").write_text("hello\n")
    git("add", "README", cwd=work)
    git("commit", "--quiet", "-m", "first", cwd=work)
    git("push", "--quiet", "origin", "HEAD:main", cwd=work)
    for path in (repository, *repository.rglob("*")):
        user.give(path)
    argv = [*stage, *user.command([SSHD, "-D", "-e", "-f", str(directory / "sshd_config")])]
    with listening(argv, user.environment(), port, directory / "sshd.log"):
        yield Sshd(port, name, directory / "client_key", directory / "known_hosts", repository, stage)
