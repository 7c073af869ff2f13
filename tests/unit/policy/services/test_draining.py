"""An upstream is known to read bodies only as itself: over https, at its own port."""

from __future__ import annotations

import pytest

from nono.policy.builtin import shipped
from nono.policy.hosts.upstream import parse_upstream
from nono.policy.services.draining import reads_bodies


@pytest.mark.parametrize(
    "name", ["openai", "anthropic", "claude-token", "gemini", "google-ai", "github", "gitlab"]
)
def test_the_upstreams_of_these_services_are_known_to_read_bodies(name: str) -> None:
    assert reads_bodies(parse_upstream(shipped.network_policy().services[name]["upstream"]))


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com:8443/v1",
        "https://api.openai.com.example",
        "https://*.openai.com",
        "https://api.example",
        "https://openrouter.ai/api/v1",
        "http://127.0.0.1:8080",
    ],
)
def test_no_other_upstream_is_known_to_read_bodies(url: str) -> None:
    assert not reads_bodies(parse_upstream(url))
