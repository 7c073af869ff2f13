import json
from typing import Any

import pytest

from nono.digests import sha256
from nono.trust import authority, bundle, dsse, policy, predicates, statement
from nono.trust.authority import Policies, PolicyFile, Standing
from nono.trust.memory import Memory
from nono.trust.policy import FILE, Enforcement
from nono.trust.statement import Statement, Subject
from nono.trust.verdict import TrustedKey
from unit.trust.test_verdict import ME, STRANGER, Signer

OWN = [TrustedKey("you", "default", ME.key)]


def _file(signer: Signer | None = None, *, signs: bytes | None = None, **fields: Any) -> PolicyFile:
    content = json.dumps({"predicate": policy.PREDICATE, "includes": ["A.md"], **fields}).encode()
    made = None
    if signer is not None:
        digest = sha256(signs or content).hexdigest()
        predicate = predicates.keyed(signer.key.fingerprint)
        said = Statement((Subject(FILE, digest),), policy.PREDICATE, predicate)
        envelope = dsse.signed(dsse.IN_TOTO, statement.encoded(said), signer._private.sign)
        made = bundle.parse(bundle.encoded(envelope, ""))
    return PolicyFile(FILE, content, policy.parse(content), made)


NEW = _file()


@pytest.mark.parametrize(
    ("project", "memory", "standing"),
    [
        (None, Memory(), Standing.ABSENT),
        (None, Memory(policy="ab"), Standing.GONE),
        (NEW, Memory(), Standing.NEW),
        (NEW, Memory(policy=NEW.sha256), Standing.SEEN),
        (NEW, Memory(policy="ab"), Standing.CHANGED),
        (NEW, Memory(approved={FILE: "ab"}), Standing.CHANGED),
        (NEW, Memory(policy="ab", approved={FILE: NEW.sha256}), Standing.APPROVED),
        (_file(ME), Memory(), Standing.SIGNED),
        (_file(STRANGER), Memory(), Standing.NEW),
        (_file(ME, signs=b"another"), Memory(), Standing.NEW),
        (_file(ME), Memory(policy="ab"), Standing.CHANGED),
        (_file(STRANGER), Memory(policy="ab"), Standing.CHANGED),
        (_file(ME, signs=b"another"), Memory(policy="ab"), Standing.CHANGED),
    ],
)
def test_a_policy_is_the_word_of_whoever_signed_or_approved_it(
    project: PolicyFile | None, memory: Memory, standing: Standing
) -> None:
    assert authority.standing_of(project, memory, OWN)[0] is standing


@pytest.mark.parametrize(
    ("project", "reason"),
    [
        (NEW, "nobody has signed it"),
        (_file(STRANGER), "signed by none of your keys"),
        (_file(ME, signs=b"another"), "has changed since you signed it"),
        (_file(ME), "allows more than in the last run"),
    ],
)
def test_a_policy_that_does_not_count_says_why(project: PolicyFile, reason: str) -> None:
    assert reason in authority.standing_of(project, Memory(policy="ab"), OWN)[1]


@pytest.mark.parametrize(
    ("change", "standing"),
    [
        ({}, Standing.SIGNED),
        ({"enforcement": "warn"}, Standing.CHANGED),
        ({"includes": ["B.md"]}, Standing.CHANGED),
        ({"includes": ["A.md", "B.md"]}, Standing.SIGNED),
        ({"files": []}, Standing.CHANGED),
        ({"publishers": [{"name": "x", "key_id": "x"}]}, Standing.CHANGED),
        ({"blocklist": {"publishers": [{"identity": "x"}]}}, Standing.CHANGED),
        ({"blocklist": {"digests": [{"sha256": "ab" * 32}]}}, Standing.CHANGED),
        ({"packages": False}, Standing.CHANGED),
    ],
)
def test_a_signed_policy_that_allows_more_than_the_last_waits_for_a_person(
    change: dict[str, Any], standing: Standing
) -> None:
    blocklist = {"digests": [{"sha256": "ab" * 32}], "publishers": [{"identity": "x"}]}
    fields: dict[str, Any] = {"files": ["f"], "blocklist": blocklist, "version": 1, "packages": True}
    last, now = _file(ME, **fields), _file(ME, **{**fields, "version": 2, **change})
    memory = Memory(policy=last.sha256)
    assert authority.standing_of(now, memory, OWN, last.policy)[0] is standing
    assert authority.standing_of(now, memory, OWN, None)[0] is Standing.CHANGED
    approved = memory._replace(approved={FILE: now.sha256})
    assert authority.standing_of(now, approved, OWN, last.policy)[0] is not Standing.CHANGED
    assert authority.standing_of(now, Memory(), OWN, None)[0] is Standing.SIGNED


def test_a_project_names_no_publishers_beside_a_user_policy() -> None:
    user = _file(publishers=[{"name": "me", "key_id": "mine"}], enforcement="warn")
    project = _file(publishers=[{"name": "evil", "key_id": "x"}], includes=["B.md"])
    policies = Policies("/p", project, user)
    counts = authority.effective(policies, Standing.SEEN)
    assert [each.name for each in counts.publishers] == ["me"]
    assert (counts.includes, counts.enforcement) == (("A.md", "B.md"), Enforcement.DENY)
    approved = authority.effective(policies, Standing.APPROVED)
    assert [each.name for each in approved.publishers] == ["me", "evil"]


def test_a_project_cannot_weaken_the_user_policy() -> None:
    policies = Policies("/p", _file(enforcement="audit"), _file(enforcement="deny"))
    assert authority.effective(policies, Standing.APPROVED).enforcement is Enforcement.DENY


def test_a_publisher_without_a_key_at_hand_is_named() -> None:
    made = _file(publishers=[{"name": "a", "key_id": "default"}, {"name": "b", "key_id": "other"}]).policy
    keys, missing = authority.keys_of(made, {"default": ME.key}.get)
    assert (keys, missing) == ((TrustedKey("a", "default", ME.key),), ("b",))
