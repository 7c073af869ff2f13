"""How many times longer everything may take here than on an idle machine: HUNT_PACE, as a guest sets it."""

from __future__ import annotations

import os

PACE = float(os.environ.get("HUNT_PACE", "1"))
