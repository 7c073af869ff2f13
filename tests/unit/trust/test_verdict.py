import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from nono.digests import sha256
from nono.trust import bundle, dsse, predicates, statement, verdict
from nono.trust.dsse import PublicKey
from nono.trust.policy import PREDICATE, BlockedPublisher, Enforcement, TrustPolicy
from nono.trust.statement import Statement, Subject
from nono.trust.verdict import Evidence, Signed, Status, Trust, TrustedKey

TEXT = sha256(b"text").hexdigest()
OTHER = sha256(b"other").hexdigest()


class Signer:
    def __init__(self) -> None:
        self._private = ed25519.Ed25519PrivateKey.generate()
        self.key: PublicKey = dsse.public_key(
            self._private.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )

    def sidecar(
        self,
        name: str = "CLAUDE.md",
        digest: str = TEXT,
        *,
        kind: str = predicates.INSTRUCTION_FILE,
        named: str | None = None,
        payload_type: str = dsse.IN_TOTO,
    ) -> Signed:
        said = Statement((Subject(name, digest),), kind, predicates.keyed(named or self.key.fingerprint))
        envelope = dsse.signed(payload_type, statement.encoded(said), self._private.sign)
        made = bundle.parse(bundle.encoded(envelope, self.key.fingerprint))
        return Signed("CLAUDE.md", made)

    def manifest(self, name: str, digest: str = TEXT, *, asked: str = "a/CLAUDE.md") -> Signed:
        made = self.sidecar(name, digest, kind=predicates.MULTI_FILE)
        return Signed(asked, made.bundle, is_manifest=True)


ME, STRANGER = Signer(), Signer()
TRUST = Trust(TrustPolicy(), (TrustedKey("me", "mine", ME.key),))


def _status(*bundles: Signed, trust: Trust = TRUST) -> Status:
    return verdict.judge(Evidence("a/CLAUDE.md", TEXT, bundles), trust).status


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (ME.sidecar(), Status.VERIFIED),
        (ME.sidecar(named="mine"), Status.VERIFIED),
        (ME.sidecar(named=STRANGER.key.fingerprint), Status.INVALID),
        (ME.sidecar(named="default"), Status.INVALID),
        (ME.sidecar("AGENTS.md"), Status.INVALID),
        (ME.sidecar(kind=PREDICATE), Status.INVALID),
        (ME.sidecar(kind=predicates.MULTI_FILE), Status.INVALID),
        (ME.sidecar(digest=OTHER), Status.CHANGED),
        (ME.sidecar(payload_type="text/plain"), Status.UNTRUSTED),
        (STRANGER.sidecar(), Status.UNTRUSTED),
        (STRANGER.sidecar(named="mine"), Status.UNTRUSTED),
        (Signed("CLAUDE.md", "it is not JSON"), Status.INVALID),
        (ME.manifest("a/CLAUDE.md"), Status.VERIFIED),
        (ME.manifest("a/CLAUDE.md", OTHER), Status.CHANGED),
        (ME.manifest("CLAUDE.md"), Status.UNSIGNED),
        (ME.manifest("../a/CLAUDE.md"), Status.UNSIGNED),
        (STRANGER.manifest("a/CLAUDE.md"), Status.UNTRUSTED),
    ],
)
def test_a_file_is_verified_by_exactly_what_was_signed(found: Signed, status: Status) -> None:
    assert _status(found) is status


def test_a_file_without_a_bundle_is_unsigned() -> None:
    assert _status() is Status.UNSIGNED


def test_a_manifest_above_verifies_what_a_broken_sidecar_does_not() -> None:
    assert _status(Signed("CLAUDE.md", "broken"), ME.manifest("a/CLAUDE.md")) is Status.VERIFIED


@pytest.mark.parametrize(
    ("policy", "is_blocked"),
    [
        (TrustPolicy(blocked_digests={TEXT: "bad"}), True),
        (TrustPolicy(blocked_digests={OTHER: "bad"}), False),
        (TrustPolicy(blocked_publishers=(BlockedPublisher("mine", None, ""),)), True),
        (TrustPolicy(blocked_publishers=(BlockedPublisher(ME.key.fingerprint, None, ""),)), True),
        (TrustPolicy(blocked_publishers=(BlockedPublisher(STRANGER.key.fingerprint, None, ""),)), False),
        (TrustPolicy(blocked_publishers=(BlockedPublisher("mine", "org/repository", ""),)), False),
    ],
)
@pytest.mark.parametrize("found", [ME.sidecar(), ME.manifest("a/CLAUDE.md")], ids=["sidecar", "manifest"])
def test_a_block_counts_for_more_than_a_signature(
    policy: TrustPolicy, is_blocked: bool, found: Signed
) -> None:
    trust = TRUST._replace(policy=policy, approved={"a/CLAUDE.md": TEXT})
    assert (_status(found, trust=trust) is Status.BLOCKED) is is_blocked


def test_a_blocked_signer_counts_for_more_than_another_who_is_trusted() -> None:
    blocked = BlockedPublisher(STRANGER.key.fingerprint, None, "")
    trust = TRUST._replace(policy=TrustPolicy(blocked_publishers=(blocked,)))
    manifest = STRANGER.manifest("a/CLAUDE.md")
    assert _status(ME.sidecar(), manifest) is Status.VERIFIED
    assert _status(ME.sidecar(), manifest, trust=trust) is Status.BLOCKED


def test_a_blocked_signer_is_refused_under_every_enforcement() -> None:
    policy = TrustPolicy(blocked_publishers=(BlockedPublisher("mine", None, "lost its key"),))
    found = verdict.judge(Evidence("CLAUDE.md", TEXT, (ME.sidecar(),)), TRUST._replace(policy=policy))
    assert all(found.is_refused(each) for each in Enforcement)
    assert "lost its key" in found.reason


def test_what_is_not_trusted_is_refused_under_deny_only() -> None:
    found = verdict.judge(Evidence("CLAUDE.md", TEXT), TRUST)
    assert [each for each in Enforcement if found.is_refused(each)] == [Enforcement.DENY]


@pytest.mark.parametrize(
    ("approved", "status"),
    [
        ({"a/CLAUDE.md": TEXT}, Status.APPROVED),
        ({"a/CLAUDE.md": OTHER}, Status.CHANGED),
        ({"CLAUDE.md": TEXT}, Status.UNSIGNED),
    ],
)
def test_an_approval_is_of_one_content_at_one_path(approved: dict[str, str], status: Status) -> None:
    assert _status(trust=TRUST._replace(approved=approved)) is status


def test_an_approval_outlives_a_signature_that_does_not_count() -> None:
    trust = TRUST._replace(approved={"a/CLAUDE.md": TEXT})
    assert _status(STRANGER.sidecar(), trust=trust) is Status.APPROVED


def test_a_lost_signature_is_named() -> None:
    trust = TRUST._replace(signed=frozenset({"a/CLAUDE.md"}))
    found = verdict.judge(Evidence("a/CLAUDE.md", TEXT), trust)
    assert found.reason == "it was signed, and its signature is gone"
