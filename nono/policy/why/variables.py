"""Answer `nono why` about environment variables, with the function that also decides inheritance."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from nono.policy.environment.inheritance import EnvironmentRules, Inherited, Withheld, judge
from nono.policy.why.paths import Answer

_ANY_VALUE = "x"  # stands for the value of an unset variable, so that only its name is judged
_NOT_THERE = "the caller has no such variable, or a key of this run is read from it"
_NOT_SET = "it is not set here, and would be judged by its value too"


def why_variable(
    name: str, environ: Mapping[str, str], rules: EnvironmentRules, *, loads_keys: bool
) -> Answer:
    """Explain whether the command gets variable `name` of `environ`.

    loads_keys: The run reads keys, and so drops every variable that holds one.
    """
    if name in dict(rules.fixed):
        return _allowed("set", "--env or environment.set_vars sets it", loads_keys)
    verdict = judge(name, environ.get(name, _ANY_VALUE), rules)
    reason = verdict.reason if name in environ else f"{verdict.reason}; {_NOT_SET}"
    match verdict:
        case Withheld():
            return _withheld(verdict)._replace(details=reason)
        case Inherited():
            return _allowed(verdict.rule, reason, loads_keys)


def why_variable_inside(name: str, environ: Collection[str], withheld: Iterable[Withheld]) -> Answer:
    """Explain the same to a running command: `environ` is its own, `withheld` what the run kept from it."""
    found = next((each for each in withheld if each.name == name), None)
    if found is not None:
        return _withheld(found)
    if name in environ:
        return Answer("allowed", "inherited", details="the run passed it on, or set it")
    return Answer("denied", "not_set", details=_NOT_THERE)


def _withheld(verdict: Withheld) -> Answer:
    return Answer("denied", verdict.rule, details=verdict.reason, suggested_flag=verdict.fix)


def _allowed(rule: str, reason: str, loads_keys: bool) -> Answer:
    if loads_keys:
        reason += "; if it holds a key of this run, it is dropped all the same"
    return Answer("allowed", rule, details=reason)
