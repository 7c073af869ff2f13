"""nono.launch.around.editor.lsp: what a language server hears of its editor."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.launch.around.editor.lsp import from_editor


def framed(message: object, head: str = "") -> bytes:
    body = json.dumps(message, separators=(",", ":")).encode()
    return b"%sContent-Length: %d\r\n\r\n%s" % (head.encode(), len(body), body)


def initialize(process: int | None) -> dict[str, object]:
    params: dict[str, object] = {"processId": process, "rootUri": "file:///é", "capabilities": {}}
    return {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}


ASKED, HEARD = framed(initialize(4711)), framed(initialize(None))
LATER = framed({"jsonrpc": "2.0", "method": "$/progress", "params": {"processId": 7}})


@given(cuts=st.lists(st.integers(0, len(ASKED + LATER)), max_size=5))
def test_a_server_hears_all_but_the_number_of_the_process_however_it_comes(cuts: list[int]) -> None:
    said = ASKED + LATER
    places = [0, *sorted(cuts), len(said)]
    pieces = [said[start:end] for start, end in pairwise(places)]
    assert b"".join(from_editor(iter(pieces))) == HEARD + LATER


@pytest.mark.parametrize("head", ["", "Content-Type: application/vscode-jsonrpc; charset=utf-8\r\n"])
def test_a_message_without_the_number_is_what_it_was(head: str) -> None:
    assert b"".join(from_editor(iter([framed(initialize(None), head)]))) == HEARD


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"plain text\n",
        b"Content-Length: x\r\n\r\n{}",
        b"Content-Length: 2\r\n\r\n[]",
        b"Content-Length: 5\r\n\r\n{no}!",
        framed({"jsonrpc": "2.0", "method": "exit", "params": {"processId": 7}}),
        framed({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": None}),
        ASKED[:-1],
    ],
    ids=["nothing", "text", "no length", "a list", "no JSON", "another", "no parameters", "cut short"],
)
def test_what_is_no_such_message_is_passed_on_as_it_is(said: bytes) -> None:
    assert b"".join(from_editor(iter([said, b" and more"]))) == said + b" and more"


def test_a_message_is_not_held_back_once_it_is_whole() -> None:
    passed = from_editor(iter([ASKED, b"later"]))
    assert (next(passed), next(passed)) == (HEARD, b"later")
