"""Parameters that some servers take for the method are found, and others are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.policy.endpoints.overrides import overriding_parameter


@pytest.mark.parametrize(
    "query",
    [
        "_method=DELETE",
        "a=b&_method=delete",
        "a;_method=x",
        "_METHOD",
        "%5Fmethod=DELETE",
        "_meth%6Fd=DELETE",
        "+_method=DELETE",
        "%20_method=DELETE",
        ".method=DELETE",
        "[method=DELETE",
        "_method%00x=DELETE",
        "_method[]=DELETE",
        "_HttpMethod=PATCH",
        "X-HTTP-Method-Override=PUT",
        "x_http_method=PUT",
        "$httpMethod=DELETE",
        "%24httpHeaders=X-HTTP-Method-Override%3ADELETE",
        "method=DELETE",
        "method=%44ELETE",
    ],
)
def test_a_parameter_that_may_be_taken_for_the_method_is_named(query: str) -> None:
    found = overriding_parameter(query)
    assert found is not None
    assert found.startswith("the query parameter ")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "a=b",
        "method=flickr.photos.search",
        "payment_method=card",
        "a=_method",
        "a=b%26_method=DELETE",
        "__method=x",
    ],
)
def test_any_other_parameter_passes(query: str) -> None:
    assert overriding_parameter(query) is None


@given(st.text("_method=&;%5F+[].", max_size=40))
def test_any_query_is_read(query: str) -> None:
    overriding_parameter(query)
