"""Add rules to the policy of a running session, and remove them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Protocol

from nono.audit import event
from nono.audit.event import Recorder
from nono.clock import boot_s, unix_ms
from nono.named_tuple import NamedTuple
from nono.policy.live.rule import Decision, Kind, LiveRule, Wanted

RULES_MAX = 256
LOOK_EVERY_S = 30.0  # whether a rule has ended: timers stand still while the machine is suspended


class Layer(Protocol):
    """A part of the run whose rules may change."""

    @property
    def leaves_standing(self) -> bool:
        """True if the command may have connections that no rule cuts: those that it made itself."""
        ...

    def refusal(self, wanted: Wanted) -> Refused | None:
        """Return the reason if a rule would change nothing or cannot be enforced; None if it can."""
        ...

    def put(self, rules: tuple[LiveRule, ...]) -> int:
        """Apply exactly these rules from now on. Returns how many connections were closed."""
        ...


class Fixed:
    """A part of the run whose rules were fixed when it started; nothing is ever put."""

    leaves_standing = False

    def put(self, rules: tuple[LiveRule, ...]) -> int:
        return 0


class Refused(NamedTuple):
    """The reason why a rule was not added, and what would help."""

    reason: str
    hint: str | None = None
    is_needless: bool = False  # what was asked for is so already


class Made(NamedTuple):
    """A rule that is now in force."""

    rule: LiveRule
    cut: int  # connections that it closed
    leaves_standing: bool  # the command may have others, which nothing closes


class LiveRules:
    """The rules of one session. All methods run on the event loop that created it."""

    def __init__(self, layers: Mapping[Kind, Layer], record: Recorder) -> None:
        """Start without rules.

        layers: The part of the run for each kind of rule.
        record: Records an event before a rule takes effect.
        """
        self._layers = layers
        self._record = record
        self._loop = asyncio.get_running_loop()
        self._rules: dict[str, LiveRule] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    @property
    def rules(self) -> tuple[LiveRule, ...]:
        return tuple(self._rules.values())

    def add(self, wanted: Wanted, by: str) -> Made | Refused:
        """Put a rule in force. It replaces an equal rule that ends at another time."""
        same = self.found(wanted.decision, wanted.kind, wanted.target)
        refused = self._layers[wanted.kind].refusal(wanted)
        if refused is not None and refused.is_needless and same is not None and same.access == wanted.access:
            refused = None  # it is so by the rule that this one replaces
        if refused is None and same is None and len(self._rules) >= RULES_MAX:
            refused = Refused(f"a session has {RULES_MAX} such rules at most", "take some back with --undo")
        if refused is not None:
            return refused
        now_ms = unix_ms()
        expires = None if wanted.for_s is None else now_ms + wanted.for_s * 1000
        rule = LiveRule(
            os.urandom(4).hex(),
            wanted.decision,
            wanted.kind,
            wanted.target,
            wanted.access,
            by,
            now_ms,
            expires,
        )
        try:
            self._record_change("added", rule, by)
        except OSError:
            if rule.decision == "allow":
                return Refused("the audit log could not be written")
        if same is not None:
            self._drop(same)
        self._rules[rule.id] = rule
        if wanted.for_s is not None:
            self._end_at(boot_s() + wanted.for_s, rule)
        return Made(rule, self._put(rule.kind), self.leaves_standing(rule.kind))

    def leaves_standing(self, kind: Kind) -> bool:
        """Return True if the command may have connections that no rule of this kind cuts."""
        return self._layers[kind].leaves_standing

    def found(self, decision: Decision, kind: Kind, target: str) -> LiveRule | None:
        """Return the rule in force for exactly this target, or None."""
        rules = self._rules.values()
        return next((each for each in rules if each[1:4] == (decision, kind, target)), None)

    def take_back(self, rule: LiveRule, by: str) -> int | Refused:
        """Remove a rule. Returns how many connections were closed."""
        return self._end(rule, "taken_back", by)

    def _end_at(self, until_s: float, rule: LiveRule) -> None:
        wait_s = min(until_s - boot_s(), LOOK_EVERY_S)
        self._timers[rule.id] = self._loop.call_later(wait_s, self._look, until_s, rule)

    def _look(self, until_s: float, rule: LiveRule) -> None:
        if boot_s() < until_s:
            self._end_at(until_s, rule)
        else:
            self._end(rule, "expired", "nono")

    def _end(self, rule: LiveRule, change: event.PolicyChange, by: str) -> int | Refused:
        try:
            self._record_change(change, rule, by)
        except OSError:
            if rule.decision == "deny":  # removing a denial allows more
                return Refused("the audit log could not be written")
        self._drop(rule)
        return self._put(rule.kind)

    def _record_change(self, change: event.PolicyChange, rule: LiveRule, by: str) -> None:
        expires = rule.expires_unix_ms if change == "added" else None
        writes = rule.kind in ("path", "socket") and rule.access.writes
        self._record(
            event.policy_changed(change, rule.decision, rule.kind, rule.target, by, expires, writes=writes)
        )

    def _drop(self, rule: LiveRule) -> None:
        self._rules.pop(rule.id, None)
        timer = self._timers.pop(rule.id, None)
        if timer is not None:
            timer.cancel()

    def _put(self, kind: Kind) -> int:
        return self._layers[kind].put(tuple(each for each in self._rules.values() if each.kind == kind))

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
