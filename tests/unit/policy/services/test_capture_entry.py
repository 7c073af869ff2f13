"""Entries of credential_capture."""

from __future__ import annotations

import pytest

from nono.policy.schema.route_rules import Capture
from nono.policy.schema.routes import CaptureEntry, CaptureOutput, CaptureProvider
from nono.policy.services.capture_entry import capture_of, capture_problems

GOOD = CaptureEntry(("get-token", "--json"))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"command": ()}, "command"),
        ({"command": None}, "command"),
        ({"provider": CaptureProvider(("x",))}, "provider"),
        ({"command": None, "provider": CaptureProvider(())}, "provider.command"),
        ({"command": None, "provider": CaptureProvider(("./x",))}, "provider.command"),
        ({"command": ("",)}, "command"),
        ({"command": ("bin/x",)}, "command"),
        ({"command": ("x", "a\0b")}, "command"),
        ({"timeout_secs": 0}, "timeout_secs"),
        ({"timeout_secs": 301}, "timeout_secs"),
        ({"timeout_secs": float("nan")}, "timeout_secs"),
        ({"cache_ttl_secs": -1}, "cache_ttl_secs"),
        ({"ttl_secs": 3601}, "ttl_secs"),
        ({"cache_ttl_secs": 1, "ttl_secs": 2}, "ttl_secs"),
        ({"cache_path_regex": "("}, "cache_path_regex"),
        ({"cache_path_regex": r"^/repos/(([\w-]+/?)+)$"}, "cache_path_regex"),
        ({"cache_path_regex": "a" * 300}, "cache_path_regex"),
        ({"output": CaptureOutput("json", ())}, "output.allow_headers"),
        ({"output": CaptureOutput("json", ("Host",))}, "output.allow_headers"),
        ({"output": CaptureOutput("json", ("a b",))}, "output.allow_headers"),
        ({"output": CaptureOutput("json", ("Transfer-Encoding",))}, "output.allow_headers"),
    ],
)
def test_a_mistake_names_its_field(change: dict[str, object], field: str) -> None:
    assert list(capture_problems("a", GOOD)) == []
    assert [each for each, _ in capture_problems("a", GOOD._replace(**change))] == [field]  # type: ignore[arg-type]  # fields vary


@pytest.mark.parametrize("name", ["", "a-b", "a/b", "é"])
def test_a_name_can_stand_behind_cmd(name: str) -> None:
    assert [field for field, _ in capture_problems(name, GOOD)] == [""]


@pytest.mark.parametrize("command", ["get-token", "/opt/x", "$HOME/bin/x"])
def test_a_program_is_absolute_or_a_bare_name(command: str) -> None:
    assert not list(capture_problems("a", CaptureEntry((command,))))


def test_an_entry_becomes_a_capture_with_its_defaults() -> None:
    assert capture_of("a", GOOD) == Capture("a", ("get-token", "--json"), 5, 900)
    assert capture_of("a", GOOD._replace(ttl_secs=7)).cache_ttl_s == 7
    as_json = GOOD._replace(output=CaptureOutput("json", ("X-Key",)), stdin="request_json")
    assert capture_of("a", as_json).allow_headers == ("X-Key",)
    assert capture_of("a", as_json).stdin == "request_json"


def test_a_provider_is_a_command_with_its_configuration() -> None:
    entry = CaptureEntry(provider=CaptureProvider(("vault", "x"), {"role": "agent", "paths": ("a", "b")}))
    assert list(capture_problems("a", entry)) == []
    capture = capture_of("a", entry)
    assert capture.command == ("vault", "x")
    assert capture.provider_config == '{"role": "agent", "paths": ["a", "b"]}'
    assert capture_of("a", GOOD).provider_config is None
