"""nono.policy.why.lacking.networks: programs that ask a network."""

from __future__ import annotations

import shlex

import pytest

from nono.policy.why.lacking.networks import asks_a_network


@pytest.mark.parametrize(
    ("line", "program"),
    [
        ("curl -s https://a.example/", "curl"),
        ("sh -c 'make && git push origin main'", "git"),
        ("redis-cli ping", "redis-cli"),
        ("psql -l", None),
        ("psql -h db.example -l", "psql"),
        ("pg_dump --host=db.example a", "pg_dump"),
        ("psql postgresql://ada@db.example/a", "psql"),
        ("mysql -hdb.example a", "mysql"),
        ("mysql -e 'select 1' a", None),
        ("git commit -m push", None),
        ("git -C . status", None),
        ("npm ci", "npm"),
        ("npm test", None),
        ("python3 -m pip install a", "pip"),
        ("cargo build", None),
        ("make", None),
        ("", None),
    ],
)
def test_a_program_asks_a_network_by_itself_or_with_some_words(line: str, program: str | None) -> None:
    assert asks_a_network(shlex.split(line)) == program
