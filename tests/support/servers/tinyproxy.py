"""A real tinyproxy, run by an ordinary user, that passes every tunnel on to another proxy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from support.ordinary_user import ordinary_user
from support.ports import unused_port
from support.servers.process import listening

TINYPROXY = shutil.which("tinyproxy")
USER, PASSWORD = "nono", "tiny-password"

_CONFIGURATION = """
Port {port}
Listen 127.0.0.1
Allow 127.0.0.1
Timeout 60
MaxClients 50
LogLevel Connect
LogFile "{home}/tinyproxy.log"
Upstream http 127.0.0.1:{behind}
{rules}
"""


@contextmanager
def tinyproxy(behind: int, *, password: bool = False) -> Iterator[int]:
    """Yield the port of a tinyproxy whose tunnels continue through the proxy on port behind.

    It looks up no names. password: It opens tunnels only for USER with PASSWORD.
    """
    assert TINYPROXY is not None
    with ordinary_user() as user:
        port = unused_port()
        rules = f"BasicAuth {USER} {PASSWORD}" if password else ""
        configuration = user.home / "tinyproxy.conf"
        configuration.write_text(_CONFIGURATION.format(port=port, home=user.home, behind=behind, rules=rules))
        user.give(configuration)
        argv = user.command([TINYPROXY, "-d", "-c", str(configuration)])
        with listening(argv, user.environment(), port, user.home / "output"):
            yield port
