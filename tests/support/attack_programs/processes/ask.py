"""Ask the proxy for each host:port that is read, and print the status; 0 for no answer."""

from __future__ import annotations

import sys

from .take_all import status

for line in sys.stdin:
    print(status(line.strip()), flush=True)
