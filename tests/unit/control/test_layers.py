"""nono.control.layers: what is said of a rule that a run cannot take."""

from __future__ import annotations

import pytest

from nono.control.layers import NoFiles
from nono.policy.capability import Access, CapabilitySet, NetworkMode, Scopes, Wsl2ProxyPolicy
from nono.policy.live.rule import Wanted


@pytest.mark.parametrize(
    ("access", "options"),
    [
        (Access.READ, "--read-file /srv/a (--read for a directory)"),
        (Access.READWRITE, "--allow-file /srv/a (--allow for a directory)"),
    ],
)
def test_the_option_for_the_next_run_fits_a_file(access: Access, options: str) -> None:
    held = CapabilitySet((), (), NetworkMode.ALLOWED, Scopes(), Wsl2ProxyPolicy.ERROR, "/")
    refused = NoFiles(held).refusal(Wanted("allow", "path", "/srv/a", access, None))
    assert refused is not None
    assert options in str(refused.hint)
