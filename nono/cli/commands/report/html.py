"""Make the page of a session: one HTML file that loads nothing, runs nothing and works from a disk.

Its content was chosen by the command, its hosts and whoever named its files. The template engine escapes
everything, and a content security policy without scripts is the second barrier.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files

import jinja2
from markupsafe import Markup

from nono import __version__, amounts
from nono.cli.text.report import page as words
from nono.cli.text.run_report import spent, unusual
from nono.cli.text.session_text import one_line
from nono.named_tuple import NamedTuple
from nono.report.model import Page, cost_of

_STOPS = frozenset(("refused", "failed", "denied", "frozen", "timeout", "error"))
_LOOKS = frozenset(("asked", "granted", "rule", "turn", "hook"))


class Tile(NamedTuple):
    """One number at the top of the page."""

    number: str
    words: str
    is_bad: bool = False


def page_of(page: Page) -> str:
    """Return the HTML of a page."""
    folder = files(__package__) / "page"
    css = (folder / "report.css").read_text(encoding="utf-8")
    hashed = b64encode(sha256(css.encode("utf-8")).digest()).decode("ascii")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        inside=lambda path: words.inside(page, path),
        moved=words.moved,
        statuses=unusual,
        line=one_line,
        moment=amounts.moment,
        clock=amounts.clock,
        side=_side,
        tone=_tone,
    )
    session = page.session
    ended_ms = session.ended_ms
    template = environment.from_string((folder / "report.html").read_text(encoding="utf-8"))
    return template.render(
        page=page,
        # nono's own text, hashed unchanged: the only thing on the page that is not escaped.
        css=Markup(css),
        policy=f"default-src 'none'; style-src 'sha256-{hashed}'; base-uri 'none'; form-action 'none'",
        duration="" if ended_ms is None else spent((ended_ms - session.started_ms) / 1000),
        tiles=[*_tiles(page)],
        later=[(words.inside(page, each.path), each.reason) for each in page.later],
        sections=[*words.tables(page)],
        words=words,
        version=__version__,
    )


def _tiles(page: Page) -> Iterator[Tile]:
    report = page.report
    hosts = [host for host in report.hosts if host.requests]
    requests = sum(host.requests for host in hosts)
    yield Tile(f"{requests:,}", f"{_noun(requests, 'request')} to {amounts.several(len(hosts), 'host')}")
    refused = sum(each.times for each in page.denials)
    yield Tile(f"{refused:,}", f"{_noun(refused, 'denial')}", is_bad=bool(refused))
    if usage := report.usage:
        cost = cost_of(usage)
        yield Tile(amounts.short(sum(each.input_tokens + each.output_tokens for each in usage)), "tokens")
        if cost is not None:
            yield Tile(amounts.money(cost), f"at list prices of {report.prices_of}")
    if page.files is not None:
        files = words.count_of(page.files)
        yield Tile(f"{files:,}", f"{_noun(files, 'file')} changed")
    if page.later:
        count = len(page.later)
        yield Tile(
            f"{count:,}", f"{_noun(count, 'file that runs', 'files that run')} outside later", is_bad=True
        )


def _noun(count: int, one: str, many: str | None = None) -> str:
    return one if count == 1 else many or f"{one}s"


def _side(row: str) -> str:
    """Return the CSS class of a line of a diff. The sign at its beginning says the same."""
    if row.startswith("@@"):
        return "at"
    return {"+": "plus", "-": "minus"}.get(row[:1], "same")


def _tone(kind: str) -> str:
    return "stop" if kind in _STOPS else "look" if kind in _LOOKS else "usual"
