import json

import pytest

from nono.trust import bundle, dsse

_ENVELOPE = dsse.signed(dsse.IN_TOTO, b"{}", lambda message: b"signed")


def test_a_bundle_survives_its_encoding() -> None:
    text = bundle.encoded(_ENVELOPE, "ab" * 32)
    assert bundle.parse(text) == bundle.Bundle(_ENVELOPE, "ab" * 32, text)


def test_a_bundle_with_a_certificate_has_no_hint() -> None:
    fields = json.loads(bundle.encoded(_ENVELOPE, "k"))
    fields["verificationMaterial"] = {"certificate": {"rawBytes": "e30="}, "tlogEntries": []}
    assert bundle.parse(json.dumps(fields).encode()).hint is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.2"}, "is of type"),
        ({"dsseEnvelope": None}, "needs mediaType"),
        ({"verificationMaterial": {}}, "neither by which key"),
        ({"verificationMaterial": {"publicKey": {"hint": 1}}}, "neither by which key"),
        (
            {"dsseEnvelope": {**dsse.to_json(_ENVELOPE), "signatures": [{"sig": "e30="}, {"sig": "e30="}]}},
            "one signature, not 2",
        ),
    ],
)
def test_a_malformed_bundle_is_refused(change: dict[str, object], says: str) -> None:
    fields = json.loads(bundle.encoded(_ENVELOPE, "k"))
    with pytest.raises(ValueError, match=says):
        bundle.parse(json.dumps({**fields, **change}).encode())


def test_a_bundle_beyond_its_limit_is_refused() -> None:
    text = bundle.encoded(_ENVELOPE, "k")
    assert bundle.parse(text.ljust(bundle.BUNDLE_BYTES_MAX))
    with pytest.raises(ValueError, match="larger than"):
        bundle.parse(text.ljust(bundle.BUNDLE_BYTES_MAX + 1))
