"""Phantoms: shaped like the provider's tokens, unlike each other, and compared rather than shown."""

from __future__ import annotations

import os
import re
from itertools import cycle, islice

import pytest

from nono.credentials.phantom import END_CHARS, make_phantom, make_session_token
from nono.credentials.values.shapes import looks_like_key
from nono.secret import Secret

KEY, ANOTHERS = Secret("0" * 64), Secret("1" * 64)


@pytest.mark.parametrize(
    ("service", "pattern"),
    [
        ("openai", r"sk-proj-[A-Za-z0-9_-]{156}"),
        ("anthropic", r"sk-ant-api03-[A-Za-z0-9_-]{93}AA"),
        ("claude-token", r"sk-ant-oat01-[A-Za-z0-9_-]{93}AA"),
        ("github", r"ghp_[A-Za-z0-9]{36}"),
        ("gitlab", r"glpat-[A-Za-z0-9_-]{20}"),
        ("gemini", r"AIza[A-Za-z0-9_-]{35}"),
        ("google-ai", r"AIza[A-Za-z0-9_-]{35}"),
        ("anything", r"nono_[A-Za-z0-9]{43}"),
    ],
)
def test_a_phantom_has_the_shape_of_the_providers_tokens(service: str, pattern: str) -> None:
    for key in (None, KEY) * 10:
        assert re.fullmatch(pattern, make_phantom(service, key).child_value())


@pytest.mark.parametrize("service", ["anthropic", "openai", "anything"])
def test_the_phantoms_of_a_person_and_service_end_alike(service: str) -> None:
    values = [make_phantom(service, KEY).child_value() for _ in range(20)]
    assert len({value[-END_CHARS:] for value in values}) == 1


@pytest.mark.parametrize("service", ["anthropic", "openai", "anything"])
def test_what_stands_before_the_end_is_new_each_time(service: str) -> None:
    values = [make_phantom(service, KEY).child_value() for _ in range(20)]
    assert len({value[:-END_CHARS] for value in values}) == 20


@pytest.mark.parametrize(
    ("service", "key"), [("anthropic", ANOTHERS), ("anthropic", None), ("another", KEY)], ids=repr
)
def test_an_end_is_that_of_one_person_and_service(service: str, key: Secret | None) -> None:
    ends = {make_phantom(*which).child_value()[-END_CHARS:] for which in (("anthropic", KEY), (service, key))}
    assert len(ends) == 2


@pytest.mark.parametrize("service", ["github", "gitlab", "gemini", "google-ai"])
def test_a_short_phantom_is_random_as_a_whole(service: str) -> None:
    assert len({make_phantom(service, KEY).child_value()[-END_CHARS:] for _ in range(20)}) == 20


def test_octets_that_would_make_some_characters_likelier_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    octets = cycle([0, *range(256 - 256 % 62, 256)])
    monkeypatch.setattr(os, "urandom", lambda count: bytes(islice(octets, count)))
    assert len({*make_phantom("github").child_value().removeprefix("ghp_")}) == 1


def test_a_phantom_of_an_older_run_matches_no_newer_one() -> None:
    older, newer = make_phantom("anthropic", KEY), make_phantom("anthropic", KEY)
    assert not newer.matches(older.child_value())
    assert not newer.appears_in(older.child_value().encode())


def test_no_two_phantoms_are_alike() -> None:
    values = {
        make_phantom(service).child_value()
        for service in ("openai", "gemini", "google-ai")
        for _ in range(50)
    }
    assert len(values) == 150


def test_a_phantom_matches_only_itself() -> None:
    phantom = make_phantom("github")
    value = phantom.child_value()
    assert phantom.matches(value)
    for other in (
        "",
        value[:-1],
        value + "x",
        value[:-1] + ("a" if value[-1] != "a" else "b"),
        value.swapcase(),
    ):
        assert not phantom.matches(other)
    assert not make_phantom("github").matches(value)


def test_a_session_token_is_256_bits_in_hex() -> None:
    assert re.fullmatch("[0-9a-f]{64}", make_session_token().child_value())


def test_a_session_token_is_new_each_time() -> None:
    token, other = make_session_token(), make_session_token()
    assert token.matches(token.child_value())
    assert not token.matches(other.child_value())


@pytest.mark.parametrize("service", ["openai", "anthropic", "github", "gitlab", "gemini"])
def test_a_token_of_a_known_provider_is_taken_for_a_key(service: str) -> None:
    assert looks_like_key(make_phantom(service).child_value())


@pytest.mark.parametrize("name", ["openai", "sk-work", "ghp_mine", "github", "AIza"])
def test_a_name_is_not_taken_for_a_key(name: str) -> None:
    assert not looks_like_key(name)
