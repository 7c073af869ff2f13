"""Turn what argparse complains about into a sentence and a useful hint."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from nono.cli.args.near_options import near
from nono.errors import UsageError
from nono.policy.suggestions import did_you_mean

# What people type for a command that nono has under another name, or does not have.
COMMANDS: Mapping[str, str] = {
    "exec": "nono run COMMAND",
    "start": "nono run COMMAND; --detached starts it in the background",
    "sandbox": "nono run COMMAND",
    "build": "nono run COMMAND",
    "list": "nono ps lists sessions, nono profile list profiles",
    "session": "nono ps lists the sessions, nono session cleanup is nono prune",
    "sessions": "nono ps",
    "status": "nono ps",
    "kill": "nono stop SESSION",
    "history": "nono ps --all",
    "undo": "nono rollback restore SESSION, after a run with --rollback",
    "restore": "nono rollback restore SESSION, after a run with --rollback",
    "cost": "nono report --last 7d",
    "costs": "nono report --last 7d",
    "usage": "nono report --last 7d",
    "config": "settings are in ~/.config/nono/config.toml; nono profile is about profiles",
    "init": "nono profile init NAME",
    "login": "nono credential set NAME, or nono credential import AGENT",
    "logout": "nono credential logout AGENT",
    "auth": "nono credential",
    "key": "nono credential",
    "keys": "nono credential",
    "creds": "nono credential",
    "credentials": "nono credential",
    "secret": "nono credential",
    "uninstall": "nono purge removes what nono keeps for you",
    "check": "nono doctor",
    "update": "whatever installed nono updates it",
    "--": "nono run -- COMMAND",
    "-q": "-s prints less",
    "--quiet": "-s prints less",
    "-v": "put it after the command: nono run -v",
    "--verbose": "put it after the command: nono run -v",
    "--json": "put it after the command: nono ps --json",
    "--no-color": "NO_COLOR=1 switches colours off",
    "--no-colour": "NO_COLOR=1 switches colours off",
}
_ACTIONS: Mapping[str, Mapping[str, str]] = {
    "nono credential": dict.fromkeys(
        ("get", "show", "print", "cat"), "values are never printed; nono credential test NAME checks one"
    )
    | {"login": "nono credential import AGENT"},
    "nono profile": {
        "edit": "any editor will do: your profiles are in ~/.config/nono/profiles",
        "path": "your profiles are in ~/.config/nono/profiles",
        **dict.fromkeys(("delete", "rm", "remove"), "remove its file in ~/.config/nono/profiles"),
    },
}
_MISSING: Mapping[str, str] = {
    "SESSION": "nono ps --all lists them; latest is the newest",
    "SHELL": "bash, zsh or fish",
}
_SESSIONS: Mapping[str, str] = {
    "rollback": "nono rollback list shows what can be undone; latest is the newest",
    "audit": "nono audit list names those with an audit log; latest is the newest",
}
GIVEN_TWICE = "given twice, with different values."
# The commands that change a running session take what the rule is for as their one word.
_RULED = frozenset({"nono allow", "nono deny"})
_RULED_AS_OPTIONS = frozenset({"--host", "--domain", "--port", "--endpoint", "--path"})
_CHOICE = re.compile(r"argument (\S+): invalid choice: '(.*)' \(choose from (.*)\)$", re.DOTALL)
_COUNT = re.compile(r"expected (\d+) arguments")
_VALUE = re.compile(r"argument (\S+?)(?:/\S+)?: (.*)$", re.DOTALL)


def answer(message: str, prog: str, flags: Sequence[str], actions: Iterable[str]) -> UsageError:
    """Return the error to raise. flags: those that the help shows; actions: those of the command, if any."""
    hint = f"{prog} --help"
    _, found, words = message.partition("unrecognized arguments: ")
    if found:
        return _of_words(words, prog, flags)
    _, found, names = message.partition("the following arguments are required: ")
    if found:
        missing = _MISSING.get(names, hint)
        if names == "SESSION":
            missing = _SESSIONS.get(prog.split()[1], missing)
        hint = f"one of {', '.join(actions)}" if names == "ACTION" else missing
        return UsageError(f"{names} is missing.", hint=hint)
    if (choice := _CHOICE.match(message)) is not None:
        return _of_choice(choice[1], choice[2], choice[3], prog)
    if (value := _VALUE.match(message)) is not None:
        return _of_value(value[1], value[2], hint)
    return UsageError(message, hint=hint)


def _of_value(option: str, complaint: str, hint: str) -> UsageError:
    """Say what is wrong with the value of an option, or that it has none or too many."""
    if complaint == "expected one argument":
        return UsageError(f"{option}: a value is expected.", hint=hint)
    if complaint.startswith("ignored explicit argument"):
        return UsageError(f"{option}: it takes no value.", hint=hint)
    if (count := _COUNT.fullmatch(complaint)) is not None:
        return UsageError(f"{option}: {count[1]} values are expected.", hint=hint)
    text, is_port, _ = complaint.partition(" is not a port: ")
    if is_port and "," in text:
        hint = "give the option once for each port"
    if complaint == GIVEN_TWICE and option == "--profile":
        hint = "commas join several profiles: --profile claude-code,python-dev"
    return UsageError(f"{option}: {complaint}", hint=hint)


def _of_words(words: str, prog: str, flags: Sequence[str]) -> UsageError:
    """Name only the first word: the others may be its value, and so a secret."""
    first = (words.split() or [""])[0].partition("=")[0]
    if prog == "nono proxy" and (first == "--" or first[:1] not in ("", "-")):
        return UsageError(
            "nono proxy runs no command.", hint="nono run -- COMMAND does, with a proxy of its own"
        )
    if prog in _RULED and first in _RULED_AS_OPTIONS:
        return UsageError(f"no such option: {first}", hint=f"it is a word: {prog} example.com, {prog} 5432")
    if prog in _RULED and not first.startswith("-"):
        hint = f"one rule at a time, and the session is an option: {prog} example.com --session SESSION"
        return UsageError(f"unexpected word: '{first}'", hint=hint)
    if first.startswith("-"):
        hint = near(first, flags, prog.split()[-1]) or f"{prog} --help"
        return UsageError(f"no such option: {first}", hint=hint)
    if prog == "nono credential":  # most likely the value of a key
        return UsageError(
            "there is one word too many; it is not shown because it may be a secret.",
            hint="nono credential set NAME asks for the value, or reads it from standard input",
        )
    return UsageError(f"unexpected word: '{first}'", hint=f"{prog} --help")


def _of_choice(name: str, word: str, choices: str, prog: str) -> UsageError:
    known = choices.replace("'", "").split(", ")
    meant = _ACTIONS.get(prog, {}).get(word) or did_you_mean(word, known)
    if name in ("ACTION", "action"):
        return UsageError(f"{prog} has no action '{word}'.", hint=meant or f"one of {', '.join(known)}")
    return UsageError(f"{name} '{word}': expected {_joined(known)}.", hint=meant or f"{prog} --help")


def _joined(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
