"""Split a command line, scripts after `-c` included, into the programs it starts and their words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from posixpath import basename

from nono.named_tuple import NamedTuple

WORDS_MAX = 200
SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "fish", "ash"})
_PYTHONS = ("python", "pypy")
# Programs that start the program named by their first operand.
_WRAPPERS = frozenset(
    {"env", "nohup", "nice", "ionice", "time", "timeout", "setsid", "stdbuf", "exec", "command", "npx", "uvx"}
)
STARTERS = SHELLS | _WRAPPERS
_GIT_TAKES_A_VALUE = frozenset(
    {"-C", "-c", "--attr-source", "--config-env", "--git-dir", "--namespace", "--work-tree"}
)
_OPENERS = frozenset({"then", "do", "else", "if", "while", "until", "!", "{", "("})
_SEPARATORS = frozenset(";&|()")
_PUNCTUATION = ";&|()<>"
_REDIRECTION = re.compile(r"&>>?|>[>|&]?|<[<>&]*")
_SIGNS = re.compile(rf"{_REDIRECTION.pattern}|[;&|()]")
_ARITHMETIC = re.compile(r"\(\([^()]*\)\)")
_EXPANDED = frozenset("$`*?[<")  # a file with one of these is not known before the shell runs


class Started(NamedTuple):
    """A program and its operands."""

    program: str  # without its directory and the version after @
    operands: tuple[str, ...]
    word: str  # as it was typed
    written: tuple[str, ...] = ()  # files that the shell opens for it, for writing
    options: tuple[str, ...] = ()  # as they were typed

    def has_option(self, *names: str) -> bool:
        """Return True for one of the names, alone or with a value: `-h X`, `-hX`, `--host=X`."""
        return any(
            word == name or word.startswith(f"{name}=" if name.startswith("--") else name)
            for word in self.options
            for name in names
        )


def started(argv: Sequence[str]) -> list[Started]:
    """Return the programs that argv names, outermost first.

    This is a guess: nothing is expanded or looked up.
    """
    return list(_started([*argv[:WORDS_MAX]], (), depth=0))


def with_script(argv: Sequence[str], script: str) -> Sequence[str]:
    """Return a command line that names what a script starts, after what argv names."""
    return ("sh", "-c", f"{shlex.join(argv)}\n{script}") if script else argv


def _started(words: list[str], written: tuple[str, ...], depth: int) -> Iterator[Started]:
    while words and (_is_assignment(words[0]) or words[0] in _OPENERS):
        words = words[1:]
    if not words or not words[0]:
        return
    program, rest = basename(words[0]), words[1:]
    if "@" in program[1:]:  # a package of npx or uvx with its version
        program = program[: program.index("@", 1)]
    operands = tuple(word for word in rest if word and not word.startswith("-"))
    options = tuple(word for word in rest if word.startswith("-"))
    yield Started(program, operands, words[0], written, options)
    if depth > 3:
        return
    if program in SHELLS:
        script = _script(rest)
        for each in _commands(script) if script is not None else ():
            command, opened = _redirected(each)
            yield from _started(command or [program], opened, depth + 1) if command or opened else ()
    elif program.startswith(_PYTHONS) and "-m" in rest[:-1]:
        yield from _started(rest[rest.index("-m") + 1 :], written, depth + 1)
    elif program == "git" and (command := _command_of_git(rest))[:1] == ["lfs"]:
        yield from _started(["git-lfs", *command[1:]], written, depth + 1)
    elif program in _WRAPPERS:
        plain = (at for at, word in enumerate(rest) if not (word.startswith("-") or _is_number(word)))
        inner = next((at for at in plain if not _is_assignment(rest[at])), None)
        if inner is not None:
            yield from _started(rest[inner:], written, depth + 1)


def _command_of_git(words: list[str]) -> list[str]:
    """Return the words behind git's own options, as in `git -C DIR lfs install`."""
    while words and words[0].startswith("-"):
        words = words[2 if words[0] in _GIT_TAKES_A_VALUE else 1 :]
    return words


def _script(words: Sequence[str]) -> str | None:
    """Return the word after a group of short options that contains the letter c: `-c`, `-lc`."""
    for at, word in enumerate(words[:-1]):
        if not word.startswith("-"):
            return None
        if not word.startswith("--") and "c" in word:
            return words[at + 1]
    return None


def _commands(script: str) -> Iterator[list[str]]:
    """Yield the words of each simple command of a script."""
    # A comment takes the end of its line with it, and so not what ends the command. > of numbers opens none.
    lines = _ARITHMETIC.sub("", script).replace("\n", "\n ; ")
    lexer = shlex.shlex(lines, posix=True, punctuation_chars=_PUNCTUATION)
    lexer.whitespace_split, lexer.commenters = True, "#"
    words: list[str] = []
    try:
        for _, word in zip(range(WORDS_MAX), lexer, strict=False):
            # Signs that touch are one word: `)>`, `;>`.
            for each in _SIGNS.findall(word) if set(word) <= set(_PUNCTUATION) else (word,):
                if each in _SEPARATORS:
                    yield words
                    words = []
                else:
                    words.append(each)
    except ValueError:  # an unterminated quotation
        pass
    yield words


def _redirected(words: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Return the words that remain for the program, and the files that are opened for writing."""
    plain: list[str] = []
    written = []
    left = iter(words)
    for word in left:
        if _REDIRECTION.fullmatch(word) is None:
            plain.append(word)
            continue
        if plain and plain[-1].isdecimal():  # the number of a descriptor
            plain.pop()
        file = next(left, "")
        is_descriptor = word == ">&" and (file.isdecimal() or file == "-")
        if ">" in word and file and not is_descriptor and _EXPANDED.isdisjoint(file):
            written.append(file)
    return plain, tuple(written)


def _is_assignment(word: str) -> bool:
    name, is_found, _ = word.partition("=")
    return bool(is_found) and name.isidentifier()


def _is_number(word: str) -> bool:
    return word.rstrip("smhd").replace(".", "", 1).isdecimal()
