"""What `nono audit verify --json` says of the anchors of a log."""

from __future__ import annotations

from nono.outward.verification import Anchored, AnchorVerdict, anchor_document

TRUSTED = Anchored("1.tsr", 4, "2026-01-03T00:30:00Z", "CN=clock", is_trusted=True)
ANYBODYS = TRUSTED._replace(file="2.tsr", records=9, is_trusted=False)


def test_only_a_trusted_anchor_vouches_for_records() -> None:
    document = anchor_document(AnchorVerdict((TRUSTED, ANYBODYS), ()))
    assert (document["verified"], document["trusted_records"], document["problems"]) == (True, 4, [])
    assert document["anchored"] == [TRUSTED._asdict(), ANYBODYS._asdict()]
    of_anybody = anchor_document(AnchorVerdict((ANYBODYS,), ("2.tsr was changed",)))
    told = (of_anybody["verified"], of_anybody["trusted_records"], of_anybody["problems"])
    assert told == (False, 0, ["2.tsr was changed"])
