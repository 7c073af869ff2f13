"""Which name servers are read from a resolv.conf."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.disk import resolv_conf
from nono.disk.resolv_conf import NAME_SERVERS_MAX, listed_in, name_servers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("nameserver 127.0.0.53\n", ["127.0.0.53"], id="one"),
        pytest.param("# nameserver 9.9.9.9\nnameserver\t192.0.2.1 # this\n", ["192.0.2.1"], id="comments"),
        pytest.param("nameserver 192.0.2.1\nnameserver 2001:db8::1", ["192.0.2.1", "2001:db8::1"], id="two"),
        pytest.param("nameserver ::1\nnameserver ::1\n", ["::1"], id="repeated"),
        pytest.param("nameserver 192.0.2.1\n" * 3 + "nameserver 192.0.2.2", ["192.0.2.1"], id="a fourth"),
        pytest.param("", ["127.0.0.1"], id="empty"),
        pytest.param("search example.com\nnameserver\nnameservers 192.0.2.1\n", ["127.0.0.1"], id="none"),
        pytest.param("nameserver fe80::1%eth0\nnameserver 192.0.2.1\n", ["192.0.2.1"], id="a zone id"),
        pytest.param("nameserver example.com\n", [], id="a name"),
    ],
)  # fmt: skip
def test_the_name_servers_that_resolvers_ask_are_listed(text: str, expected: list[str]) -> None:
    families = {4: socket.AF_INET, 16: socket.AF_INET6}
    listed = listed_in(text.encode())
    assert [socket.inet_ntop(families[len(each)], each) for each in listed] == expected


@given(st.binary(max_size=200))
def test_anything_else_is_read_without_an_error(content: bytes) -> None:
    assert len(listed_in(b"nameserver " + content)) <= NAME_SERVERS_MAX


def test_without_the_file_it_is_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(resolv_conf, "PATH", str(tmp_path / "none"))
    assert name_servers() == [bytes((127, 0, 0, 1))]
