"""A real squid, run by an ordinary user, that opens tunnels to any port of the names it is given."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.ordinary_user import ordinary_user
from support.ports import unused_port
from support.servers.process import listening

SQUID = shutil.which("squid", path="/usr/sbin:/usr/local/sbin:/usr/bin")
# The directory in which Debian keeps the helpers.
BASIC_AUTH = Path("/usr/lib/squid/basic_ncsa_auth")

USER, PASSWORD = "nono", "corporate:password"
# The result of openssl passwd -apr1 for PASSWORD, in the user's file for basic_ncsa_auth.
PASSWORD_HASH = "$apr1$nonosalt$TtTI75N5TVKA9ARnRBKFw."

_CONFIGURATION = """
http_port 127.0.0.1:{port}
pid_filename none
logformat asked %rm %ru %>Hs
access_log stdio:{home}/access.log logformat=asked
cache_log {home}/cache.log
coredump_dir {home}
buffered_logs off
cache deny all
cache_mem 8 MB
memory_pools off
pinger_enable off
shutdown_lifetime 0 seconds
dns_nameservers 127.0.0.1
dns_timeout 1 second
dns_retransmit_interval 1 second
hosts_file {home}/hosts
visible_hostname squid.test
{rules}
http_access deny all
"""
_OPEN = "http_access allow CONNECT"
_CLOSED = """
auth_param basic program {helper} {home}/users
auth_param basic realm squid
acl known proxy_auth REQUIRED
http_access allow CONNECT known
"""


@dataclass(frozen=True)
class Squid:
    """A running squid on 127.0.0.1:port."""

    port: int
    _log: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def asked(self) -> list[tuple[str, str, int]]:
        """Return (method, target, status) of finished requests. A tunnel is listed once it has closed."""
        lines = [line.split() for line in self._log.read_text().splitlines()] if self._log.exists() else []
        return [(method, target, int(status)) for method, target, status in lines if method != "-"]


@contextmanager
def squid(names: Mapping[str, str], *, password: bool = False) -> Iterator[Squid]:
    """Yield a squid that knows only these names; removed with its files when the block is left.

    password: It opens tunnels only for USER with PASSWORD.
    """
    assert SQUID is not None
    with ordinary_user() as user:
        port = unused_port()
        rules = _CLOSED.format(helper=BASIC_AUTH, home=user.home) if password else _OPEN
        configuration = _CONFIGURATION.format(port=port, home=user.home, rules=rules)
        for name, text in {
            "squid.conf": configuration,
            "hosts": "".join(f"{address} {host}\n" for host, address in names.items()),
            "users": f"{USER}:{PASSWORD_HASH}\n",
        }.items():
            (user.home / name).write_text(text)
            user.give(user.home / name)
        # -N: one process, in the foreground. -n keeps its shared memory apart from that of another squid.
        argv = user.command([SQUID, "-N", "-n", f"nono{port}", "-f", str(user.home / "squid.conf")])
        try:
            with listening(argv, user.environment(), port, user.home / "output"):
                yield Squid(port, user.home / "access.log")
        finally:
            for left in Path("/dev/shm").glob(f"nono{port}-*"):
                left.unlink()
