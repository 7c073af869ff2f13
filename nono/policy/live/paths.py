"""Answers questions about files by the rules of the moment, before a person is asked."""

from __future__ import annotations

from collections.abc import Iterable

from nono.policy.capability import Access
from nono.policy.live.rule import LiveRule
from nono.policy.path_expansion import is_within


class LivePaths:
    """The rules for paths of one run; without any, a person decides."""

    def __init__(self) -> None:
        self._rules: tuple[LiveRule, ...] = ()

    def put(self, rules: Iterable[LiveRule]) -> None:
        """Judge by these rules, and no others, from now on. Denials come first."""
        self._rules = tuple(sorted(rules, key=lambda rule: rule.decision != "deny"))

    def judge(self, path: str, access: Access) -> LiveRule | None:
        """Return the rule that decides about access to a canonical path; None: there is none."""
        return next(
            (
                rule
                for rule in self._rules
                if is_within(path, rule.target) and (rule.decision == "deny" or rule.access.covers(access))
            ),
            None,
        )
