"""Asks the proxy for each host:port that it reads, and prints the status; 0 for no answer."""

from __future__ import annotations

import sys

from .take_all import status

for line in sys.stdin:
    print(status(line.strip()), flush=True)
