"""nono.policy.profile_json_schema: what an editor is told is what nono accepts."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from nono.policy import builtin
from nono.policy.profile_json_schema import schema
from support.full_profile import FULL

VALIDATOR = Draft202012Validator(schema())


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("name", builtin.profile_names())
def test_a_shipped_profile_is_accepted(name: str) -> None:
    VALIDATOR.validate(builtin.profile_document(name))


def test_every_available_field_is_accepted() -> None:
    VALIDATOR.validate(FULL)
