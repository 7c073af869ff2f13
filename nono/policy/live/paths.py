"""Answer questions about files from added rules, before a person is asked."""

from __future__ import annotations

from collections.abc import Iterable

from nono.policy.capability import Access
from nono.policy.live.rule import LiveRule
from nono.policy.path_expansion import is_within


class LivePaths:
    """The rules for paths added to one run. Without a matching rule a person decides."""

    def __init__(self) -> None:
        self._rules: tuple[LiveRule, ...] = ()

    def put(self, rules: Iterable[LiveRule]) -> None:
        """Use exactly these rules from now on. Denials come first."""
        self._rules = tuple(sorted(rules, key=lambda rule: rule.decision != "deny"))

    def judge(self, path: str, access: Access) -> LiveRule | None:
        """Return the rule that decides about access to a canonical path, or None."""
        return next(
            (
                rule
                for rule in self._rules
                if is_within(path, rule.target) and (rule.decision == "deny" or rule.access.covers(access))
            ),
            None,
        )
