import json

import pytest

from nono.trust import statement
from nono.trust.statement import Statement, Subject

_SAID = Statement((Subject("CLAUDE.md", "ab" * 32),), "https://example.com/p/v1", {"version": 1})


def test_a_statement_survives_its_encoding() -> None:
    assert statement.parse(statement.encoded(_SAID)) == _SAID


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"_type": "https://in-toto.io/Statement/v0.1"}, "is of type"),
        ({"predicateType": None}, "needs _type"),
        ({"predicate": []}, "needs _type"),
        ({"subject": []}, "1 to 1000 subjects, not 0"),
        ({"subject": [{"name": "", "digest": {"sha256": "ab" * 32}}]}, "needs a name"),
        ({"subject": [{"name": "a", "digest": {"sha512": "ab" * 32}}]}, "sha256"),
        ({"subject": [{"name": "a", "digest": {"sha256": "AB" * 32}}]}, "lower-case"),
        ({"subject": [{"name": "a", "digest": {"sha256": "ab" * 32}}] * 2}, "twice"),
    ],
)
def test_a_malformed_statement_is_refused(change: dict[str, object], says: str) -> None:
    fields = json.loads(statement.encoded(_SAID))
    with pytest.raises(ValueError, match=says):
        statement.parse(json.dumps({**fields, **change}).encode())


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"[]", "not a JSON object"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"predicate": {"version": NaN}}', "NaN is not a number"),
        (b'{"_type": "a", "_type": "b"}', "a name stands twice"),
        (b'{"predicate": {"a": 1, "a": 2}}', "a name stands twice"),
    ],
)
def test_json_that_readers_may_take_differently_is_refused(payload: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        statement.parse(payload)
