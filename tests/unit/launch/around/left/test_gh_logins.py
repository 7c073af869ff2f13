"""A token that gh has kept inside, where its login is not captured."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nono.launch.around.left.gh_logins import MAX_BYTES, hosts_with_token, told

LOGIN = """github.com:
    users:
        somebody:
            oauth_token: gho_0123
    git_protocol: https
    oauth_token: gho_0123
    user: somebody
"""


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        (LOGIN, ["github.com"]),
        (LOGIN + LOGIN.replace("github.com", "git.example"), ["github.com", "git.example"]),
        ("github.com:\n    oauth_token: 'gho_0123'\n", ["github.com"]),
        (LOGIN.replace("gho_", "nono_"), []),  # a placeholder
        ("github.com:\n    user: somebody\n", []),  # the keyring has the token
        ("github.com:\n    oauth_token:\n", []),
        ("{}\n", []),
        ("    oauth_token: gho_0123\n", []),
    ],
)
def test_the_hosts_are_those_with_a_token_and_not_with_a_placeholder(text: str, hosts: list[str]) -> None:
    assert hosts_with_token(text) == hosts


def test_a_token_is_told_with_its_file_and_without_itself(tmp_path: Path) -> None:
    file = tmp_path / "hosts.yml"
    file.write_text(LOGIN)
    (sentence,) = told(str(file))
    assert f"a token of github.com in {file}" in sentence
    assert "--profile gh" in sentence
    assert "gho_" not in sentence


@pytest.mark.parametrize("kind", ["none", "fifo", "directory", "large"])
def test_a_file_that_cannot_be_read_at_once_is_left_alone(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "hosts.yml"
    match kind:
        case "fifo":
            os.mkfifo(file)
        case "directory":
            file.mkdir()
        case "large":
            file.write_text(LOGIN + " " * MAX_BYTES)
    assert [*told(str(file))] == []
