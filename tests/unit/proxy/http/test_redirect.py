"""nono.proxy.http.redirect: where a client of a reverse route is sent."""

from __future__ import annotations

import pytest

from nono.policy.hosts.upstream import Upstream
from nono.proxy.http.redirect import led_back

AT_ROOT = Upstream("https", "api.test", 443)
BELOW = Upstream("https", "api.test", 443, "/v1")
LOCAL = Upstream("http", "localhost", 4000, "/v1")
SIX = Upstream("http", "::1", 80)


@pytest.mark.parametrize(
    ("origin", "location", "led"),
    [
        (AT_ROOT, "https://api.test/items/1?q#f", "/shop/items/1?q#f"),
        (AT_ROOT, "HTTPS://API.test/items", "/shop/items"),
        (AT_ROOT, "https://api.test", "/shop/"),
        (AT_ROOT, "https://API.test:443/items", "/shop/items"),
        (AT_ROOT, "//api.test:443", "/shop/"),
        (AT_ROOT, "/items?next=/../a", "/shop/items?next=/../a"),
        (AT_ROOT, "/items/...", "/shop/items/..."),
        (AT_ROOT, "//api.test/items", "/shop/items"),
        (AT_ROOT, "/items", "/shop/items"),
        (BELOW, "/v1/models", "/shop/models"),
        (BELOW, "/v1?page=2", "/shop?page=2"),
        (LOCAL, "http://localhost:4000/v1/models", "/shop/models"),
        (SIX, "http://[::1]:80/items", "/shop/items"),
        (SIX, "http://[::1]/items", "/shop/items"),
    ],
)
def test_a_place_of_the_route_is_reached_by_the_route(origin: Upstream, location: str, led: str) -> None:
    fields = [(b"X-A", b"/items"), (b"location", location.encode())]
    assert led_back(fields, origin, "shop") == [fields[0], (b"location", led.encode())]


@pytest.mark.parametrize(
    ("origin", "location"),
    [
        (AT_ROOT, "https://api.test:8443/items"),
        (AT_ROOT, "https://api.test:4433/items"),
        (AT_ROOT, "http://api.test:443/items"),
        (AT_ROOT, "https://me:pw@api.test/items"),
        (AT_ROOT, "https://api.test.evil.test/items"),
        (AT_ROOT, "https://api.test@evil.test/items"),
        (AT_ROOT, "http://api.test/items"),
        (AT_ROOT, "https://cdn.test/items"),
        (AT_ROOT, "//cdn.test/items"),
        (AT_ROOT, "items"),
        (AT_ROOT, "?page=2"),
        (AT_ROOT, ""),
        (LOCAL, "http://localhost:40001/v1/models"),
        (LOCAL, "http://localhost/v1/models"),
    ],
)
def test_a_place_elsewhere_stays(origin: Upstream, location: str) -> None:
    assert led_back([(b"Location", location.encode())], origin, "shop") == [(b"Location", location.encode())]


@pytest.mark.parametrize(
    "location",
    ["/v2/items", "/v10", "https://api.test/v2/items", "/v1/../v2", "/v1/a/%2E%2e?q", "/v1/.#f", "/v1/.."],
)
def test_a_place_that_the_route_leaves_out_is_named_at_the_upstream(location: str) -> None:
    [(_, led)] = led_back([(b"Location", location.encode())], BELOW, "shop")
    assert led == b"https://api.test" + location.encode().removeprefix(b"https://api.test")


def test_fields_without_a_location_are_left_as_they_are() -> None:
    fields = ((b"Content-Location", b"/items"),)
    assert led_back(fields, AT_ROOT, "shop") is fields
