"""What a person approves is remembered, and an approved policy is what the next run is compared with."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest

from nono.trust.authority import Standing, standing_of
from nono.trust.memory import Memory
from nono.trust.policy import FILE, PREDICATE, Enforcement

LEVELS = tuple(Enforcement)
NOTHING = Memory()


def approved(enforcement: Enforcement, memory: Memory = NOTHING) -> Memory:
    content = json.dumps({"predicate": PREDICATE, "includes": ["*.md"], "enforcement": enforcement}).encode()
    digest = sha256(content).hexdigest()
    return memory.approving({FILE: digest}, {digest: content})


def test_a_policy_that_no_run_has_had_yet_cannot_be_taken_away() -> None:
    memory = approved(Enforcement.DENY)
    assert memory.policy == memory.approved[FILE]
    assert memory.enforcement is Enforcement.DENY
    assert standing_of(None, memory, ())[0] is Standing.GONE
    assert standing_of(None, NOTHING, ())[0] is Standing.ABSENT


@pytest.mark.parametrize("before", LEVELS)
@pytest.mark.parametrize("now", LEVELS)
def test_what_was_stricter_counts_until_the_next_run(before: Enforcement, now: Enforcement) -> None:
    stricter = max(before, now, key=LEVELS.index)
    assert approved(now, Memory("0" * 64, before)).enforcement is stricter


def test_an_approved_file_changes_nothing_about_the_policy() -> None:
    memory = Memory("0" * 64, Enforcement.WARN, {"a.md": "1" * 64})
    after = memory.approving({"b.md": "2" * 64}, {})
    assert after == memory._replace(approved={"a.md": "1" * 64, "b.md": "2" * 64})
