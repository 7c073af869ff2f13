"""Read which name servers resolvers ask (resolv.conf(5))."""

from __future__ import annotations

import _socket  # socket makes enums of its constants: the init of a command's namespaces imports this

PATH = "/etc/resolv.conf"
NAME_SERVERS_MAX = 3  # MAXNS of <resolv.h>: resolvers ask no others
_READ_BYTES = 64 * 1024
_DEFAULT = b"\x7f\0\0\1"  # 127.0.0.1, where there is no file, or no name server in it


def name_servers() -> list[bytes]:
    """Return the addresses of the name servers that resolvers ask, packed and without repeats."""
    try:
        with open(PATH, "rb", buffering=0) as file:
            return listed_in(file.read(_READ_BYTES))
    except OSError:
        return [_DEFAULT]


def listed_in(resolv_conf: bytes) -> list[bytes]:
    """Return the name servers in the bytes of a resolv.conf. One with a zone id is left out."""
    words = (line.split() for line in resolv_conf.splitlines())
    named = [each[1] for each in words if len(each) > 1 and each[0] == b"nameserver"][:NAME_SERVERS_MAX]
    packed = dict.fromkeys(map(_packed, named or [b"127.0.0.1"]))
    return [each for each in packed if each is not None]


def _packed(text: bytes) -> bytes | None:
    family = _socket.AF_INET6 if b":" in text else _socket.AF_INET
    try:
        return _socket.inet_pton(family, text.decode("ascii"))
    except (OSError, ValueError):
        return None
