"""`nono policy`: the old name of `nono profile`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from nono.cli.commands.profile import command
from nono.errors import UsageError
from nono.policy.suggestions import did_you_mean

# Old actions and their present names.
ACTIONS = {"groups": "groups", "profiles": "list", "show": "show", "diff": "diff", "validate": "validate"}


def run(argv: Sequence[str]) -> int:
    words = [*argv]
    position = next((at for at, word in enumerate(words) if word in ACTIONS), None)
    if position is None and {"-h", "--help"} & set(words):
        return command.run(words)
    if position is None:
        word = next((word for word in words if not word.startswith("-")), "")
        if not word:
            raise UsageError("nono policy is the old name of nono profile.", hint="nono profile --help")
        of_profile = f"nono profile {word}" if word in ACTIONS.values() else "nono profile --help"
        raise UsageError(
            f"nono policy has no action '{word}'.", hint=did_you_mean(word, ACTIONS) or of_profile
        )
    old, new = words[position], ACTIONS[words[position]]
    words[position] = new
    if not {"-s", "--silent"} & set(words):
        warning = f"`nono policy {old}` is deprecated; use `nono profile {new}` instead."
        print(f"  [nono] WARNING: {warning} Will be removed in v1.0.0.", file=sys.stderr)
    return command.run(words)
