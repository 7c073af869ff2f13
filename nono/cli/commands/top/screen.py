"""Draw the screen of `nono top` with textual."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import DataTable, Footer, Static

from nono.cli.commands.top import acts
from nono.cli.commands.top.questions import Asked, Confirmed
from nono.cli.text import approvals_text, session_text, top_text
from nono.cli.text.top_text import Watched
from nono.clock import unix_ms
from nono.errors import NonoError

LOOK_EVERY_S = 1.0
NOTHING = "No session runs. `nono run` starts one; --all shows those that have ended."


class Top(App[None]):
    """All sessions in a table. What a command may have written is shown as plain text, never as markup."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #headline { height: 1; text-style: bold; padding: 0 1; }
    DataTable { height: 1fr; min-height: 4; }
    DataTable > .datatable--cursor, DataTable:focus > .datatable--cursor {
        background: ansi_default; color: ansi_default; text-style: reverse;
    }
    #below { height: auto; max-height: 8; border-top: ascii $foreground; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "attach", "attach", priority=True),
        Binding("s", "stop", "stop"),
        Binding("a", "answer", "answer the oldest question"),
        Binding("q,ctrl+c", "quit", "quit"),
    ]

    def __init__(
        self, look: Callable[[], list[Watched]], environ: Mapping[str, str], *, has_all: bool
    ) -> None:
        """look: returns the state of the sessions; runs in a thread.

        has_all: also show all that have ended.
        """
        super().__init__(ansi_color=True)  # without this, NO_COLOR would print black on black in what follows
        self.theme = "ansi-dark"  # the terminal's own colours
        self._look = look
        self._environ = environ
        self._has_all = has_all
        self._shown: Sequence[Watched] = ()
        self._again = asyncio.Event()
        self._headline = Static("", id="headline", markup=False)
        self._table: DataTable[Text] = DataTable(cursor_type="row")
        self._below = Static("", markup=False)

    def compose(self) -> ComposeResult:
        yield self._headline
        yield self._table
        yield VerticalScroll(self._below, id="below", can_focus=False)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        for name, width in zip(top_text.HEADERS, top_text.WIDTHS, strict=True):
            self._table.add_column(Text(name), width=width, key=name)
        self._table.focus()
        self._follow()

    @work
    async def _follow(self) -> None:
        while True:
            self._again.clear()
            try:
                every = await asyncio.to_thread(self._look)
            except NonoError as error:
                self._tell_error(error)
            else:
                self.show(top_text.shown(every, unix_ms(), has_all=self._has_all))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._again.wait(), LOOK_EVERY_S)

    def show(self, shown: Sequence[Watched]) -> None:
        """Show these sessions. The cursor stays on the same session."""
        selected, at = self.selected, self._table.cursor_row
        is_same = _ids(shown) == _ids(self._shown)
        self._shown = shown
        if not is_same:
            self._table.clear()
        for each in shown:
            session_id, row = each.record.session_id, [Text(cell) for cell in top_text.cells(each)]
            if not is_same:
                self._table.add_row(*row, key=session_id)
                continue
            for name, cell in zip(top_text.HEADERS, row, strict=True):
                if self._table.get_cell(session_id, name) != cell:
                    self._table.update_cell(session_id, name, cell)
        if not is_same and shown:
            ids = _ids(shown)
            if selected is not None and selected.record.session_id in ids:
                at = ids.index(selected.record.session_id)
            self._table.move_cursor(row=min(at, len(ids) - 1))
        self._headline.update(top_text.headline(shown))
        self._describe()

    def on_data_table_row_highlighted(self) -> None:
        self._describe()

    def _describe(self) -> None:
        selected = self.selected
        lines = [NOTHING] if selected is None else top_text.details(selected, unix_ms())
        self._below.update("\n".join(lines))

    @property
    def selected(self) -> Watched | None:
        """Return the session under the cursor."""
        row = self._table.cursor_row
        return self._shown[row] if 0 <= row < len(self._shown) else None

    def action_attach(self) -> None:
        selected = self.selected
        if selected is None:
            return
        try:
            with self.suspend():
                said = acts.attach(selected.record.session_id, self._environ)
        except SuspendNotSupported:
            said = "This terminal cannot show another program."
        if said:
            self._tell(said)
        self._again.set()

    @work
    async def action_stop(self) -> None:
        selected = self.selected
        if selected is None or selected.record.is_ended:
            return
        session_id, name = selected.record.session_id, session_text.short_name(selected.record)
        lines = (f"Stop {name}, and all that it has started?", "", *top_text.details(selected, unix_ms()))
        if await self.push_screen_wait(Confirmed("\n".join(lines))):
            self._tell(f"Stopping {name} ...")
            await self._do(lambda: acts.stop(session_id, self._environ))

    @work
    async def action_answer(self) -> None:
        found = top_text.oldest(self._shown)
        if found is None:
            self._tell("Nothing waits for an answer.")
            return
        session, question = found
        text = "\n".join(approvals_text.details(question, session.record, unix_ms()))
        word = await self.push_screen_wait(Asked(text))
        if word is not None:
            # For the question that was shown: meanwhile another one may have become the oldest.
            await self._do(lambda: acts.answer(session.record.session_id, question, word, self._environ))

    async def _do(self, act: Callable[[], str]) -> None:
        try:
            self._tell(await asyncio.to_thread(act))
        except NonoError as error:
            self._tell_error(error)
        self._again.set()

    def _tell(self, text: str) -> None:
        self.notify(text, markup=False)

    def _tell_error(self, error: NonoError) -> None:
        self.notify("\n".join(filter(None, (error.message, error.hint))), severity="error", markup=False)


def _ids(shown: Sequence[Watched]) -> list[str]:
    return [each.record.session_id for each in shown]
