"""Help says all there is to know of a command, fits any width, and costs nothing where none is asked for."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nono.cli.args.options import OPTIONS, SANDBOX, SHELL, own_options_of
from nono.cli.command_table import COMMANDS, offered_parsers
from nono.cli.completion.choices import choices
from nono.cli.help import sections
from nono.cli.help.manual import man_pages
from nono.cli.help.page import Entry, Page, Section
from nono.cli.help.page_of import page_of, subparsers_of
from nono.cli.help.settings import CONFIG
from nono.cli.help.terminal import Look, lines_of
from nono.cli.main import main
from nono.settings.user_config import UserConfig
from support.help.pages import DIRECTORY, WIDTHS, name_of, pages, snapshot

PAGES = {name_of(page): page for page in pages()}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_looks_as_its_snapshot(name: str) -> None:
    """`make golden` writes them anew; read the difference."""
    assert snapshot(PAGES[name]) == (DIRECTORY / name).read_text(encoding="utf-8")


def test_no_snapshot_is_of_a_page_that_has_gone() -> None:
    assert {path.name for path in DIRECTORY.iterdir()} == {*PAGES}


def test_no_page_is_wider_than_the_terminal() -> None:
    for page in PAGES.values():
        for width in (50, *WIDTHS):
            lines = lines_of(page, Look(width), is_long=True)
            assert [line for line in lines if len(line) > width] == [], (page.words, width)


def test_no_word_is_broken_in_the_middle() -> None:
    """At 60 columns a page has the words that it has at 100."""

    def words(page: Page, width: int) -> list[str]:
        found = " ".join(lines_of(page, Look(width), is_long=True)).split()
        return [word for word in found if word not in ("#", "\\")]

    for page in PAGES.values():
        assert sorted(words(page, 60)) == sorted(words(page, 100)), page.words


@pytest.mark.parametrize("command", SANDBOX)
def test_the_usage_has_a_command_where_one_is_taken(command: str) -> None:
    """`nono shell` runs the person's shell, and refuses another command."""
    (page,) = (each for each in PAGES.values() if each.words == ("nono", command))
    assert ("COMMAND" in page.usage) is (command != SHELL)


@pytest.mark.parametrize("command", SANDBOX)
def test_each_option_of_a_run_stands_under_a_heading(command: str) -> None:
    shown = {option.flags[0] for option in own_options_of(command) if option.available and option.is_shown}
    assert shown - {*sections.headings(command, is_sandbox=True)} == set()


def test_the_long_help_names_the_variable_of_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for option in own_options_of("run"):
        if option.env and option.is_shown and option.available:
            assert f"[env: {option.env}]" in text


@pytest.mark.parametrize(
    "detail",
    [
        "[default: auto]",
        "[possible values: auto, landlock, external, netns]",
        "[possible values: minimal, ",
        "[may be repeated]",
        "[may be repeated, or separated by commas]",
        "nono run --allow . -- make test",
    ],
)
def test_only_the_long_help_says_the_details(detail: str, capsys: pytest.CaptureFixture[str]) -> None:
    texts = {}
    for flag in ("-h", "--help"):
        assert main(["run", flag]) == 0
        texts[flag] = " ".join(capsys.readouterr().out.split())
    assert (detail in texts["-h"], detail in texts["--help"]) == (False, True)


def test_the_short_help_of_a_run_has_sixty_lines_at_most(capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "-h"])
    assert len(capsys.readouterr().out.splitlines()) <= 60


@pytest.mark.parametrize(
    ("argv", "same"),
    [
        (["help"], ["--help"]),
        (["help", "run"], ["run", "--help"]),
        (["help", "credential", "set"], ["credential", "set", "--help"]),
        (["version"], ["--version"]),
        (["ls", "-h"], ["ps", "-h"]),
        (["credential", "ls", "-h"], ["credential", "list", "-h"]),
    ],
    ids=repr,
)
def test_what_people_type_is_understood(
    argv: list[str], same: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for words in (argv, same):
        assert main(words) == 0
        said.append(capsys.readouterr())
    assert said[0] == said[1]
    assert said[0].out


@pytest.mark.parametrize("topic", ["environment", "exit-codes", "files"])
def test_a_topic_has_a_page(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", topic]) == 0
    assert "Usage: " in capsys.readouterr().out


@pytest.mark.parametrize("words", [["rnu"], ["credential", "sett"]])
def test_help_on_what_there_is_not_names_the_nearest(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["help", *words]) == 2
    assert "did you mean" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["policy", "connect-helper", "--allow-net", "--theme"])
def test_what_nobody_types_is_in_no_page(command: str) -> None:
    for page in PAGES.values():
        names = [name for section in page.sections for entry in section.entries for name in entry.names]
        assert command not in names


@pytest.mark.parametrize(
    ("environ", "is_coloured"),
    [
        ({}, False),
        ({"CLICOLOR_FORCE": "1"}, True),
        ({"CLICOLOR_FORCE": "0"}, False),
        ({"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, False),
    ],
    ids=repr,
)
def test_colours_obey_the_environment(
    environ: dict[str, str],
    is_coloured: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("NO_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    main(["ps", "--help"])
    assert ("\x1b[" in capsys.readouterr().out) == is_coloured


def test_colours_change_no_character_of_the_text() -> None:
    for page in PAGES.values():
        plain, coloured = ([*lines_of(page, Look(80, colour), is_long=True)] for colour in (False, True))
        assert [re.sub(r"\x1b\[\d*m", "", line) for line in coloured] == plain


def test_a_value_is_quoted_as_it_is() -> None:
    entry = Entry(("--x", "-x"), "do x", "X", default="1", variable="NONO_X", values=("a", "b"), repeats=True)
    page = Page(("nono", "x"), "x", "X.", "nono x", (Section("Options", (entry,)),))
    assert [*lines_of(page, Look(100), is_long=True)][-1] == (
        "  -x, --x X  do x [default: 1] [env: NONO_X] [possible values: a, b] [may be repeated]"
    )


def test_the_settings_that_the_manual_describes_are_those_there_are() -> None:
    there = {name: {*section._fields} for name, section in UserConfig()._asdict().items()}
    assert {name: {*texts} for name, texts in CONFIG.items()} == there


def test_each_option_has_a_help_text() -> None:
    assert [option.flags[0] for option in OPTIONS if option.is_shown and not option.help] == []


def test_each_operand_has_a_help_text() -> None:
    for page in PAGES.values():
        for section in page.sections:
            assert [entry.title for entry in section.entries if not entry.text] == [], page.words


def test_the_manual_is_written_where_no_dependency_is_installed() -> None:
    """As when the wheel is built. `anyio` stands for what a command may import at its head."""
    code = (
        "import sys, types; sys.path.insert(0, '.'); name = 'hatchling.builders.hooks.plugin.interface'; "
        "sys.modules[name] = types.SimpleNamespace(BuildHookInterface=object); import hatch_build; "
        "texts = dict(hatch_build._texts('.')); "
        "print('share/man/man1/nono-run.1' in texts, len(texts) > 25); "
        "sys.path.append('.'); import anyio"
    )
    root = Path(__file__).parents[4]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], cwd=root, capture_output=True, text=True, timeout=30
    )
    assert done.stdout == "True True\n"
    assert done.stderr.endswith("No module named 'anyio'\n")  # nothing stands in for it afterwards


def test_a_command_that_imports_a_dependency_has_its_page_all_the_same() -> None:
    code = (
        "import sys, types; sys.path.insert(0, '.'); name = 'hatchling.builders.hooks.plugin.interface'; "
        "sys.modules[name] = types.SimpleNamespace(BuildHookInterface=object); import hatch_build\n"
        "with hatch_build._importable('.'):\n"
        "    from cryptography.hazmat.primitives.asymmetric import ec\n"
        "    from backports import zstd\n"
        "    import anyio.abc\n"
        "    class Mine(zstd.ZstdError): pass\n"
        "    print(ec.ECDSA.name, issubclass(Mine, Exception), anyio.abc)\n"
    )
    root = Path(__file__).parents[4]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], cwd=root, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_manual_has_a_page_for_each_command() -> None:
    names = {name for name, _ in man_pages(offered_parsers(), choices())}
    offered = {name for name, command in COMMANDS.items() if not command.is_hidden}
    assert names == {"nono.1", "nono-profile.5", "nono-config.5", *(f"nono-{name}.1" for name in offered)}


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff, which man-db brings")
def test_no_man_page_has_a_mistake_that_groff_knows() -> None:
    """-ww warns of everything; -z prints nothing else."""
    text = "".join(text for _, text in man_pages(offered_parsers(), choices()))
    done = subprocess.run(
        ["groff", "-man", "-ww", "-z", "-Tutf8", "-rLL=80n"],
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_an_action_has_a_page_of_its_own() -> None:
    parsers = {name: parser for name, _, parser in offered_parsers()}
    found = [page_of(each, about, {}).words for about, each in subparsers_of(parsers["credential"])]
    assert ("nono", "credential", "set") in found


def test_no_variable_is_named_where_none_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "--help"]) == 0
    assert "NONO_ALLOW" not in capsys.readouterr().out
