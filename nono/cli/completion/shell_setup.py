"""Return the lines to add to a shell's start-up file, which nono itself does not change."""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import basename

ADVICE: Mapping[str, tuple[str, ...]] = {
    "bash": (
        "bash: add to ~/.bashrc",
        '  eval "$(nono completion bash)"',
    ),
    "zsh": (
        "zsh: write once, in a directory of $fpath, before compinit",
        '  nono completion zsh > "${fpath[1]}/_nono"',
    ),
    "fish": (
        "fish: write once",
        "  nono completion fish > ~/.config/fish/completions/nono.fish",
    ),
}
ALIAS = (
    "A short name for a program that always runs in its sandbox:",
    "  alias agent='nono run --profile NAME -- agent'",
)


def shell_advice(environ: Mapping[str, str]) -> list[str]:
    """Return the advice for the shell that SHELL names, or for every shell if it is an unknown one."""
    shell = basename(environ.get("SHELL", ""))
    names = [shell] if shell in ADVICE else [*ADVICE]
    return [*(line for name in names for line in ADVICE[name]), *ALIAS]
