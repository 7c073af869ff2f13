"""Ask on the screen of `nono top`: answer the question of a session, or stop one."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from nono.approval.tty import SHOWN_S
from nono.cli.commands.top.acts import Word

_WORDS: Mapping[str, Word] = {"allow": "allow", "deny": "deny"}
_CSS = """
{name} { align: center middle; }
{name} > Vertical { width: 76; height: auto; max-height: 20; border: ascii $foreground; padding: 0 1; }
{name} VerticalScroll { height: auto; max-height: 16; }
{name} .keys { height: 1; margin-top: 1; text-style: bold; }
"""


class _Dialog[Result](ModalScreen[Result]):
    """Show a text, and below it the keys that close the dialog."""

    KEYS: ClassVar[str]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        with Vertical():
            yield VerticalScroll(Static(self._text, markup=False))
            yield Static(self.KEYS, classes="keys", markup=False)


class Asked(_Dialog[Word | None]):
    """Show one question of a session. The result is the answer; None: not now."""

    CSS = _CSS.replace("{name}", "Asked")
    KEYS = "y allow once   n deny   Esc later"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("y", "answer('allow')", "allow once"),
        ("n", "answer('deny')", "deny"),
        ("escape,ctrl+c", "answer('')", "later"),
    ]

    def on_mount(self) -> None:
        self._since = monotonic()

    def action_answer(self, word: str) -> None:
        # A command may withdraw the question that was read, and ask another one as the keys are typed.
        if word == "allow" and monotonic() < self._since + SHOWN_S:
            return
        self.dismiss(_WORDS.get(word))


class Confirmed(_Dialog[bool]):
    """Ask whether to go on. Anything but y is a no."""

    CSS = _CSS.replace("{name}", "Confirmed")
    KEYS = "y yes   n no"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("y", "decide(True)", "yes"),
        ("n,escape,ctrl+c,q", "decide(False)", "no"),
    ]

    def action_decide(self, is_yes: bool) -> None:
        self.dismiss(is_yes)
