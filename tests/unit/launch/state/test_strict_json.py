"""nono.launch.state.strict_json: what is written is read, and nothing that differs from it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Annotated, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.launch.state.strict_json import document_of, value_of
from nono.policy.capability import Access, Denial, Mask
from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from nono.policy.ports import PortRange


class Every(NamedTuple):
    """A value of every kind there is."""

    text: str
    number: int
    flag: bool
    access: Access
    ports: tuple[PortRange, ...]
    pair: tuple[str, int]
    perhaps: str | None
    bounded: Annotated[int, "not negative"] | None
    policy: EndpointPolicy


EVERY = Every(
    "a\udcff",
    3,
    True,
    Access.READ,
    (PortRange(1, 2),),
    ("x", 1),
    None,
    7,
    EndpointPolicy("approve", approve=(EndpointRule("*", "/a/**", timeout_s=1.5),), default_timeout_s=2),
)
DOCUMENT = document_of(EVERY)


def read(document: object) -> Any:
    return value_of(json.loads(json.dumps(document)), Every, {}, "every")


def test_what_is_written_is_read() -> None:
    assert read(DOCUMENT) == EVERY


_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-1, 2)
    | st.floats(allow_nan=False)
    | st.sampled_from(["read", "write", "deny", "", "\udcff"])
)
_parts = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.fixed_dictionaries({"first": inner, "last": inner}, optional={"more": inner})
        | st.tuples(st.sampled_from([*DOCUMENT["policy"]]), inner).map(
            lambda changed: {**DOCUMENT["policy"], changed[0]: changed[1]}
        )
    ),
    max_leaves=5,
)


@given(st.sampled_from([*DOCUMENT]), _parts)
def test_only_what_would_be_written_so_is_read(field: str, value: object) -> None:
    document = {**DOCUMENT, field: value}
    with suppress(ValueError):
        assert json.dumps(document_of(read(document))) == json.dumps(document)


@pytest.mark.parametrize(
    ("field", "value", "place"),
    [
        ("text", 1, "every.text: str is expected, not int"),
        ("number", True, "every.number: int is expected, not bool"),
        ("number", 1.5, "every.number: int is expected, not float"),
        ("flag", 1, "every.flag: bool is expected, not int"),
        ("access", "execute", "every.access: one of read, write, readwrite"),
        ("access", [], "every.access: one of read, write, readwrite"),
        ("ports", {}, "every.ports: an array is expected"),
        ("ports", [[1, 2]], "every.ports[0]: an object is expected, not list"),
        ("ports", [{"first": 1}], "every.ports[0]: missing or unknown: last"),
        ("pair", ["x"], "every.pair: an array of 2 is expected"),
        ("bounded", "7", "every.bounded: int is expected, not str"),
        ("perhaps", 1, "every.perhaps: str is expected, not int"),
        ("policy", {**DOCUMENT["policy"], "more": 1}, "every.policy: missing or unknown: more"),
        ("policy", {**DOCUMENT["policy"], "default": "maybe"}, "every.policy.default: one of allow"),
    ],
)
def test_what_differs_in_one_thing_is_refused_with_its_place(field: str, value: object, place: str) -> None:
    with pytest.raises(ValueError, match="^" + place.replace("[", r"\[").replace("]", r"\]")):
        read({**DOCUMENT, field: value})


def test_a_field_too_many_or_too_few_is_refused() -> None:
    documents: list[object] = [{**DOCUMENT, "more": 1}, {"text": "", "number": 1}, []]
    for document in documents:
        with pytest.raises(ValueError, match="every: "):
            read(document)


def test_a_literal_is_one_of_its_words() -> None:
    grant = {"path": "/", "access": "read", "is_dir": True, "source": "user", "original": "/"}
    mask: dict[str, object] = {"denial": document_of(Denial("/a", "/a", "x")), "names": 1, "grant": grant}
    mask["shown"] = mask["own"] = None
    mask["is_shared"] = False
    assert value_of(mask | {"kind": "link"}, Mask, {}, "mask").kind == "link"
    with pytest.raises(ValueError, match=r"mask\.kind: one of dir, link, file"):
        value_of(mask | {"kind": "pipe"}, Mask, {}, "mask")
