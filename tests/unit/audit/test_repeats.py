"""nono.audit.repeats: which records answer a question and decide no access."""

from __future__ import annotations

import pytest

from nono.audit.event import WITHDRAWN
from nono.audit.repeats import is_answer


@pytest.mark.parametrize(
    ("fields", "answers"),
    [
        ({"decision": "approve_denied", "reason": "no"}, True),
        ({"decision": "approve_denied", "reason": WITHDRAWN}, False),
        ({"decision": "deny", "approval_backend": "policy"}, True),
        ({"decision": "deny"}, False),
        ({"decision": "allow", "approval_backend": "policy"}, False),
        ({"decision": "approve_requested"}, False),
    ],
)
def test_an_answer_is_told_from_a_decision(fields: dict[str, object], answers: bool) -> None:
    assert is_answer(fields) is answers
