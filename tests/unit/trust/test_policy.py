import json
from base64 import b64encode

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from nono.trust import dsse, policy
from nono.trust.policy import BlockedPublisher, Enforcement, Keyed, Keyless, Publisher, TrustPolicy

_KEY = dsse.public_key(
    ed25519.Ed25519PrivateKey.generate()
    .public_key()
    .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
)


def _parsed(**fields: object) -> TrustPolicy:
    return policy.parse(json.dumps({"predicate": policy.PREDICATE, **fields}).encode())


def test_a_policy_says_what_was_written() -> None:
    keyed = {"name": "me", "key_id": "default", "public_key": b64encode(_KEY.der).decode()}
    pem = {"name": "pem", "key_id": "x", "public_key": _KEY.pem.decode()}
    keyless = {"name": "ci", "issuer": "https://i", "repository": "org/*", "ref_pattern": "refs/tags/*"}
    found = _parsed(
        version=1,
        includes=["CLAUDE.md"],
        files=["~/x.md"],
        publishers=[keyed, pem, keyless],
        blocklist={
            "digests": [{"sha256": "AB" * 32, "description": "bad", "added": "2026-01-01"}],
            "publishers": [{"identity": "default", "reason": "lost", "added": "2026-01-01"}],
        },
        enforcement="warn",
    )
    assert found == TrustPolicy(
        ("CLAUDE.md",),
        ("~/x.md",),
        (
            Publisher("me", Keyed("default", _KEY)),
            Publisher("pem", Keyed("x", _KEY)),
            Publisher("ci", Keyless("https://i", "org/*", "*", "refs/tags/*", None)),
        ),
        {"ab" * 32: "bad"},
        (BlockedPublisher("default", None, "lost"),),
        Enforcement.WARN,
    )


def test_a_policy_denies_unless_it_says_otherwise() -> None:
    assert _parsed().enforcement is Enforcement.DENY


def test_the_old_name_of_includes_is_read() -> None:
    assert _parsed(instruction_patterns=["A.md"]).includes == ("A.md",)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"enforcment": "deny"}, "enforcment: no such field"),
        ({"enforcement": "block"}, "enforcement: expected audit, warn or deny"),
        ({"enforcement": None}, "enforcement"),
        ({"includes": ["a", "../b"]}, r"includes\[1\]: the pattern '../b'"),
        ({"includes": ["a"] * 101}, "101 entries, of 100 at most"),
        ({"includes": "a"}, "includes: expected a list"),
        ({"includes": [], "instruction_patterns": []}, "old name"),
        ({"publishers": [{"name": "x"}]}, r"publishers\[0\]: a publisher needs key_id, or issuer"),
        ({"publishers": [{"name": "x", "key_id": "k", "issuer": "i"}]}, "not both"),
        ({"publishers": [{"name": "x", "issuer": "i"}]}, "expected a text"),
        ({"publishers": [{"name": "x", "key_id": "k", "public_key": "e30="}]}, "not a public key"),
        ({"publishers": [{"name": "x", "key_id": "k", "public_key": "e30"}]}, "not base64"),
        ({"publishers": ["x"]}, r"publishers\[0\]: publisher: expected an object"),
        ({"blocklist": []}, "blocklist: expected an object"),
        ({"blocklist": {"digest": []}}, "digest: no such field"),
        ({"blocklist": {"digests": [{"sha256": "ab"}]}}, "64 digits"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        _parsed(**fields)


def test_a_policy_of_another_program_is_told_apart() -> None:
    assert policy.is_trust_policy(json.dumps({"predicate": policy.PREDICATE}).encode())
    assert not policy.is_trust_policy(b'{"Version": "2012-10-17", "Statement": []}')


def test_merging_takes_the_strictest_of_each() -> None:
    user = _parsed(
        includes=["A"],
        publishers=[{"name": "p", "key_id": "mine"}],
        blocklist={"publishers": [{"identity": "i", "repository": "org/a"}]},
        enforcement="deny",
    )
    project = _parsed(
        includes=["A", "B"],
        files=["f"],
        publishers=[{"name": "p", "key_id": "theirs"}, {"name": "q", "key_id": "q"}],
        blocklist={"publishers": [{"identity": "i"}]},
        enforcement="audit",
    )
    both = policy.merged([user, project])
    assert (both.includes, both.files) == (("A", "B"), ("f",))
    assert [each.identity for each in both.publishers] == [Keyed("mine", None), Keyed("q", None)]
    assert [each.repository for each in both.blocked_publishers] == ["org/a", None]
    assert both.enforcement is Enforcement.DENY
    assert policy.merged([project]).enforcement is Enforcement.AUDIT
