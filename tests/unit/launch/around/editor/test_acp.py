"""nono.launch.around.editor.acp: what an agent may say to the editor that started it, and what it hears."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.launch.around.editor.acp import (
    DONE_OUTSIDE,
    FOR_EDITORS,
    METHOD_NOT_FOUND,
    PARTS_MAX,
    Passed,
    Withheld,
    from_agent,
    from_editor,
)


def line(**message: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"


def passed(raw: bytes) -> Any:
    verdict = from_agent(raw)
    assert isinstance(verdict, Passed), verdict
    assert verdict.line.endswith(b"\n")
    assert verdict.line.count(b"\n") == 1
    return json.loads(verdict.line)


def withheld(raw: bytes) -> Withheld:
    verdict = from_agent(raw)
    assert isinstance(verdict, Withheld), verdict
    return verdict


OFFER = {"fs": {"readTextFile": True, "writeTextFile": True}, "terminal": True, "auth": {"terminal": True}}


def test_what_an_editor_offers_to_do_outside_is_not_offered_to_the_agent() -> None:
    offer = {**OFFER, "session": {"configOptions": {}}}
    asked = line(id=0, method="initialize", params={"protocolVersion": 1, "clientCapabilities": offer})
    heard = json.loads(from_editor(asked))
    assert heard["params"] == {
        "protocolVersion": 1,
        "clientCapabilities": {
            "fs": {"readTextFile": False, "writeTextFile": False},
            "terminal": False,
            "session": {"configOptions": {}},
        },
    }
    assert (heard["id"], heard["method"]) == (0, "initialize")


def test_whatever_else_an_editor_says_arrives_as_it_was_said() -> None:
    for said in (line(id=1, method="session/prompt", params={"x": OFFER}), b'{"odd" :1}\n', b"no message\n"):
        assert from_editor(said) == said


@pytest.mark.parametrize("method", sorted(DONE_OUTSIDE))
def test_what_an_editor_would_do_outside_is_answered_as_by_one_that_cannot(method: str) -> None:
    verdict = withheld(line(id="a", method=method, params={"command": "id"}))
    assert method in verdict.reason
    assert verdict.answer is not None
    answer = json.loads(verdict.answer)
    assert (answer["id"], answer["error"]["code"]) == ("a", METHOD_NOT_FOUND)


@pytest.mark.parametrize("method", sorted(FOR_EDITORS))
def test_what_concerns_the_conversation_passes(method: str) -> None:
    message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": {"sessionId": "s"}}
    assert passed(line(**message)) == message


def test_an_extension_is_withheld_whatever_it_may_mean() -> None:
    assert withheld(line(id=1, method="_editor/run", params={})).answer is not None
    assert withheld(line(method="_editor/run", params={})).answer is None  # a notification


@pytest.mark.parametrize("method", [None, 1, ["session/update"], {}, "Session/update", "session/update "])
def test_a_method_of_another_spelling_is_withheld(method: object) -> None:
    withheld(line(id=1, method=method))


def test_a_member_that_stands_twice_is_what_was_judged() -> None:
    twice = b'{"method":"terminal/create","id":1,"method":"session/update"}\n'
    assert passed(twice) == {"method": "session/update", "id": 1}
    withheld(b'{"method":"session/update","id":1,"method":"terminal/create"}\n')
    withheld(b'{"method":"terminal\\u002fcreate","id":1}\n')


@pytest.mark.parametrize("name", ["Method", "METHOD", "mETHOD", "params2", "error "])
def test_a_member_that_the_protocol_does_not_have_does_not_pass(name: str) -> None:
    # Parsers in Go, and some in C# and Java, take "Method" for "method".
    said = {"jsonrpc": "2.0", "id": 1, "method": "session/update", "params": {"Method": 1}}
    assert passed(line(**said, **{name: "terminal/create"})) == said
    assert passed(line(id=1, **{name: "terminal/create"})) == {"jsonrpc": "2.0", "id": 1}


@pytest.mark.parametrize(
    ("list_name", "type_name", "meta_name"),
    [
        ("AuthMethods", "type", "terminal-auth"),
        ("authmethods", "Type", "Terminal-Auth"),
        ("authMethod\u017f", "TYPE", "TERMINAL-AUTH"),
    ],
)
def test_no_other_case_of_a_name_keeps_a_command_to_log_in_by(
    list_name: str, type_name: str, meta_name: str
) -> None:
    ways = [{"id": "a", "_meta": {meta_name: {"command": "sh"}}}, {"id": "b", type_name: "terminal"}]
    mixed = {"id": "c", "type": "agent", type_name.upper(): "terminal"}
    found = passed(line(id=1, result={list_name: [*ways, mixed]}))["result"]
    assert found == {list_name: [{"id": "a", "_meta": {}}]}


def test_a_message_of_too_many_parts_is_withheld_unparsed() -> None:
    # Of 64 MB, empty lists would take gigabytes, beyond any limit that the agent has.
    assert "parts" in withheld(b'{"id":1,"result":[' + b"[]," * PARTS_MAX + b"0]}\n").reason
    assert passed(line(id=1, result="," * (PARTS_MAX // 2) + "a" * 2 * PARTS_MAX))["id"] == 1


def test_an_answer_passes_without_the_commands_that_would_log_in() -> None:
    ways = [
        {"id": "key", "name": "API key", "_meta": {"terminal-auth": {"command": "sh"}, "kept": 1}},
        {"id": "shell", "type": "terminal", "args": ["x"], "env": {"LD_PRELOAD": "x"}},
    ]
    kept = [{"id": "key", "name": "API key", "_meta": {"kept": 1}}]
    assert passed(line(id=1, result={"authMethods": ways}))["result"] == {"authMethods": kept}
    failed = passed(line(id=1, error={"code": -32000, "data": {"authMethods": ways}}))
    assert failed["error"] == {"code": -32000, "data": {"authMethods": kept}}


@pytest.mark.parametrize(
    "raw",
    [
        b"\n",
        b"hello\n",
        b"[]\n",
        b'[{"method":"session/update"}]\n',
        b'{"a":NaN}\n',
        b'{"a":1e999}\n',
        b'{"result":1e999}\n',
        b'{"a":"\xff"}\n',
        b'{"a":' + b"9" * 5000 + b"}\n",
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
        b'{"a":' + b"[" * 900 + b"1e999" + b"]" * 900 + b"}\n",
    ],
    ids=[
        *(
            "nothing",
            "text",
            "batch",
            "full batch",
            "nan",
            "infinite",
            "infinite result",
            "octets",
            "digits",
            "depth",
            "both",
        )
    ],
)
def test_a_line_that_is_no_message_is_withheld(raw: bytes) -> None:
    assert withheld(raw).answer is None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(sorted(DONE_OUTSIDE)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["method", "id"]), inner),
    max_leaves=8,
)


@given(JSON)
def test_no_line_that_passes_asks_for_what_is_done_outside(value: object) -> None:
    verdict = from_agent(json.dumps(value).encode())
    if isinstance(verdict, Passed):
        message = json.loads(verdict.line)
        assert "method" not in message or message["method"] in FOR_EDITORS


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        (sorted(DONE_OUTSIDE)[0], "which it would do outside"),
        ("_made/up", "an extension of the protocol"),
        (5, "an extension of the protocol"),
    ],
)
def test_the_person_is_told_what_was_withheld(method: object, reason: str) -> None:
    assert reason in withheld(line(id=1, method=method)).reason
