"""nono.sessions.query: which session a person means."""

from __future__ import annotations

import pytest

from nono.errors import NonoError
from nono.sessions.query import find
from unit.sessions.test_record import RECORD

NEWEST = RECORD._replace(session_id="aabb", name="web")
OLDER = RECORD._replace(session_id="aabbcc", name="web", status="exited")
OLDEST = RECORD._replace(session_id="ff00", name="aabb", status="exited")
ALL = (NEWEST, OLDER, OLDEST)


@pytest.mark.parametrize(
    ("query", "session_id"),
    [
        pytest.param("aabbcc", "aabbcc", id="an id"),
        pytest.param("aabb", "aabb", id="an id that another begins with, and a name"),
        pytest.param("ff", "ff00", id="the beginning of an id"),
        pytest.param("latest", "aabb", id="latest"),
        pytest.param("web", "aabb", id="a name of which one session runs"),
    ],
)
def test_a_query_finds_one_session(query: str, session_id: str) -> None:
    assert find(query, ALL).session_id == session_id


@pytest.mark.parametrize("query", ["", "x", "WEB", "latest"])
def test_a_query_for_none_is_an_error(query: str) -> None:
    with pytest.raises(NonoError, match=f"^Session not found: {query}$"):
        find(query, ALL if query != "latest" else ())


@pytest.mark.parametrize("query", ["a", "web"])
def test_a_query_for_several_asks_for_the_id(query: str) -> None:
    both = (NEWEST._replace(status="exited"), OLDER)
    with pytest.raises(
        NonoError, match=rf"Ambiguous query '{query}': matches 2 sessions\. Use the session ID"
    ):
        find(query, both)


def test_the_ids_of_several_are_named_the_newest_first() -> None:
    with pytest.raises(NonoError) as refused:
        find("web", (NEWEST, OLDER._replace(status="running")))
    assert refused.value.hint == "the newest of them: aabb, aabbcc"


@pytest.mark.parametrize(
    ("of_the_name", "of_the_id", "is_found"),
    [
        pytest.param("running", "exited", True, id="the name runs"),
        pytest.param("running", "running", False, id="both run"),
        pytest.param("exited", "running", False, id="the id runs"),
        pytest.param("exited", "exited", False, id="both have ended"),
    ],
)
def test_a_name_that_begins_the_id_of_another_is_found_only_if_it_alone_runs(
    of_the_name: str, of_the_id: str, is_found: bool
) -> None:
    named = RECORD._replace(session_id="bb00", name="a", status=of_the_name)
    both = (NEWEST._replace(status=of_the_id), named)
    if is_found:
        assert find("a", both) == named
        return
    with pytest.raises(NonoError, match="Ambiguous query 'a': matches 2 sessions") as refused:
        find("a", both)
    assert refused.value.hint == "the newest of them: aabb, bb00"


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        pytest.param("lastest", "did you mean 'latest'?", id="latest"),
        pytest.param("wbe", "did you mean 'web'?", id="a name"),
        pytest.param("ffff", "nono ps --all lists the sessions", id="nothing like it"),
    ],
)
def test_a_session_that_was_mistyped_is_offered(query: str, hint: str) -> None:
    with pytest.raises(NonoError) as refused:
        find(query, ALL)
    assert refused.value.hint == hint
    with pytest.raises(NonoError) as none:
        find(query, ())
    assert none.value.hint == "nono ps --all lists the sessions"
