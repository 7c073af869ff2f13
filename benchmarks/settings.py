"""How long and how often a run measures: in full, or quickly to see that it all works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    start_rounds: int  # of starting each command once
    rounds: int  # of everything else
    seconds: float  # of load, in one round
    calls: int  # system calls, in one round
    exchanges: int  # tunnels or streams, in one round
    bulk_bytes: int


FULL = Settings(start_rounds=41, rounds=5, seconds=1.5, calls=10_000, exchanges=40, bulk_bytes=1 << 29)
QUICK = Settings(start_rounds=5, rounds=2, seconds=0.5, calls=4_000, exchanges=10, bulk_bytes=1 << 26)
