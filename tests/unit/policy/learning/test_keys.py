"""A watched run gets placeholders for the keys in the environment, one service for each variable."""

from __future__ import annotations

import pytest

from nono.policy.builtin import shipped
from nono.policy.learning.keys import services_with_keys
from nono.policy.path_expansion import PathContext
from nono.policy.schema.routes import CustomCredential
from nono.policy.services.credential_service import resolve_services

BOTH = {"ANTHROPIC_API_KEY": "a", "ANTHROPIC_AUTH_TOKEN": "b", "GROQ_API_KEY": "c", "XAI_API_KEY": ""}
PLACES = PathContext("/home/ada", "/w", "/w", {})
CUSTOM = {
    "of-its-own": CustomCredential("https://x.example", "env://OTHER"),
    "reads-groq": CustomCredential("https://x.example", "env://GROQ_API_KEY"),
}


@pytest.mark.parametrize(
    ("used", "found"),
    [
        ([], ("anthropic", "groq")),
        (["groq"], ("anthropic",)),
        (["groq=https://llm.corp.example"], ("anthropic",)),
        (["anthropic-token"], ("groq",)),
        (["of-its-own"], ("anthropic", "groq")),
        (["reads-groq"], ("anthropic",)),
    ],
)
def test_services_whose_keys_are_there_share_no_variable(used: list[str], found: tuple[str, ...]) -> None:
    built_in = shipped.network_policy().services
    services = resolve_services([(each, "--credential") for each in used], CUSTOM, built_in, PLACES)
    assert services_with_keys(BOTH, services) == found
