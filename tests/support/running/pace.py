"""How many times longer than on an ordinary machine a test may wait: NONO_TEST_PACE, which guests set."""

from __future__ import annotations

import os

PACE = float(os.environ.get("NONO_TEST_PACE", "1"))
