"""A watched run gets placeholders for the keys in the environment, one service for each variable."""

from __future__ import annotations

import pytest

from nono.policy.learning.keys import services_with_keys

BOTH = {"ANTHROPIC_API_KEY": "a", "ANTHROPIC_AUTH_TOKEN": "b", "GROQ_API_KEY": "c", "XAI_API_KEY": ""}


@pytest.mark.parametrize(
    ("known", "found"),
    [
        ([], ("anthropic", "groq")),
        (["groq"], ("anthropic",)),
        (["anthropic-token"], ("groq",)),
        (["a-service-of-the-profile"], ("anthropic", "groq")),
    ],
)
def test_services_whose_keys_are_there_share_no_variable(known: list[str], found: tuple[str, ...]) -> None:
    assert services_with_keys(BOTH, known) == found
