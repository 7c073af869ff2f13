"""nono.policy.why.given: the options of a run as entries of a profile."""

from __future__ import annotations

import pytest

from nono.policy.path_expansion import PathContext
from nono.policy.why.given import entry_of, ports_of
from nono.policy.why.saving import added

HOME = "/home/ada"
PLACES = PathContext(HOME, f"{HOME}/work", f"{HOME}/work", {})


@pytest.mark.parametrize(
    ("option", "value", "entry"),
    [
        ("allow", ".", "filesystem.allow: $WORKDIR"),
        ("allow", "./", "filesystem.allow: $WORKDIR"),
        ("read", "sub/dir", "filesystem.read: $WORKDIR/sub/dir"),
        ("read", f"{HOME}/work", "filesystem.read: ~/work"),
        ("read", "~/notes", "filesystem.read: ~/notes"),
        ("read_file", "/etc/x", "filesystem.read_file: /etc/x"),
        ("allow_unix_socket_dir", "/run/x", "filesystem.unix_socket_dir: /run/x"),
        ("allow_domain", "x.example", "network.allow_domain: x.example"),
        ("allow_domain", "*.x.example", "network.allow_domain: *.x.example"),
        ("credential", "openai", "network.credentials: openai"),
    ],
)
def test_an_option_is_said_by_an_entry(option: str, value: str, entry: str) -> None:
    addition = entry_of(option, value, PLACES, [])
    assert addition is not None
    assert [str(each) for each in addition.entries] == [entry]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("read", "/a$HOME"),
        ("read", "/a/*"),
        ("read", "/a\x1b[2J"),
        ("read", "../other"),
        ("read", f"/{'a' * 500}"),
        ("read", f"{HOME}/.ssh/config"),
        ("memory", "1G"),
        ("env", "TOKEN=x"),
        ("bypass_protection", f"{HOME}/.ssh"),
    ],
)
def test_what_a_profile_cannot_say_is_given_again(option: str, value: str) -> None:
    assert entry_of(option, value, PLACES, [f"{HOME}/.ssh"]) is None


def test_a_single_value_replaces_that_of_the_profile() -> None:
    addition = entry_of("network_profile", "developer", PLACES, [])
    assert addition is not None
    changed = added({"network": {"network_profile": "minimal"}}, [addition])
    assert changed == {"network": {"network_profile": "developer"}}


def test_few_ports_are_said_by_their_numbers() -> None:
    assert [str(entry) for each in ports_of("open_port", (3000, 3001)) for entry in each.entries] == [
        "network.open_port: 3000",
        "network.open_port: 3001",
    ]
    assert ports_of("open_port", tuple(range(3000, 3100))) == []
    assert ports_of("proxy_port", (3000,)) == []
