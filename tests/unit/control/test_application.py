"""What somebody sends to the control interface has one meaning, or is refused."""

from __future__ import annotations

from collections.abc import Mapping
from unittest.mock import AsyncMock, Mock

import anyio
import pytest
from aiohttp import web

from nono.control.application import _document


def document(body: bytes) -> Mapping[str, object]:
    return anyio.run(_document, Mock(read=AsyncMock(return_value=body)))


def test_an_answer_is_an_object_that_has_each_name_once() -> None:
    assert document(b'{"answer": "allow"}') == {"answer": "allow"}


@pytest.mark.parametrize(
    "body", [b'{"answer": "deny", "answer": "allow"}', b'["allow"]', b"{", b"", b"\xff", b"[" * 60000]
)
def test_anything_else_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(web.HTTPBadRequest) as refused:
        document(body)
    assert (refused.value.text or "").startswith("the body is not")
