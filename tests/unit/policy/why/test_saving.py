"""nono.policy.why.saving: flags to entries of a profile."""

from __future__ import annotations

import pytest

from nono.policy.why.saving import Addition, Entry, added, additions, suppressing, without_suppressed

HOME = "/home/ada"
FILE = Addition((Entry("filesystem", "read_file", "~/x"),))


@pytest.mark.parametrize(
    ("flag", "entries"),
    [
        ("--read-file /home/ada/x", ["filesystem.read_file: ~/x"]),
        ("--allow /home/adam", ["filesystem.allow: /home/adam"]),
        ("--write '/a b'", ["filesystem.write: /a b"]),
        (
            "--read /home/ada/.ssh --bypass-protection /home/ada/.ssh",
            ["filesystem.read: ~/.ssh", "filesystem.bypass_protection: ~/.ssh"],
        ),
        ("--allow-domain x.example:8443", ["network.allow_domain: x.example:8443"]),
        ("--allow-domain '*.x.example'", ["network.allow_domain: *.x.example"]),
        ("--open-port 5432", ["network.open_port: 5432"]),
        ("--allow-unix-socket /run/x.sock", ["filesystem.unix_socket: /run/x.sock"]),
    ],
)
def test_a_flag_is_said_by_an_entry(flag: str, entries: list[str]) -> None:
    (addition,) = additions([flag], HOME)
    assert [str(entry) for entry in addition.entries] == entries
    assert addition.is_sensitive == ("bypass" in flag)


@pytest.mark.parametrize(
    "flag",
    [
        *("", "--read", "--read /a /b", "--no-such /a", "--capability-elevation", "--read '/a"),
        *("--read '/a$HOME'", "--read '/a\x1b[2J'", f"--read /{'a' * 500}"),
        *("--write '/work/*'", "--allow-unix-socket-bind '/work/*.sock'"),
        "--allow-endpoint demo:GET:/a",
    ],
)
def test_what_no_entry_says_or_nobody_could_read_is_not_offered(flag: str) -> None:
    assert additions([flag], HOME) == []


def test_the_same_is_offered_once() -> None:
    assert additions(["--read-file /home/ada/x"] * 2, HOME) == [FILE]


def test_a_suppressed_path_is_not_offered_nor_one_below_it() -> None:
    below = Addition((Entry("filesystem", "read", "~/x/y"),))
    beside = Addition((Entry("filesystem", "read", "~/xy"),))
    host = Addition((Entry("network", "allow_domain", "x"),))
    found = [FILE, below, beside, host]
    assert without_suppressed(found, ["/home/ada/x"], HOME) == [beside, host]
    assert without_suppressed(found, [], HOME) == found


def test_suppressing_is_for_paths() -> None:
    host = Addition((Entry("network", "allow_domain", "x"),))
    assert suppressing([FILE, FILE, host]) == [
        Addition((Entry("filesystem", "suppress_save_prompt", "~/x"),))
    ]


def test_each_entry_is_added_once_behind_the_others() -> None:
    document = {"filesystem": {"read_file": ["/a"]}, "meta": {"name": "x"}}
    once = added(document, [FILE])
    assert once == {"filesystem": {"read_file": ["/a", "~/x"]}, "meta": {"name": "x"}}
    assert added(once, [FILE]) == once
    assert document["filesystem"] == {"read_file": ["/a"]}
    assert added({}, [FILE]) == {"filesystem": {"read_file": ["~/x"]}}


@pytest.mark.parametrize("document", [{"filesystem": []}, {"filesystem": {"read_file": "x"}}])
def test_what_is_no_list_is_left_alone(document: dict[str, object]) -> None:
    with pytest.raises((TypeError, AttributeError)):
        added(document, [FILE])


@pytest.mark.parametrize(
    ("flag", "named"),
    [
        ("--allow-unix-socket-bind /home/ada/tmp/cc-socks/2.sock", True),
        ("--allow-unix-socket-bind /home/ada/agent.12345", True),
        ("--allow-unix-socket-bind /home/ada/tmp-7/app.sock", False),
        ("--allow-unix-socket-bind /home/ada/app2.sock", False),
        ("--allow-unix-socket /run/postgresql/.s.PGSQL.5432", False),
        ("--read-file /proc/77/stat", True),
        ("--read-file /proc/stat", False),
        ("--read-file /home/ada/proc/77/stat", False),
        ("--open-port 5432", False),
    ],
)
def test_an_entry_that_names_a_process_is_told_from_one_that_lasts(flag: str, named: bool) -> None:
    (addition,) = additions([flag], HOME)
    assert addition.names_process is named
