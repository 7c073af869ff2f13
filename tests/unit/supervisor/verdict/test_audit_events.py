"""What the audit log says of a file that instructs an agent."""

from __future__ import annotations

import pytest

from nono.audit.event import part
from nono.supervisor.verdict.audit_events import instructions_opened
from nono.trust.verdict import Status, Verdict


@pytest.mark.parametrize(
    ("status", "signer", "by"),
    [(Status.VERIFIED, "ada", "signed by ada"), (Status.APPROVED, None, "approved")],
)
def test_an_instruction_file_is_recorded_with_its_content_and_who_answers_for_it(
    status: Status, signer: str | None, by: str
) -> None:
    event = instructions_opened("/w/AGENTS.md", Verdict("/w/AGENTS.md", status, "", "ab" * 32, signer))
    request = part(part(event, "entry"), "request")
    assert (request["path"], request["access"]) == ("/w/AGENTS.md", "Read")
    assert request["reason"] == f"instruction file, {by}; sha256 {'ab' * 32}"
