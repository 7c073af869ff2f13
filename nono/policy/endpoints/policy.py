"""Decide whether a method and a path may be requested from an upstream: deny, approve or allow."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nono.named_tuple import NamedTuple
from nono.policy.endpoints.path_readings import exact, readings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from nono.policy.endpoints.path_glob import PathGlob

type Decision = Literal["allow", "approve", "deny"]

_METHOD = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # token, RFC 9110 section 5.6.2


class _RuleFields(NamedTuple):
    """The fields of EndpointRule."""

    method: str  # "*": every method; compared without regard to case
    path: str  # a pattern of nono.policy.endpoints.path_glob
    backend: str | None = None  # the approval backend, for a rule in the approve list
    reason: str | None = None  # shown to whoever approves
    timeout_s: float | None = None  # time allowed for the answer
    lift: str | None = None  # the command that takes it back; None: it stands where the policy comes from


class EndpointRule(_RuleFields):
    """One entry of a list. Raises ValueError for an invalid method, or a path pattern that cannot match."""

    if TYPE_CHECKING:  # a state is read by the annotations of its records, and these are no fields
        _glob: PathGlob
        _caseless: PathGlob | None  # None until it is needed

    def __new__(
        cls,
        method: str,
        path: str,
        backend: str | None = None,
        reason: str | None = None,
        timeout_s: float | None = None,
        lift: str | None = None,
    ) -> EndpointRule:
        if not re.fullmatch(_METHOD, method, re.ASCII):
            raise ValueError(f"{method!a} is not a method")
        made = tuple.__new__(cls, (method, path, backend, reason, timeout_s, lift))
        try:
            made._glob = _compiled(path)
        except ValueError as error:
            raise ValueError(f"path {path!a}: {error}") from None
        made._caseless = None
        return made

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def covers(self, method: str, segments: list[str]) -> bool:
        """Return True if the rule covers `method` and a path, in exactly this spelling."""
        return self._is_for(method) and self._glob.matches(segments)

    def may_cover(self, method: str, read: Sequence[list[str]]) -> bool:
        """Return True if some server may interpret `method` and a path as something the rule covers.

        read: The readings of the path.
        """
        if not self._is_for(method):
            return False
        caseless = self._caseless
        if caseless is None:
            caseless = self._caseless = _compiled(self.path, ignores_case=True)
        # Without regard to case a set like [!a] excludes more, so try both.
        globs = (caseless, self._glob) if "[" in self.path else (caseless,)
        return any(glob.matches(segments) for segments in read for glob in globs)

    def _is_for(self, method: str) -> bool:
        return self.method == "*" or self.method.upper() == method.upper()


def _compiled(path: str, *, ignores_case: bool = False) -> PathGlob:
    # Imported here: many runs have no rule.
    from nono.policy.endpoints.path_glob import compile_glob

    return compile_glob(path, ignores_case=ignores_case)


class EndpointVerdict(NamedTuple):
    """The decision on one request; `label` names the deciding rule."""

    decision: Decision
    label: str  # endpoint_policy.<list>[METHOD PATH] or endpoint_policy.default
    reason: str | None = None  # the rule's own words
    backend: str | None = None  # for "approve" only, as is timeout_s
    timeout_s: float | None = None
    lift: str | None = None  # of the rule that denies


DEFAULT_LABEL = "endpoint_policy.default"  # no rule has matched
_LENIENCY = ("allow", "approve", "deny")


class EndpointPolicy(NamedTuple):
    """The rules of one route or host. The first match decides: deny, ahead, approve, allow, default."""

    default: Literal["allow", "approve", "deny"] = "allow"  # spelled out for strict_json
    deny: tuple[EndpointRule, ...] = ()
    approve: tuple[EndpointRule, ...] = ()
    allow: tuple[EndpointRule, ...] = ()
    default_backend: str | None = None
    default_timeout_s: float | None = None
    origin: str = ""  # the flag or profile field it comes from
    is_explicit: bool = False  # an endpoint_policy: no sibling route may allow requests it denies
    ahead: tuple[EndpointRule, ...] = ()  # allowed during the run by `nono allow`, before anybody is asked

    @property
    def allows_all(self) -> bool:
        return self.default == "allow" and not self.deny and not self.approve

    def judge(self, method: str, path: str) -> EndpointVerdict:
        """Judge a canonical path (nono.proxy.http.target) that includes the upstream's base path.

        Ignores the query.

        Rules that deny or ask are matched as a lenient server reads the path: without regard to case, with
        escapes decoded, and without path parameters, dots at the end and the suffix of a format; numbers by
        their value. Otherwise `/Admin`, `/admin;x`, `/admin.` or `/admin.json` would bypass a rule for
        `/admin`, and `/items/07` one for `/items/7`. Rules that allow are matched exactly.
        """
        bare = path.partition("?")[0]
        read = readings(bare) if self.deny or self.approve else ()
        for rule in self.deny:
            if rule.may_cover(method, read):
                return EndpointVerdict("deny", f"endpoint_policy.deny[{rule}]", rule.reason, lift=rule.lift)
        sent = exact(bare)
        for rule in self.ahead:
            if rule.covers(method, sent):
                return EndpointVerdict("allow", f"nono allow[{rule}]")
        for rule in self.approve:
            if rule.may_cover(method, read):
                return self._ask(f"endpoint_policy.approve[{rule}]", rule)
        for rule in self.allow:
            if rule.covers(method, sent):
                return EndpointVerdict("allow", f"endpoint_policy.allow[{rule}]", rule.reason)
        if self.default == "approve":
            return self._ask(DEFAULT_LABEL, None)
        return EndpointVerdict(self.default, DEFAULT_LABEL)

    def explain(self, method: str, path: str, verdict: EndpointVerdict) -> str:
        """Return the verdict as a sentence."""
        words = {"allow": "allowed", "deny": "denied", "approve": "for a person to approve"}
        because = f": {verdict.reason}" if verdict.reason else ""
        return f"{method} {path} is {words[verdict.decision]} by {verdict.label}{because}"

    def _ask(self, label: str, rule: EndpointRule | None) -> EndpointVerdict:
        backend = rule.backend if rule is not None else None
        timeout_s = rule.timeout_s if rule is not None else None
        return EndpointVerdict(
            "approve",
            label,
            rule.reason if rule is not None else None,
            backend or self.default_backend,
            timeout_s if timeout_s is not None else self.default_timeout_s,
        )


ALLOW_ALL = EndpointPolicy()


def most_allowed(
    policies: Sequence[EndpointPolicy], method: str, path: str
) -> tuple[EndpointPolicy, EndpointVerdict]:
    """Combine the verdicts of a host's rules: an explicit denial, else the most lenient verdict."""
    verdicts = [(policy, policy.judge(method, path)) for policy in policies]
    explicit = [each for each in verdicts if each[0].is_explicit and each[1].decision == "deny"]
    return min(explicit or verdicts, key=lambda each: _LENIENCY.index(each[1].decision))
