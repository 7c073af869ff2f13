"""Reads the lines of an audit log one by one, and holds each to the chain before it."""

from __future__ import annotations

import json

from nono.audit.chain import ChainState, Encoded, record_line
from nono.audit.event import Event
from nono.named_tuple import NamedTuple


class BrokenChainError(ValueError):
    """A line that is not what nono wrote, or not where it wrote it."""


class Link(NamedTuple):
    """One record of a log, checked against those before it."""

    sequence: int
    leaf_hash: str  # 64 lower-case hex digits, as is the next
    chain_hash: str
    event_json: bytes  # what was hashed
    event: Event


class Links:
    """The chain of one log, as far as it was read."""

    def __init__(self) -> None:
        self.state = ChainState()

    def take(self, line: bytes) -> Link:
        """Read the next line. Raises BrokenChainError, and stays where it was."""
        number = self.state.sequence
        try:
            document = json.loads(line)
            text = document["event_json"].encode("utf-8")
            expected, following = record_line(self.state, Encoded.of(text))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BrokenChainError(f"record {number} cannot be read") from error
        if line != expected or not isinstance(document["event"], dict):
            raise BrokenChainError(f"record {number} does not continue the chain before it")
        self.state = following
        return Link(number, document["leaf_hash"], document["chain_hash"], text, document["event"])
