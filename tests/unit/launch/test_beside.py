"""nono.launch.beside: when what a person asked for beside a run is done."""

from __future__ import annotations

from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nono.launch.beside import Beside, Wishes
from nono.launch.record import proof
from nono.launch.session import Proving


def test_the_key_that_signs_is_read_by_no_process_that_is_forked_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """begin() forks, and the maker of the CA is forked between it and keep()."""
    read: list[str] = []

    def with_signer(evidence: proof.Evidence, *_: object) -> proof.Evidence:
        read.append("key")
        return evidence

    monkeypatch.setattr(proof, "with_signer", with_signer)
    capabilities = SimpleNamespace(grants=(), workdir="/work")
    prepared = cast(Any, SimpleNamespace(capabilities=capabilities, program=None))
    session = cast(Any, SimpleNamespace(environ={}, warn=read.append, log=None))
    beside = Beside(Wishes(Proving(sign_key="mine")), prepared, {})
    with ExitStack() as stack:
        beside.begin(stack, session)
        assert read == []
        beside.keep(stack, session, prepared, cast(Any, None), (), "")
    assert read == ["key"]
