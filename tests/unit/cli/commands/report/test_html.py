"""The page of a session: whatever stands in a log is text on it, and its policy lets nothing run or load."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

from nono.cli.commands.report.html import page_of
from nono.cli.text.report.page import text_of
from nono.proxy.usage.ledger import UsageTotal
from nono.report.model import (
    AllowedBy,
    Approval,
    CredentialUse,
    Denial,
    Endpoint,
    FileChange,
    Host,
    Integrity,
    Moment,
    Page,
    Report,
    RuleChange,
    RunsLater,
    Session,
    Turn,
)  # fmt: skip

EVIL = (
    "</style></title><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "'\"{{7*7}}&\x1b[31m\u202e"
)


def page(text: str) -> Page:
    """Return a page that has this text wherever a command, a host or a file name can put one."""
    session = Session("0123456789abcdef", text, text, text, text, text, "exited(1)", text, 1_000, 61_000)
    endpoints = (Endpoint(text, text, 3, 1, {200: 2, 500: 1}),)
    report = Report(
        events=9,
        damaged=0,
        hosts=(Host(text, 3, 1, 1, 10, 20, endpoints, (AllowedBy(text, text),)),),
        sockets=((text, 2),),
        credentials=(CredentialUse(text, (text,), 2, text),),
        turns=(Turn(1, 1_000, 2, (UsageTotal(text, text, 2, 1000, 0, 200, 0.5),)),),
        approvals=(Approval(1_000, text, "granted", text, text),),
        rules=(RuleChange(1_000, "added", text, text),),
        timeline=(Moment(1_000, text, text, 2),),
        left_out=3,
        notes=(text,),
        prices_of="2026-11",
    )
    return Page(
        session,
        report,
        (Denial(text, text, 2, text, text), Denial(text, text, 1, None, text)),
        (
            FileChange(text, "modified", 5, 1, ("@@ -1 +1 @@", f"-{text}", f"+{text}")),
            FileChange(text, "created"),
        ),
        (RunsLater(text, text),),
        Integrity(False, text, 9),
    )


class Tags(HTMLParser):
    """The elements of a page, and the text outside of style."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(text: str) -> Tags:
    tags = Tags()
    tags.feed(page_of(page(text)))
    tags.close()
    return tags


def test_every_table_can_be_read_aloud() -> None:
    found = parsed("plain").found
    tables = [attributes for tag, attributes in found if tag == "table"]
    heads = [attributes for tag, attributes in found if tag == "th"]
    assert len(tables) > 3
    assert all(attributes.get("aria-label") for attributes in tables)
    assert all(attributes.get("scope") == "col" for attributes in heads)


def test_markup_in_a_log_makes_no_element_on_the_page() -> None:
    evil, plain = parsed(EVIL), parsed("plain")
    assert [tag for tag, _ in evil.found] == [tag for tag, _ in plain.found]
    assert {name for _, attributes in evil.found for name in attributes} == {
        name for _, attributes in plain.found for name in attributes
    }
    assert evil.text.count("document.title") >= 30  # shown, as text
    assert "{{7*7}}" in evil.text  # nor was it a template


def test_what_would_change_a_terminal_or_the_direction_is_spelled_out() -> None:
    for shown in (page_of(page(EVIL)), text_of(page(EVIL))):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert "\\u202e" in shown


def test_the_policy_allows_the_one_style_and_nothing_else() -> None:
    html = page_of(page("plain"))
    style = html.partition("<style>")[2].partition("</style>")[0]
    hashed = b64encode(sha256(style.encode()).digest()).decode()
    policies = [
        attributes["content"] for _, attributes in parsed("plain").found if "http-equiv" in attributes
    ]
    assert policies == [
        f"default-src 'none'; style-src 'sha256-{hashed}'; base-uri 'none'; form-action 'none'"
    ]


def test_the_page_names_no_other_place() -> None:
    tags = parsed("plain")
    assert not {tag for tag, _ in tags.found} & {
        "a",
        "base",
        "form",
        "iframe",
        "img",
        "link",
        "object",
        "script",
    }
    assert not {name for _, attributes in tags.found for name in attributes} & {
        "href",
        "src",
        "style",
        "onclick",
    }


def test_the_text_of_a_terminal_keeps_to_80_columns() -> None:
    for text in ("plain", "word " * 60, "x" * 300, EVIL):
        assert max(map(len, text_of(page(text)).splitlines())) <= 80


def test_markup_of_the_terminal_library_is_text() -> None:
    assert "[red]" in text_of(page("[red]"))


def test_the_files_of_the_project_stand_first_in_the_table_of_changes() -> None:
    state, git, work = "/home/ada/.codex/1", "/home/ada/work/.git/index", "/home/ada/work/main.c"
    plain = page("plain")
    shown = text_of(
        plain._replace(
            session=plain.session._replace(workdir="/home/ada/work"),
            files=(
                FileChange(state, "created"),
                FileChange(git, "modified"),
                FileChange(work, "created", 1, 2),
            ),
        )
    )
    assert shown.index("main.c") < min(shown.index(state), shown.index(".git/index"))


def test_rules_and_endpoints_that_a_page_leaves_out_are_counted() -> None:
    plain = page("plain")
    host = plain.report.hosts[0]

    def shown(count: int) -> str:
        rules = tuple(AllowedBy(f"rule-{each}", None) for each in range(count))
        endpoints = tuple(Endpoint("GET", f"/{each}", 1, 0, {}) for each in range(count))
        hosts = (host._replace(allowed_by=rules, endpoints=endpoints),)
        return text_of(plain._replace(report=plain.report._replace(hosts=hosts)))

    assert "more rule" not in shown(4)
    assert "more endpoint" not in shown(4)
    assert "by 2 more rules" in shown(6)
    assert "2 more endpoints" in shown(6)
    assert "rule-5" not in shown(6)
