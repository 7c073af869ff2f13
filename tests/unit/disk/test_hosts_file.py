"""Which names are read from a hosts file."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.disk import hosts_file
from nono.disk.hosts_file import listed_in, names_by_address

HOSTS = """
127.0.0.1 localhost
10.0.0.5\tGit.Corp.Example git # the server
2001:db8::5 git.corp.example
10.0.0.5 other.example
# 10.0.0.6 commented.example
10.0.0.7
300.1.1.1 malformed.example
"""


def test_an_address_has_its_names_in_order() -> None:
    assert listed_in(HOSTS.encode()) == {
        ip_address("127.0.0.1"): ("localhost",),
        ip_address("10.0.0.5"): ("git.corp.example", "git", "other.example"),
        ip_address("2001:db8::5"): ("git.corp.example",),
        ip_address("10.0.0.7"): (),
    }


def test_a_list_of_hosts_to_be_blocked_is_read_in_time_for_its_length() -> None:
    """With a copy of all names for each line it took 5 s of the loop."""
    took: list[float] = []
    for count in (2_000, 20_000):
        content = "".join(f"0.0.0.0 host{number}.example\n" for number in range(count)).encode()
        begun = process_time()
        assert len(listed_in(content)[ip_address("0.0.0.0")]) == count
        took.append(process_time() - begun)
    assert took[1] < 40 * took[0]


@given(st.binary(max_size=200))
def test_anything_else_is_read_without_an_error(content: bytes) -> None:
    assert all(name == name.lower() for names in listed_in(content).values() for name in names)


def test_without_the_file_there_are_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hosts_file, "PATH", str(tmp_path / "none"))
    assert names_by_address() == {}
