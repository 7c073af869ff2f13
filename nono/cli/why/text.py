"""Spell an answer of `nono why`."""

from __future__ import annotations

from nono.policy.why.extent import extent
from nono.policy.why.paths import Answer
from nono.sandbox.plan.scope_query import ScopeAnswer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.policy.why.extent import WorkdirOffer

FIX = "Suggested fix"


def lines_of(answer: Answer | ScopeAnswer, offer: WorkdirOffer | None) -> list[str]:
    if isinstance(answer, ScopeAnswer):
        return _text_of_scope(answer)
    fix, grants = answer.suggested_flag, None
    if fix is not None:
        fix, grants = (offer and offer.spelled(fix)) or (fix, extent(fix))
    lines = [answer.status.upper().replace("_", " "), f"  Reason: {_words(answer.reason)}"]
    match = answer.matching_capability
    labelled = (
        ("Granted by", answer.granted_path),
        ("Access", answer.access),
        ("Source", answer.source),
        ("Details", answer.details),
        ("Policy", answer.policy_source),
        ("Enforced by", answer.enforced_by),
        ("Closest match", f"{match.path} ({match.access}, {match.source})" if match else None),
        (FIX, fix),
        ("Warning", answer.warning),
    )
    for label, value in labelled:
        if value:
            lines.append(f"  {label}: {value}")
        if label == FIX and grants is not None:
            lines.append(f"    {grants}")
    if answer.endpoint_rules:
        lines.append(f"  Endpoint rules ({len(answer.endpoint_rules)} total):")
        lines += [f"    {method} {path}" for method, path in answer.endpoint_rules]
    return lines


def _text_of_scope(answer: ScopeAnswer) -> list[str]:
    fields = answer.as_json()
    return [
        "SCOPE",
        *(f"  {_words(name).capitalize()}: {_word(fields[name])}" for name in fields if name != "status"),
    ]


def _words(name: str) -> str:
    """Spell a reason or a field, which --json gives by its name."""
    return name.replace("_", " ")


def _word(value: object) -> object:
    return {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
