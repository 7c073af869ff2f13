"""Draws docs/demo.svg: what `make demo` shows at a terminal of 80 columns. `make picture` renews it."""

from __future__ import annotations

import os
import pty
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs/demo.svg"
COLUMNS = 80
# From one heading to another that is left out, so that it fits a screen.
BEGINS, ENDS = "2. The agent", "5. The agent"
# Dark, on a ground of its own, so that a light page and a dark one show the same; contrasts of 7 and more.
THEME = TerminalTheme(
    (22, 27, 34),
    (230, 237, 243),
    [(110, 118, 129), (255, 161, 152), (126, 231, 135), (242, 204, 96), (121, 192, 255), (210, 168, 255),
     (118, 227, 234), (230, 237, 243)],
)  # fmt: skip


def main() -> None:
    shown = recorded([sys.executable, "-m", "tests.demo"])
    lines = shown.replace("\r\n", "\n").split("\n")
    starts = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in lines]
    first = next(number for number, line in enumerate(starts) if line.startswith(BEGINS))
    last = next(number for number, line in enumerate(starts) if line.startswith(ENDS))
    shown = "\n".join(["$ make demo", "", *lines[first:last]]).rstrip()
    TARGET.write_text(drawn(f"{shown}\n"), encoding="utf-8")
    print(f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size // 1024} kB")


def recorded(command: list[str]) -> str:
    """Return what the command prints at a terminal. Raises SystemExit if it fails."""
    chunks: list[bytes] = []

    def keep(descriptor: int) -> bytes:
        chunk = os.read(descriptor, 65536)
        chunks.append(chunk)
        return chunk

    status = os.waitstatus_to_exitcode(pty.spawn(command, keep))
    if status != 0:
        raise SystemExit(f"the demo ended with {status}")
    return b"".join(chunks).decode()


def drawn(shown: str) -> str:
    with open(os.devnull, "w") as nowhere:
        console = Console(
            file=nowhere, record=True, width=COLUMNS, force_terminal=True, color_system="standard"
        )
        console.print(Text.from_ansi(shown), soft_wrap=True)
        svg = console.export_svg(title="nono", theme=THEME, unique_id="demo")
    # A page that shows it asks nobody for a font.
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL).replace("Fira Code, ", "") + "\n"


if __name__ == "__main__":
    main()
