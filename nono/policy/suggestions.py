"""Suggest a remedy: the name that was probably meant, or the packages that an option lacks."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from nono.printable import shell_word

# As [project.optional-dependencies] of pyproject.toml has them.
EXTRAS = {
    "anchor": ("rfc3161-client>=1.0.9,<2",),
    "aws": ("botocore>=1.40",),
    "cose": ("cbor2>=5.6",),
    "otlp": ("opentelemetry-sdk>=1.45,<2", "opentelemetry-exporter-otlp-proto-http>=1.45,<2"),
    "keyless": ("sigstore>=4.5,<5",),
    "screen": ("pyghostty>=0.1.3,<0.2",),
}


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return a hint with the known name closest to `name`; None if none is close.

    `node` is meant for node-dev, although opencode has more of its letters in a row.
    """
    from difflib import get_close_matches  # costs a millisecond, paid only on a mistake

    names = list(known)
    longer = sorted((each for each in names if name and each.startswith(f"{name}-")), key=len)
    near = longer or get_close_matches(name, names, n=1)
    return f"did you mean '{near[0]}'?" if near else None


def install_command(extra: str) -> str:
    """Return the command that adds an extra to the environment of this nono.

    It names the packages themselves: `nono` on PyPI is another project, which a pip of another environment
    would fetch. With --python one pip serves every environment, also those of uv and pipx, which have none.
    """
    words = ("pip", "--python", sys.executable, "install", *EXTRAS[extra])
    return " ".join(shell_word(word) for word in words)
