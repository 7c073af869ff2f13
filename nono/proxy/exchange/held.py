"""Count the bytes of requests held in memory, so that all connections together stay within one limit."""

from __future__ import annotations


class HeldBytes:
    """A budget shared by the exchanges of a proxy."""

    __slots__ = ("free",)

    def __init__(self, limit_bytes: int) -> None:
        self.free = limit_bytes

    def take(self, count: int) -> bool:
        """Reserve `count` bytes. Returns False, and reserves nothing, if they are not free."""
        if count > self.free:
            return False
        self.free -= count
        return True

    def give_back(self, count: int) -> None:
        self.free += count
