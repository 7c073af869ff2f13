"""Every test that asks for `caller` is run twice: as root, where the suite is, and as an ordinary user."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from support.kernelsim.caller import Caller
from support.ordinary_user import ordinary_user


@pytest.fixture(params=["root", "ordinary"])
def caller(request: pytest.FixtureRequest) -> Iterator[Caller]:
    if request.param == "root":
        if os.geteuid() != 0:
            pytest.skip("the suite is not run by root")
        yield Caller(None)
    else:
        with ordinary_user() as user:
            yield Caller(user)
