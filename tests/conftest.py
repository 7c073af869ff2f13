"""What every test stands on."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

from support.running.pace import PACE

pytest_plugins = (
    "support.running.needs",
    "support.running.side_by_side",
    "support.running.races",
    "support.running.workday_count",
)

# No database: an ordinary user may run the suite in a checkout that is not theirs to write.
SAME_CHOICES = "NONO_TEST_SAME_CHOICES" in os.environ  # set by .ci/run
settings.register_profile(
    "nono",
    database=None,
    deadline=None,
    derandomize=SAME_CHOICES,
    max_examples=25 if SAME_CHOICES else 100,  # the others would be the same at each commit
)
# A law that takes 2 s for its 12 usual examples needs more than the usual two minutes for 1,000.
LONG_TIMEOUT_S = 1800
settings.register_profile("long", parent=settings.get_profile("nono"), max_examples=5000)
settings.register_profile("slow machine", parent=settings.get_profile("nono"), max_examples=20)
settings.load_profile("long" if os.environ.get("NONO_TEST_LONG") else "slow machine" if PACE > 1 else "nono")

# A script's `make test &` has both ignored, as would be whatever a test starts in order to interrupt it.
for _number, _action in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _action)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to root what needs it, and give tests with the full counts their time."""
    if os.environ.get("NONO_TEST_LONG"):
        for item in items:
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(LONG_TIMEOUT_S))
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root") is not None:
            item.add_marker(pytest.mark.skip(reason="only root can set the stage"))
