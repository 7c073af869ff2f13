"""Tell whether git would have signed what a failed command was to commit or tag, and with what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from posixpath import join

from nono.policy.capability import Access
from nono.policy.git.settings import settings_of, unquoted
from nono.policy.path_expansion import Filesystem, PathContext
from nono.policy.why.commands.words import Started
from nono.policy.why.usual_table import Row

FATAL = 128  # how git ends when it could not sign
REMEDY = (
    "git commit --no-gpg-sign, and sign outside; or have ssh-agent sign: gpg.format=ssh, "
    'user.signingkey=key::..., --allow-unix-socket "$SSH_AUTH_SOCK"'
)
_MAKES_COMMITS = frozenset({"am", "cherry-pick", "commit", "merge", "pull", "rebase", "revert", "tag"})
_ASKED = re.compile(r"\s(-[a-zA-Z]*S\S*|--gpg-sign\S*|--signed)(\s|$)|\stag\s+-[a-z]*[su]")
_REFUSED = re.compile(r"\s--no-gpg-sign(\s|$)|gpgsign=(false|no|off|0)\b", re.IGNORECASE)
_YES = ("", "true", "yes", "on", "1")


def signing_key(
    programs: Sequence[Started],
    argv: Sequence[str],
    exit_code: int,
    path_context: PathContext,
    fs: Filesystem,
) -> Iterator[tuple[Row, str]]:
    """Yield where the keys are that git would have signed with, if it may have failed for lack of them."""
    operands = {word for each in programs if each.program == "git" for word in each.operands}
    words = " ".join(argv)
    if exit_code != FATAL or operands.isdisjoint(_MAKES_COMMITS) or _REFUSED.search(words):
        return
    settings = _settings(path_context, fs)
    is_set = any(settings.get(f"{each}.gpgsign", "no").lower() in _YES for each in ("commit", "tag"))
    if is_set or _ASKED.search(words):
        directory = "~/.ssh" if settings.get("gpg.format") == "ssh" else "~/.gnupg"
        row = Row(directory, Access.READ, "the keys that git signs with", is_told_if_denied=True)
        yield row._replace(instead=REMEDY), "git"


def _settings(path_context: PathContext, fs: Filesystem) -> dict[str, str]:
    """Return the settings of this person and of a repository in the working directory, by lower-case name."""
    files = ("~/.config/git/config", "~/.gitconfig", join(path_context.workdir, ".git", "config"))
    texts = [fs.text(path_context.of_flag(file)) for file in files]
    found = (setting for text in texts if text is not None for setting in settings_of(text))
    return {name.lower(): unquoted(value) for name, value in found}
