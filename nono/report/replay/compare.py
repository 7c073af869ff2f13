"""List what another policy would decide differently, over the logs of one or several sessions."""

from __future__ import annotations

from collections.abc import Mapping

from nono.named_tuple import NamedTuple
from nono.policy.why.paths import Answer
from nono.report.replay.judge import Judging, answer
from nono.report.replay.tried import Log, Tried
from nono.str_enum import StrEnum


class Effect(StrEnum):
    """What would happen to an access."""

    BREAKS = "breaks"  # it was allowed, and would be refused
    ASKS = "asks"  # it was allowed, and a person would be asked
    OPENS = "opens"  # it was refused, and would be allowed
    SAME = "same"


class Difference(NamedTuple):
    """An access that would be decided differently than recorded, or differently by the two policies."""

    effect: Effect
    what: str
    times: int
    sessions: int
    why: str
    option: str | None  # that would allow it
    against: str | None  # the decision of the other policy; None: there is no other policy


class Result(NamedTuple):
    """The result of a replay."""

    sessions: int
    judged: int  # distinct accesses
    differences: tuple[Difference, ...]  # breaking ones first
    unjudged: tuple[tuple[str, int], ...]  # reason and count
    has_files: bool  # the logs held some; otherwise the kernel decided them without a record

    @property
    def breaks(self) -> bool:
        return any(each.effect is Effect.BREAKS for each in self.differences)


class Comparison:
    """Takes the logs of sessions one by one, with the policies as they would apply to each."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Effect], Difference] = {}
        self._seen: set[Tried] = set()
        self._unjudged: dict[str, int] = {}
        self._sessions = 0

    def add(self, log: Log, judging: Judging, against: Judging | None = None) -> None:
        self._sessions += 1
        self._all(log.allowed, judging, against, was_allowed=True)
        self._all(log.refused, judging, against, was_allowed=False)
        for why, times in log.unjudged.items():
            self._unjudged[why] = self._unjudged.get(why, 0) + times
        if log.damaged:
            why = "damaged records"
            self._unjudged[why] = self._unjudged.get(why, 0) + log.damaged

    def result(self) -> Result:
        order = [*Effect]
        found = sorted(
            self._found.values(), key=lambda each: (order.index(each.effect), -each.times, each.what)
        )
        return Result(
            self._sessions,
            len(self._seen),
            tuple(found),
            tuple(sorted(self._unjudged.items())),
            any(each.access is not None for each in self._seen),
        )

    def _all(
        self, tried: Mapping[Tried, int], judging: Judging, against: Judging | None, *, was_allowed: bool
    ) -> None:
        for each, times in tried.items():
            self._seen.add(each)
            now = answer(each, judging)
            effect = _effect(now, was_allowed=was_allowed)
            other = None if against is None else answer(each, against)
            is_other = effect is not Effect.SAME if other is None else now.status != other.status
            if is_other:
                self._add(each, effect, times, now, other)

    def _add(self, tried: Tried, effect: Effect, times: int, now: Answer, other: Answer | None) -> None:
        key = (str(tried), effect)
        known = self._found.get(key)
        if known is not None:
            self._found[key] = known._replace(times=known.times + times, sessions=known.sessions + 1)
            return
        why = now.details or now.reason.replace("_", " ")
        against = None if other is None else other.status
        self._found[key] = Difference(effect, key[0], times, 1, why, now.suggested_flag, against)


def _effect(now: Answer, *, was_allowed: bool) -> Effect:
    match now.status:
        case "allowed":
            return Effect.SAME if was_allowed else Effect.OPENS
        case "approval_required":
            return Effect.ASKS if was_allowed else Effect.SAME
        case "denied":
            return Effect.BREAKS if was_allowed else Effect.SAME
