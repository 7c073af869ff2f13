"""Docstrings read as CONTRIBUTING.md says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "nono").rglob("*.py"))
ROOMS = ("nono", "tests", "benchmarks", "packaging", "docs/hooks")
# What a sentence without a verb at its head begins with.
NOT_VERBS = re.compile(
    r"(A|An|The|All|Another|As|At|Before|Below|Beside|Between|By|Each|Every|Everything|For|From|How|In|It|Its|Less"
    r"|Neither|No|Nor|Not|Of|On|One|Only|Or|Since|So|Somebody|That|Those|To|True|Two|Until|What|Where|Whether"
    r"|Whoever|Why|With|Within|Without)\b"
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def is_exempt(function: Function) -> bool:
    """Return True for a property, which is a noun, a test, which is a claim, and what does nothing."""
    is_property = any("property" in ast.unparse(each) for each in function.decorator_list)
    return is_property or function.name.startswith("test_") or len(function.body) == 1


def without_verb(source: str) -> Iterator[str]:
    """Yield the functions whose docstring begins with no verb."""
    functions = (node for node in ast.walk(ast.parse(source)) if isinstance(node, Function))
    for function in functions:
        if not is_exempt(function) and NOT_VERBS.match(ast.get_docstring(function) or ""):
            yield function.name


def test_every_module_says_what_it_is_in_one_sentence() -> None:
    for path in SOURCES:
        first = path.read_text(encoding="utf-8").split("\n", 1)[0]
        assert re.match(r'"""(nono |[A-Z`]).*', first), f"{path.relative_to(ROOT)} has no docstring"


@pytest.mark.parametrize("room", ROOMS)
def test_the_docstring_of_a_function_begins_with_a_verb(room: str) -> None:
    offenders = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / room).rglob("*.py"))
        for name in without_verb(path.read_text(encoding="utf-8"))
    ]
    assert offenders == []


@pytest.mark.parametrize(
    ("head", "found"),
    [
        ("def of(x): 'The rights of x.'; return x", ["of"]),
        ("def of(x): 'Return the rights of x.'; return x", []),
        ("@property\ndef of(x): 'The rights of x.'; return x", []),
        ("def of(x): 'A CONNECT has no body.'", []),
    ],
    ids=["a noun", "a verb", "of a property", "of what does nothing"],
)
def test_a_noun_at_the_head_is_found(head: str, found: list[str]) -> None:
    assert list(without_verb(head)) == found


# An error as a heading, "ValueError: it is gone.", where a sentence has "Raises ValueError if it is gone."
HEADED = re.compile(
    r"(?:^|[.;,)`] )[A-Z]\w*(?:Error|Unavailable|NotFound)(?:, \w+)*(?: E[A-Z]+)?: ", re.MULTILINE
)


def headed_errors(source: str) -> Iterator[str]:
    """Yield the functions and classes whose docstring names an error as a heading."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function | ast.ClassDef) and HEADED.search(ast.get_docstring(node) or ""):
            yield node.name


def test_a_docstring_names_an_error_in_a_sentence() -> None:
    offenders = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in SOURCES
        for name in headed_errors(path.read_text(encoding="utf-8"))
    ]
    assert offenders == []


@pytest.mark.parametrize(
    ("docstring", "found"),
    [
        ("OSError: it is gone.", ["of"]),
        ("Read it. OSError ENOENT: it is gone.", ["of"]),
        ("Read it.\n\n    KeyError, ValueError: there is none.", ["of"]),
        ("Read it. Raises OSError; KeyError: it is not kept.", ["of"]),
        ("Read it. Raises OSError if it is gone.", []),
    ],
    ids=["alone", "behind a sentence", "two", "in a list", "in a sentence"],
)
def test_an_error_as_a_heading_is_found(docstring: str, found: list[str]) -> None:
    assert list(headed_errors(f'def of(x):\n    """{docstring}"""\n    return x')) == found


# A message says placeholder and names what enforces a run: these two a person would have to look up.
PRIVATE_WORDS = re.compile(r"\b(phantom|rung)s?\b", re.IGNORECASE)


def told(source: str) -> Iterator[str]:
    """Yield the texts that a module may say to a person: strings of several words, but no docstring."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield from [node.value] if " " in node.value.strip() else []


def test_no_message_has_a_word_that_is_known_to_us_alone() -> None:
    offenders = [
        f"{path.relative_to(ROOT)}: {text}"
        for path in SOURCES
        for text in told(path.read_text(encoding="utf-8"))
        if PRIVATE_WORDS.search(text)
    ]
    assert offenders == []


def test_a_message_is_found_and_a_docstring_and_a_name_are_not() -> None:
    source = "def check():\n    'Check a phantom.'\n    say(f'the phantom of {x}'); mode = 'phantom'"
    assert list(told(source)) == ["the phantom of "]


def bare_errors(source: str) -> Iterator[int]:
    """Yield the lines of messages that show an OSError as Python spells it: [Errno 13] ...: '/path'."""
    for handler in ast.walk(ast.parse(source)):
        if not isinstance(handler, ast.ExceptHandler) or handler.type is None:
            continue
        if "OSError" not in ast.unparse(handler.type):
            continue
        for node in ast.walk(handler):
            if isinstance(node, ast.FormattedValue) and ast.unparse(node.value) == handler.name:
                yield node.lineno


@pytest.mark.parametrize("room", ["cli", "launch", "undo"])
def test_no_message_shows_an_errno_as_a_number(room: str) -> None:
    offenders = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / "nono" / room).rglob("*.py"))
        for line in bare_errors(path.read_text(encoding="utf-8"))
    ]
    assert offenders == []


def test_an_error_of_the_system_in_a_message_is_found_and_another_is_not() -> None:
    source = "try: go()\nexcept {} as e: say(f'no: {{{}}}')"
    assert list(bare_errors(source.format("(OSError, ValueError)", "e"))) == [2]
    assert list(bare_errors(source.format("OSError", "in_words(e)"))) == []
    assert list(bare_errors(source.format("ValueError", "e"))) == []
