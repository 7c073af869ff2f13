import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nono.digests import sha256
from nono.trust import bundle, predicates, verdict
from nono.trust.claims import Claims
from nono.trust.disk import keyless
from nono.trust.disk.evidence import Verify, evidence_of
from nono.trust.policy import BlockedPublisher, Keyless, Publisher, TrustPolicy
from nono.trust.statement import Statement, Subject
from nono.trust.verdict import Status, Trust
from support.credentials.sigstore_instance import WORKFLOW, Instance

TEXT = b"be good"
SUBJECT = Subject("CLAUDE.md", sha256(TEXT).hexdigest())
SAID = Statement((SUBJECT,), predicates.INSTRUCTION_FILE, predicates.keyless())
RELEASE = Keyless(WORKFLOW["8"], "org/*", ".github/workflows/sign.yml", "refs/tags/*", None)
POLICY = TrustPolicy(publishers=(Publisher("releases", RELEASE),))


@pytest.fixture(scope="module")
def instance() -> Instance:
    return Instance()


@pytest.fixture
def environ(instance: Instance, tmp_path: Path) -> Mapping[str, str]:
    file = tmp_path / ".config/nono" / keyless.TRUSTED_ROOT
    file.parent.mkdir(parents=True)
    file.write_text(instance.trusted_root())
    return {"HOME": str(tmp_path)}


def _verify(environ: Mapping[str, str]) -> Verify:
    found = keyless.verifier(POLICY, environ)
    assert found is not None
    return found


def test_the_claims_of_a_workflow_are_read(instance: Instance, environ: Mapping[str, str]) -> None:
    claims = _verify(environ)(bundle.parse(instance.bundle(SAID)))
    assert claims == Claims(
        WORKFLOW["8"], "org/repo", ".github/workflows/sign.yml", "refs/tags/v1", WORKFLOW["9"]
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda made: made["verificationMaterial"].update(tlogEntries=[]),
        lambda made: made["verificationMaterial"]["tlogEntries"][0]["inclusionProof"].update(treeSize="2"),
        lambda made: made["verificationMaterial"]["tlogEntries"][0].update(integratedTime="1"),
        lambda made: made["dsseEnvelope"].update(payload="e30="),
        lambda made: made["dsseEnvelope"]["signatures"][0].update(sig="e30="),
    ],
    ids=["no entry", "proof", "time", "payload", "signature"],
)
def test_a_bundle_changed_in_one_part_has_no_claims(
    change: Callable[[Any], None], instance: Instance, environ: Mapping[str, str]
) -> None:
    made = json.loads(instance.bundle(SAID))
    change(made)
    with pytest.raises(ValueError, match="its certificate does not verify"):
        _verify(environ)(bundle.parse(json.dumps(made).encode()))


def test_a_certificate_that_the_library_chokes_on_has_no_claims(
    instance: Instance, environ: Mapping[str, str]
) -> None:
    """It raises more than it documents, and a repository brings any bytes as a bundle."""
    made = json.loads(instance.bundle(SAID))
    certificate = made["verificationMaterial"]["certificate"]
    raw = b64decode(certificate["rawBytes"])
    version = bytes.fromhex("a003020102")  # [0] INTEGER 2: v3 (RFC 5280 section 4.1)
    assert version in raw
    certificate["rawBytes"] = b64encode(raw.replace(version, bytes.fromhex("a003020174"), 1)).decode()
    with pytest.raises(ValueError, match="its certificate does not verify: InvalidVersion"):
        _verify(environ)(bundle.parse(json.dumps(made).encode()))


@pytest.mark.parametrize(
    "other",
    [
        lambda own: Instance(),
        lambda own: replace(own, authority=Instance().authority),
        lambda own: replace(own, ct=Instance().ct),
        lambda own: replace(own, rekor=Instance().rekor),
        lambda own: replace(own, now=own.now - timedelta(days=2)),
    ],
    ids=["instance", "authority", "log of certificates", "log of signatures", "before its time"],
)
def test_what_another_instance_witnesses_has_no_claims(
    other: Callable[[Instance], Instance], instance: Instance, environ: Mapping[str, str]
) -> None:
    with pytest.raises(ValueError, match="its certificate does not verify"):
        _verify(environ)(bundle.parse(other(instance).bundle(SAID)))


@pytest.mark.parametrize(
    ("publisher", "blocked", "status"),
    [
        (RELEASE, None, Status.VERIFIED),
        (RELEASE._replace(issuer="https://accounts.example.com"), None, Status.UNTRUSTED),
        (RELEASE._replace(repository="org/other"), None, Status.UNTRUSTED),
        (RELEASE._replace(ref_pattern="refs/heads/*"), None, Status.UNTRUSTED),
        (RELEASE._replace(workflow="*/test.yml"), None, Status.UNTRUSTED),
        (RELEASE._replace(workflow="x", build_signer_uri=WORKFLOW["9"]), None, Status.VERIFIED),
        (RELEASE._replace(build_signer_uri="https://other"), None, Status.UNTRUSTED),
        (RELEASE, BlockedPublisher(WORKFLOW["8"], None, ""), Status.BLOCKED),
        (RELEASE, BlockedPublisher(WORKFLOW["8"], "org/repo", ""), Status.BLOCKED),
        (RELEASE, BlockedPublisher(WORKFLOW["8"], "org/other", ""), Status.VERIFIED),
    ],
)
def test_a_publisher_is_known_by_the_claims_of_the_certificate(
    publisher: Keyless,
    blocked: BlockedPublisher | None,
    status: Status,
    instance: Instance,
    environ: Mapping[str, str],
    tmp_path: Path,
) -> None:
    (tmp_path / "CLAUDE.md.bundle").write_bytes(instance.bundle(SAID))
    policy = TrustPolicy(
        publishers=(Publisher("releases", publisher),), blocked_publishers=(blocked,) if blocked else ()
    )
    evidence = evidence_of(str(tmp_path), "CLAUDE.md", TEXT, verify=_verify(environ))
    assert verdict.judge(evidence, Trust(policy, ())).status is status


def test_a_missing_claim_matches_no_pattern(
    instance: Instance, environ: Mapping[str, str], tmp_path: Path
) -> None:
    claims = {number: text for number, text in WORKFLOW.items() if number != "14"}
    (tmp_path / "CLAUDE.md.bundle").write_bytes(instance.bundle(SAID, claims))
    policy = TrustPolicy(publishers=(Publisher("releases", RELEASE._replace(ref_pattern="*")),))
    evidence = evidence_of(str(tmp_path), "CLAUDE.md", TEXT, verify=_verify(environ))
    assert verdict.judge(evidence, Trust(policy, ())).status is Status.UNTRUSTED


def test_the_roots_of_the_library_know_no_other_instance(instance: Instance, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="its certificate does not verify"):
        _verify({"HOME": str(tmp_path)})(bundle.parse(instance.bundle(SAID)))
    assert [*tmp_path.iterdir()] == []  # nothing of it is kept in the home directory


def test_nothing_is_verified_where_nobody_is_trusted_without_a_key(environ: Mapping[str, str]) -> None:
    assert keyless.verifier(TrustPolicy(), environ) is None
