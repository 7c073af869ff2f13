from base64 import b64decode, b64encode
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from nono.trust import dsse
from nono.trust.dsse import IN_TOTO, Envelope, PublicKey, Sign, Signature


def _ecdsa() -> tuple[Sign, PublicKey]:
    private = ec.generate_private_key(ec.SECP256R1())
    return lambda message: private.sign(message, ec.ECDSA(hashes.SHA256())), _public(private.public_key())


def _ed25519() -> tuple[Sign, PublicKey]:
    private = ed25519.Ed25519PrivateKey.generate()
    return private.sign, _public(private.public_key())


def _public(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey) -> PublicKey:
    return dsse.public_key(
        key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


# The example of DSSE's protocol.md, whose signature is the two numbers rather than DER.
_X = 46950820868899156662930047687818585632848591499744589407958293238635476079160
_Y = 5640078356564379163099075877009565129882514886557779369047442380624545832820
_SIGNATURE = b64decode(
    "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="
)
_TYPE = "http://example.com/HelloWorld"


def test_the_published_example_is_encoded_as_published() -> None:
    said = dsse.pre_authentication_encoding(_TYPE, b"hello world")
    assert said == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_the_published_example_verifies() -> None:
    key = _public(ec.EllipticCurvePublicNumbers(_X, _Y, ec.SECP256R1()).public_key())
    der = encode_dss_signature(int.from_bytes(_SIGNATURE[:32]), int.from_bytes(_SIGNATURE[32:]))
    envelope = Envelope(_TYPE, b"hello world", (Signature("", der),))
    assert dsse.signers(envelope, _TYPE, [key]) == {key}


@pytest.mark.parametrize("made", [_ecdsa, _ed25519], ids=["ECDSA P-256", "Ed25519"])
def test_only_the_key_that_signed_is_named(made: Callable[[], tuple[Sign, PublicKey]]) -> None:
    (sign, key), (_, other) = made(), made()
    envelope = dsse.signed(IN_TOTO, b"{}", sign, other.fingerprint)
    assert dsse.signers(envelope, IN_TOTO, [key, other]) == {key}


@pytest.mark.parametrize(
    ("changed", "asked"),
    [
        ({"payload": b"{ }"}, IN_TOTO),
        ({"payload_type": "text/plain"}, "text/plain"),
        ({"payload_type": "text/plain"}, IN_TOTO),
        ({}, "text/plain"),
        ({"signatures": (Signature("", b""),)}, IN_TOTO),
        ({"signatures": (Signature("", b"\x30\x06\x02\x01\x01\x02\x01\x01"),)}, IN_TOTO),
    ],
    ids=["payload", "type", "type in the envelope", "type that is asked for", "no signature", "another"],
)
def test_an_envelope_changed_in_one_part_has_no_signer(changed: dict[str, object], asked: str) -> None:
    sign, key = _ecdsa()
    envelope = dsse.signed(IN_TOTO, b"{}", sign)
    assert dsse.signers(envelope, IN_TOTO, [key]) == {key}
    assert dsse.signers(envelope._replace(**changed), asked, [key]) == frozenset()  # type: ignore[arg-type]  # a table


def test_a_second_signature_does_not_hide_the_first() -> None:
    (sign, key), (other_sign, other) = _ecdsa(), _ed25519()
    first, second = dsse.signed(IN_TOTO, b"{}", sign), dsse.signed(IN_TOTO, b"{}", other_sign)
    both = first._replace(signatures=second.signatures + first.signatures)
    assert dsse.signers(both, IN_TOTO, [key]) == {key}
    assert dsse.signers(both, IN_TOTO, [key, other, key]) == {key, other}


def test_an_envelope_survives_its_json() -> None:
    envelope = dsse.signed(IN_TOTO, b"\x00\xff", _ecdsa()[0], "k")
    assert dsse.from_json(dsse.to_json(envelope)) == envelope


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"payload": "e30"}, "payload is not base64"),
        ({"payload": "e30=\n"}, "payload is not base64"),
        ({"payloadType": 1}, "needs payload"),
        ({"signatures": []}, "1 to 16 signatures"),
        ({"signatures": [{"sig": "e30="}] * 17}, "1 to 16 signatures"),
        ({"signatures": [{"keyid": ""}]}, "needs sig"),
        ({"signatures": [{"sig": "e30=", "keyid": 1}]}, "keyid"),
    ],
)
def test_a_malformed_envelope_is_refused(change: dict[str, object], says: str) -> None:
    fields = {"payload": "e30=", "payloadType": IN_TOTO, "signatures": [{"sig": "e30="}]}
    dsse.from_json(fields)
    with pytest.raises(ValueError, match=says):
        dsse.from_json({**fields, **change})


def test_one_key_has_one_fingerprint_however_its_point_is_written() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    key = _public(private.public_key())
    assert dsse.public_key(key.pem) == key
    compressed = private.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
    )
    head = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    assert dsse.public_key(head + compressed) == key


def test_keys_of_other_kinds_are_refused() -> None:
    for other in (rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP384R1())):
        with pytest.raises(ValueError, match="not a public key of ECDSA P-256 or Ed25519"):
            _public(other.public_key())


@pytest.mark.parametrize(
    "change",
    [
        lambda der: b"",
        lambda der: der[:-1],
        lambda der: der + b"\0",
        lambda der: der[:-1] + bytes([der[-1] ^ 1]),  # a point that is not on the curve
        lambda der: der.replace(b"\3\x42\0\4", b"\3\x42\0\6"),  # the hybrid form of a point
        lambda der: b"-----BEGIN PUBLIC KEY-----\n",
        lambda der: b"-----BEGIN RSA PUBLIC KEY-----\n" + b64encode(der) + b"\n-----END RSA PUBLIC KEY-----",
        lambda der: b64encode(der),
    ],
)
def test_a_malformed_key_is_refused(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ValueError, match=r"."):
        dsse.public_key(change(_ecdsa()[1].der))


def test_a_key_in_pem_is_as_openssl_writes_it() -> None:
    _, key = _ecdsa()
    pem = serialization.load_der_public_key(key.der).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert key.pem == pem
