"""nono.disk.root_places: what OpenSSL says, asked without ssl."""

from __future__ import annotations

import ssl

from nono.disk import root_places


def test_the_places_are_those_that_ssl_names() -> None:
    assert tuple(root_places.of_openssl()) == ssl.get_default_verify_paths()[2:]
