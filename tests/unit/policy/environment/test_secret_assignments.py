"""Which values of a command line a secret's name stands before."""

from __future__ import annotations

import pytest

from nono.policy.environment.secret_assignments import plain, secret_assignments

CANARY = "c4n4ry"


def values(text: str, *kept: str) -> list[str]:
    return [text[start:end] for start, end in secret_assignments(text, kept)]


@pytest.mark.parametrize(
    "before",
    ["DB_PASSWORD=", "a PGPASSWORD=", "db_password=", "--db-password=", "-DNPM_TOKEN=", "export MYSQL_PWD="],
)
@pytest.mark.parametrize(
    ("value", "behind"),
    [
        (CANARY, ""),
        (CANARY, " next"),
        (f"true{CANARY}", ""),
        (f"'{CANARY} {CANARY}'", " next"),
        (f'"{CANARY}', ""),
        (rf'"{CANARY}\"{CANARY}"', " next"),
        (rf'"{CANARY}\\"', ' "next"'),
        (rf"'{CANARY}'\''{CANARY}'", " 'next'"),
        (rf"'{CANARY}\'", " 'next'"),
        (f"{CANARY}&{CANARY}", "\n"),
    ],
)
def test_the_value_behind_a_telling_name_is_found_whole(before: str, value: str, behind: str) -> None:
    assert values(f"{before}{value}{behind}") == [value]


@pytest.mark.parametrize(
    "text",
    [
        "--max-tokens=100",
        "USE_TOKEN=1",
        "TOKEN=",
        "TOKEN=''",
        "PASSWORD_FILE=/run/x",
        "cache_key=linux-build",
        "PATH=/usr/bin",
        "a==b=c",
        "=x",
        "a token = x",
    ],
)
def test_what_only_sounds_like_a_secret_is_left(text: str) -> None:
    assert values(text) == []


def test_a_word_in_the_place_of_a_path_may_be_the_secret_itself() -> None:
    assert values("--password-file=x/y") == ["x/y"]


def test_in_a_query_the_next_pair_is_left() -> None:
    assert values("https://h/?my_token=a&page=2;b#c_token=d") == ["a", "d"]
    assert values("https://h/?page=2&my_token=a;page=3 /?my_token=b#top") == ["a", "b"]
    assert values("-d my_token=a&page=2") == ["a&page=2"]


def test_a_name_that_a_person_keeps_is_left_however_it_is_spelled() -> None:
    kept = plain("--my-token")
    assert values("--my-token=a MY_TOKEN=b your_token=c", kept) == ["c"]


@pytest.mark.parametrize("piece", ["key=", "token=", "token='a'", 'token="', r'token="/\"', "?token=a&"])
def test_many_of_them_take_linear_time(piece: str) -> None:
    assert len(values(piece * 100_000)) <= 100_000
