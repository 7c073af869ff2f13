"""Offer after a run to add grants to a profile for what was denied."""

from __future__ import annotations

import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from math import ceil
from textwrap import wrap

from nono.approval.ask import Prompt
from nono.approval.wording import harmless
from nono.cli.diagnostics.next_command import OptionsOfRun
from nono.cli.diagnostics.saved_profile import Target, rewritten, save, target_of
from nono.cli.text.wrap_text import COLUMNS
from nono.errors import NonoError
from nono.policy.why.saving import Addition, suppressing

OFFERED_ROWS = 20  # every offer is shown, and a person reads no more than this at once
NAMES_ASKED_MAX = 3
NO_PROMPT = "NONO_NO_SAVE_PROMPT"
Asks = Callable[[], AbstractContextManager[Prompt | None]]
YES_WORDS = ("1", "true", "yes")


def is_wanted(environ: Mapping[str, str]) -> bool:
    return environ.get(NO_PROMPT, "").strip().lower() not in YES_WORDS


def offer(
    found: Sequence[Addition],
    profile: str | None,
    program: str,
    options: OptionsOfRun,
    environ: Mapping[str, str],
    asks: Asks,
) -> None:
    """Ask the person at the terminal, if there is one, and do what they say.

    found: The additions to offer.
    profile: The run's --profile, if it had one.
    program: The program that ran. It gives a new profile its name.
    options: The other options of the run, which are saved too or go into the next command.
    asks: Opens the terminal; yields None if there is none.
    """
    offered = [*_seen_at_once(found)]
    if not offered:
        return
    try:
        with asks() as prompt:
            if prompt is not None:
                _offer(prompt, offered, target_of(profile, environ), program, options, environ)
    except (OSError, termios.error):
        return  # the terminal is gone


def _seen_at_once(found: Sequence[Addition]) -> Iterator[Addition]:
    """Yield what fits on a screen: a command could push one off it by the long names of others."""
    left = OFFERED_ROWS
    for addition in found:
        rows = ceil(len(_numbered(OFFERED_ROWS, addition)) / COLUMNS)
        if rows <= left:
            left -= rows
            yield addition


def _offer(
    prompt: Prompt,
    found: Sequence[Addition],
    target: Target,
    program: str,
    options: OptionsOfRun,
    environ: Mapping[str, str],
) -> None:
    word, picked = _ask(prompt, found, target, options)
    is_granted = word in ("g", "grant")
    if is_granted:
        chosen = list(_confirmed(prompt, picked))
    elif word in ("s", "suppress"):
        chosen = suppressing(picked)
    elif word in ("", "n", "no"):
        return
    else:
        chosen = []
    if not chosen:
        prompt.say(["  [nono] nothing was saved"])
        return
    if target.file is None:
        name = _name(prompt, target.suggestion(program), environ)
        if name is None:
            return
        target = target.named(name, environ)
    # Suppressing questions in an existing profile is no reason to add anything else to it.
    _save(prompt, target, chosen, options, environ, saves_options=target.is_new or is_granted)


def _ask(
    prompt: Prompt, found: Sequence[Addition], target: Target, options: OptionsOfRun
) -> tuple[str, list[Addition]]:
    """Show the additions and ask. Returns the word that was typed, and the additions that it is about."""
    prompt.say(["  [nono] This would have allowed what was denied:"])
    prompt.say(_numbered(number, addition) for number, addition in enumerate(found, 1))
    if len(found) > 1:
        prompt.say(["  'g' takes all of them, 'g 1 3' those two"])
    if options.shown:
        given = f"'g' saves what this run was given as well: {' '.join(options.shown)}"
        lines = wrap(given, COLUMNS - 2, break_long_words=False, break_on_hyphens=False)
        prompt.say(f"  {line}" for line in lines)
    where = f"Update user profile '{target.label}'" if target.file is not None else "Save to a user profile"
    answer = prompt.ask(f"  {where}? [g] grant / [s] suppress / [Enter] skip: ") or ""
    word, _, numbers = answer.lower().partition(" ")
    return word, _picked(found, numbers)


def _save(
    prompt: Prompt,
    target: Target,
    chosen: Sequence[Addition],
    options: OptionsOfRun,
    environ: Mapping[str, str],
    *,
    saves_options: bool,
) -> None:
    """Save the additions, with the options of the run if wanted, and tell how to run the command next."""
    try:
        save(rewritten(target, [*(options.saved if saves_options else ()), *chosen]), environ)
    except NonoError as error:
        prompt.say([f"  [nono] not saved: {error.message}", *([f"  {error.hint}"] if error.hint else [])])
    except OSError as error:
        prompt.say([f"  [nono] not saved: {target.file}: {error.strerror}"])
    else:
        prompt.say([f"  [nono] saved: {target.file}", "  next time:"])
        prompt.say([f"  {options.next_command(target.label, saves_options=saves_options)}"])


def _picked(found: Sequence[Addition], numbers: str) -> list[Addition]:
    """Return the additions with the typed numbers: all if none was typed, none if one is wrong."""
    words = numbers.replace(",", " ").split()
    by_number = {str(number): addition for number, addition in enumerate(found, 1)}
    if not all(word in by_number for word in words):
        return []
    return [by_number[word] for word in words] or list(found)


def _numbered(number: int, addition: Addition) -> str:
    """Return an addition as one line. The command chose its values, such as the names of directories."""
    entries = " + ".join(harmless(str(entry)) for entry in addition.entries)
    return f"    {number}. {entries}{'   (protected)' if addition.is_sensitive else ''}"


def _confirmed(prompt: Prompt, found: Sequence[Addition]) -> Iterator[Addition]:
    for addition in found:
        if not addition.is_sensitive:
            yield addition
            continue
        question = (
            f"  {harmless(addition.path or '')} is protected; type 'override' to grant it all the same: "
        )
        if prompt.ask(question) == "override":
            yield addition


def _name(prompt: Prompt, suggestion: str, environ: Mapping[str, str]) -> str | None:
    """Ask for the name of a new profile. Returns None if the person skips it or gives no valid name."""
    for _ in range(NAMES_ASKED_MAX):
        answer = prompt.ask(f"  User profile name [{suggestion}] (skip: none): ")
        if answer is None or answer == "skip":
            return None
        name = answer or suggestion
        problem = Target.problem_with(name, environ)
        if problem is None:
            return name
        prompt.say([f"  {problem}"])
    return None
