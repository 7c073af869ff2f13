"""Find the npx or uvx package that a file belongs to, by its path."""

from __future__ import annotations

_NPX, _UV = "_npx", "archive-v0"  # directories in npm's cache (libnpmexec) and in uv's


def tree_of(path: str) -> str | None:
    """Return the package's directory, with everything installed for it; None for any other file."""
    names = path.split("/")
    for at, name in enumerate(names[:-2]):
        inside = names[at + 2 :]
        if (name == _NPX and inside[0] == "node_modules") or (name == _UV and "site-packages" in inside):
            return "/".join(names[: at + 2])
    return None
