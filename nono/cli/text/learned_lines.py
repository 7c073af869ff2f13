"""Word the scope of a watched run and its observations as lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nono.cli.text.session_text import one_line
from nono.launch.learn.plan import LearnPlan
from nono.launch.learn.result import LearnedProfile
from nono.policy.capability import NetworkMode
from nono.policy.learning.observation import Refused
from nono.policy.path_expansion import is_within

LISTED_MAX, FLAGS_MAX = 20, 5
SHOWN_MAX = 200  # characters of one path


def scope(learning: LearnPlan) -> list[str]:
    """Return the extra access that a person agrees to, as lines."""
    places = learning.resolved.path_context
    home = learning.bounds.home
    written = [places.workdir, *(grant.path for grant in learning.watched if grant.access.writes)]
    kept_out = sum(is_within(path, home) for path in learning.kept_out)
    lines = [
        "  [nono] The command is watched in a wider sandbox than it will get. It may",
        "  [nono]   read   programs and settings of this machine that everybody may read,",
        f"  [nono]          and the hidden files in {places.home},",
        f"  [nono]          but not {kept_out} paths that are sensitive or look like it,",
        "  [nono]          ~/.ssh among them;",
        f"  [nono]   write  {' and '.join(written)};",
    ]
    if learning.resolved.capabilities.network is NetworkMode.PROXY:
        lines.append("  [nono]   reach  every public host through the proxy, which looks into TLS, and")
        lines.append("  [nono]          nothing of this machine or its private networks;")
    if learning.inherited:
        lines.append(f"  [nono]   know   from its environment {', '.join(learning.inherited)};")
    lines.append("  [nono] beside what was granted above. The profile will allow what it does.")
    return lines


def seen(learned: LearnedProfile, home: str) -> list[str]:
    """Return what a person should know besides the profile itself. home: canonical, shown as `~`."""
    lines = ["", *_listed("Tried, and refused while it was watched as well:", learned.refused, home)]
    if learned.flags:
        lines.append("  [nono] To have it watched there too (mkdir or touch what is missing), add:")
        lines += [f"    {flag}" for flag in learned.flags[:FLAGS_MAX]]
    lines += _listed("Done, and not in the profile:", learned.left_out, home)
    if learned.dropped:
        lines.append(f"  [nono] {learned.dropped} more calls were not kept: the profile may not be complete.")
    if not learned.added:
        lines.append("  [nono] Nothing was seen that is not granted already.")
    return lines


def _listed(headline: str, refused: Sequence[Refused], home: str) -> Iterable[str]:
    if not refused:
        return []
    lines = [f"  [nono] {headline}"]
    lines += [
        f"    {_shortened(each.what, home)} ({each.access}): {_shortened(each.reason, '/')}"
        for each in refused[:LISTED_MAX]
    ]
    if len(refused) > LISTED_MAX:
        lines.append(f"    ... and {len(refused) - LISTED_MAX} more")
    return lines


def _shortened(text: str, home: str) -> str:
    """Escape and shorten text to one line: a name with line breaks could imitate lines of nono."""
    text = f"~{text[len(home) :]}" if home != "/" and is_within(text, home) else text
    shown = one_line(text)
    return shown if len(shown) <= SHOWN_MAX else f"{shown[:SHOWN_MAX]}..."
