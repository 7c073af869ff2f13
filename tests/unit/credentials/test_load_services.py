"""Loading the credentials of a run: one outcome per service, and the hint that ends the search."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest

from nono.credentials import broker
from nono.credentials.load import Loaded, Missing, load_services
from nono.errors import CredentialError
from nono.secret import Secret


@dataclass(frozen=True, slots=True)
class FakeService:
    name: str = "openai"
    credential_key: str = "openai"
    inject_header: str = "Authorization"
    credential_format: str = "Bearer {}"
    env_vars: tuple[str, ...] = ("OPENAI_API_KEY", "OPENAI")


ANTHROPIC = FakeService("anthropic", "env://ANTHROPIC_API_KEY", "x-api-key", "{}", ("ANTHROPIC_API_KEY",))


def missing(service: FakeService, environ: dict[str, str]) -> Missing:
    outcome = load_services([service], environ)[0].outcome
    assert isinstance(outcome, Missing)
    return outcome


def test_a_service_whose_credential_is_there_gets_a_header_and_a_phantom(environ: dict[str, str]) -> None:
    broker.save("openai", Secret("real"), environ)
    loaded, other = load_services([FakeService(), ANTHROPIC], environ | {"ANTHROPIC_API_KEY": "real too"})
    assert loaded.service == FakeService()
    assert isinstance(loaded.outcome, Loaded)
    assert loaded.outcome.header.value() == b"Bearer real"
    assert loaded.outcome.phantom.child_value().startswith("sk-proj-")
    assert isinstance(other.outcome, Loaded)
    assert other.outcome.header.value() == b"real too"


def test_one_missing_credential_does_not_keep_the_others_from_loading(environ: dict[str, str]) -> None:
    outcomes = [
        loaded.outcome
        for loaded in load_services([FakeService(), ANTHROPIC], environ | {"ANTHROPIC_API_KEY": "x"})
    ]
    assert isinstance(outcomes[0], Missing)
    assert isinstance(outcomes[1], Loaded)


def test_a_missing_variable_is_credential_not_found(environ: dict[str, str]) -> None:
    outcome = missing(ANTHROPIC, environ)
    assert outcome.code == "credential_not_found"
    assert "export ANTHROPIC_API_KEY" in (outcome.hint or "")


def test_a_missing_variable_whose_service_is_stored_is_hinted_at(environ: dict[str, str]) -> None:
    broker.save("anthropic", Secret("real"), environ)
    assert "credential 'anthropic' is stored" in (missing(ANTHROPIC, environ).hint or "")


def test_a_missing_name_is_not_found_where_a_keyring_answers(with_keyring: dict[str, str]) -> None:
    outcome = missing(FakeService(), with_keyring)
    assert outcome == Missing("credential_not_found", outcome.message, "nono credential set openai")


def test_a_missing_name_is_unavailable_where_no_keyring_answers(environ: dict[str, str]) -> None:
    assert missing(FakeService(), environ).code == "credential_unavailable"


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "OPENAI", "OPENAI_TOKEN"])
def test_a_missing_name_whose_variable_is_set_is_hinted_at(environ: dict[str, str], variable: str) -> None:
    hint = missing(FakeService(), environ | {variable: "c4n4ry"}).hint or ""
    assert f"printenv {variable} | nono credential set openai" in hint
    assert "c4n4ry" not in hint


def test_a_value_that_cannot_stand_in_a_header_is_credential_unavailable(environ: dict[str, str]) -> None:
    outcome = missing(ANTHROPIC, environ | {"ANTHROPIC_API_KEY": "c4n4ry€"})
    assert outcome.code == "credential_unavailable"
    assert "c4n4ry" not in outcome.message


def test_a_malformed_reference_is_fatal_before_any_credential_is_read(environ: dict[str, str]) -> None:
    with pytest.raises(CredentialError, match="not available yet"):
        load_services([ANTHROPIC, FakeService(credential_key="op://v/i/f")], environ)


def test_a_malformed_format_is_fatal(environ: dict[str, str]) -> None:
    broken = FakeService("anthropic", "env://ANTHROPIC_API_KEY", "x-api-key", "no place for it")
    with pytest.raises(CredentialError, match="credential_format"):
        load_services([broken], environ | {"ANTHROPIC_API_KEY": "x"})


def test_a_file_that_others_can_read_is_loaded_with_a_warning(environ: dict[str, str]) -> None:
    path = f"{environ['HOME']}/key"
    with open(path, "w") as key:
        key.write("real\n")
    os.chmod(path, 0o644)
    loaded = load_services([FakeService(credential_key=f"file://{path}")], environ)[0]
    assert isinstance(loaded.outcome, Loaded)
    assert len(loaded.warnings) == 1
