"""Parse the arguments of the commands that describe a sandbox into an Invocation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from posixpath import basename

from nono.cli.args import options
from nono.cli.args.contradictions import refuse_contradictions
from nono.cli.args.options import (
    FALSE_WORDS,
    LEGACY_ENVIRONMENT,
    OPTIONS,
    TRUE_WORDS,
    WHY,
    Kind,
    Option,
    options_of,
)
from nono.cli.args.scan import Scanned, scan
from nono.errors import ConfigError, NonoError, UsageError
from nono.named_tuple import NamedTuple
from nono.policy.capability import Namespaces, SandboxPolicy
from nono.policy.request import RunRequest
from nono.printable import shell_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from typing import Any


type Exists = Callable[[str], bool]

# Options that hardly another program has: among the words of a command they were most likely meant for nono.
_OURS_ALONE = frozenset(
    {
        "--allow",
        "--allow-cwd",
        "--allow-domain",
        "--allow-file",
        "--block-net",
        "--network-profile",
        "--read-file",
        "--write-file",
    }
)


def _nothing(_: str) -> bool:
    return False


class Given(NamedTuple):
    """The options given on the command line and in the environment; `values` has no entry for the others."""

    values: Mapping[str, object]
    warnings: tuple[str, ...]
    insisted: tuple[str, ...] = ()  # warnings that are printed even with --silent

    def flag(self, dest: str) -> bool:
        return bool(self.values.get(dest))

    def count(self, dest: str) -> int:
        value = self.values.get(dest)
        return value if isinstance(value, int) else 0

    def value(self, dest: str) -> str | None:
        value = self.values.get(dest)
        return None if value is None else str(value)

    def list(self, dest: str) -> tuple[str, ...]:
        value = self.values.get(dest)
        return tuple(str(item) for item in value) if isinstance(value, list) else ()

    def pairs(self, dest: str) -> tuple[tuple[str, str], ...]:
        value = self.values.get(dest)
        return tuple((str(first), str(second)) for first, second in value) if isinstance(value, list) else ()

    def ports(self, dest: str) -> tuple[int, ...]:
        value = self.values.get(dest)
        return tuple(int(item) for item in value) if isinstance(value, list) else ()

    def of(self, option: Option) -> object:
        """Return the value, in the type that the option's kind stands for."""
        match option.kind:
            case Kind.FLAG:
                return self.flag(option.dest)
            case Kind.COUNT:
                return self.count(option.dest)
            case Kind.VALUE:
                return self.value(option.dest)
            case Kind.LIST:
                return self.list(option.dest)
            case Kind.PORTS | Kind.PORT_RANGES:
                return self.ports(option.dest)
            case Kind.PAIRS:
                return self.pairs(option.dest)

    @property
    def options(self) -> Iterator[Option]:
        """Iterate over the options that were given, in the order of OPTIONS."""
        return (option for option in OPTIONS if option.dest in self.values)


class Invocation(NamedTuple):
    """One sandbox command as it was typed."""

    given: Given
    silent: bool
    command: tuple[str, ...]  # the program and its arguments
    standalone_proxy: bool = False
    refuses_missing: bool = False

    @property
    def request(self) -> RunRequest:
        asked: dict[str, Any] = {o.dest: self.given.of(o) for o in self.given.options if o.in_request}
        asked["sandbox_policy"] = _sandbox_policy(self.given.value("sandbox_policy"))
        asked["namespaces"] = _namespaces(self.given.value("namespaces"))
        return RunRequest(
            **asked, standalone_proxy=self.standalone_proxy, refuses_missing=self.refuses_missing
        )


def parse(
    command: str,
    description: str,
    argv: Sequence[str],
    environ: Mapping[str, str],
    exists: Exists = _nothing,
) -> Invocation:
    """Parse argv after a subcommand such as `run` or `wrap`. Options end at the first other word.

    exists: Says whether there is something at a path, as it was typed.

    Raises NonoError for a mistake, also in a variable of the environment.
    """
    scanned = scan(command, argv) or _with_argparse(command, description, argv)
    words = scanned.rest[1:] if scanned.rest[:1] == ["--"] else scanned.rest
    ours = argv[: len(argv) - len(scanned.rest)]
    given = collect(command, scanned.values, ours, environ, exists)
    if scanned.rest[:1] != ["--"]:
        given = given._replace(warnings=(*given.warnings, *_behind(command, words)))
    refuse_contradictions(given.values, scanned.values)
    if command == options.SHELL:
        if words:
            raise NonoError(
                f"nono shell runs no other command: '{words[0]}'", hint="nono run [options] -- COMMAND"
            )
    elif not words and not (command == options.RUN and given.value("profile")):  # it may name a command
        raise no_command(command)
    if _sandbox_policy(given.value("sandbox_policy")) is not None and command != options.RUN:
        raise ConfigError("--sandbox-policy is only supported by `nono run`.")
    _namespaces(given.value("namespaces"))
    return Invocation(given, scanned.silent, tuple(words), refuses_missing=not given.flag("allow_missing"))


def _behind(command: str, words: Sequence[str]) -> Iterator[str]:
    """Yield a warning if an option that only nono has stands behind the command, which gets it."""
    for word in words:
        flag = word.partition("=")[0]
        if word == "--" or basename(word) == "nono":  # which has these options too
            return
        if flag in _OURS_ALONE:
            program = shell_word(words[0])
            yield (
                f"{flag} stands behind {program}, which gets it; nono's options stand before: "
                f"nono {command} [options] -- {program}"
            )
            return


def _with_argparse(command: str, description: str, argv: Sequence[str]) -> Scanned:
    parsed = vars(sandbox_parser(command, description, argv).parse_args(list(argv)))
    return Scanned(parsed, parsed.get("silent", False), parsed["command"])


def sandbox_parser(command: str, description: str, argv: Sequence[str] = ()) -> ArgumentParser:
    """Return the parser of a subcommand that starts a command."""
    # Imported here, as below: only help, and what scan() leaves over, need it.
    from argparse import REMAINDER, SUPPRESS

    from nono.cli.args import argparse_parser

    usage = "%(prog)s [options]" + ("" if command == options.SHELL else " [--] COMMAND ...")
    parser = argparse_parser.new_parser(f"nono {command}", description, usage)
    argparse_parser.add_options(parser, command, argv)
    parser.add_argument("command", nargs=REMAINDER, help=SUPPRESS)
    return parser


def no_command(command: str) -> NonoError:
    return NonoError("No command specified", hint=f"nono {command} [options] -- COMMAND")


def parse_proxy(description: str, argv: Sequence[str], environ: Mapping[str, str]) -> Invocation:
    """Parse argv of `nono proxy`, after the subcommand."""
    parsed = vars(proxy_parser(description, argv).parse_args(list(argv)))
    given = collect(options.PROXY, parsed, argv, environ)
    return Invocation(given, parsed.get("silent", False), (), standalone_proxy=True)


def proxy_parser(description: str, argv: Sequence[str] = ()) -> ArgumentParser:
    """Return the parser of `nono proxy`."""
    from nono.cli.args import argparse_parser

    parser = argparse_parser.new_parser("nono proxy", description)
    argparse_parser.add_options(parser, options.PROXY, argv)
    return parser


def collect(
    command: str,
    parsed: Mapping[str, object],
    argv: Sequence[str],
    environ: Mapping[str, str],
    exists: Exists = _nothing,
) -> Given:
    """Combine parsed options with environment variables. exists: As for parse().

    Raises UsageError for an unavailable or empty one.
    """
    environ, warnings = _with_legacy(environ)
    insisted: list[str] = []
    values: dict[str, object] = {}
    for option in options_of(command):
        value = parsed.get(option.dest)
        if value is None and option.env and command != WHY:
            value = _from_environment(option, environ)
        if value is None or value is False:
            continue
        if not option.available:
            raise UsageError(f"{option.flags[0]}: {option.help}.")
        if option.splits_commas and isinstance(value, list):
            value = [part for item in value for part in _parts(item, exists)]
        if any(part == "" or "" in _pair(part) for part in (value if isinstance(value, list) else [value])):
            # Most likely an unset shell variable; as a path, it would mean the working directory.
            raise UsageError(f"{option.flags[0]}: its value is empty.")
        _refuse_two(option, value)
        values[option.dest] = value
        # An old flag that lifts a protection will stop working one day, so its owner must be warned in any
        # case.
        (insisted if option.dest == "bypass_protection" else warnings).extend(_deprecations(option, argv))
    return Given(values, tuple(warnings), tuple(insisted))


def _parts(item: str, exists: Exists) -> list[str]:
    """Split paths at commas, unless all of it is a path: the name of a directory may hold one."""
    if exists(item) or ("," not in item and not item.isspace()):
        return [item]  # with its blanks: without them it may be another path
    # Without any part it stays an empty value, which is refused.
    return [part.strip() for part in item.split(",") if part.strip()] or [""]


def _refuse_two(option: Option, value: object) -> None:
    """Raise UsageError if a list gives two values to one name, or for the one port that there is.

    The last would count, and nobody would be told.
    """
    if option.kind is Kind.PAIRS:
        pairs = [(str(name), str(text)) for text, name in value] if isinstance(value, list) else []
    elif option.kind is Kind.LIST and "=" in option.metavar and isinstance(value, list):
        parts = [str(part).partition("=") for part in value]
        pairs = [(name, text) for name, equals, text in parts if equals]
    elif option.kind is Kind.PORTS and isinstance(value, list) and len(set(value)) > 1:
        # Imported here: only a mistake needs it.
        from nono.cli.args.mistakes import GIVEN_TWICE

        raise UsageError(f"{option.flags[0]}: {GIVEN_TWICE}")
    else:
        return
    known: dict[str, str] = {}
    for name, text in pairs:
        if known.setdefault(name, text) != text:
            raise UsageError(f"{option.flags[0]}: '{name}' is given two different values.")


def _pair(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _from_environment(option: Option, environ: Mapping[str, str]) -> object:
    text = environ.get(option.env)
    if not text:
        return None
    if option.env_splits_commas:
        # Commas alone stay an empty value, which is refused: no host is not the same as no filter.
        return [part.strip() for part in text.split(",") if part.strip()] or [""]
    if option.kind is not Kind.FLAG:
        return [text] if option.kind is Kind.LIST else text
    word = text.strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return None
    raise ConfigError(f"environment variable {option.env}='{text}' is not a yes or a no.")


def _with_legacy(environ: Mapping[str, str]) -> tuple[Mapping[str, str], list[str]]:
    found = {old: new for old, new in LEGACY_ENVIRONMENT.items() if old in environ and new not in environ}
    renamed = {new: environ[old] for old, new in found.items()}
    return {**environ, **renamed}, [_deprecation(old, new) for old, new in found.items()]


def _deprecations(option: Option, argv: Sequence[str]) -> list[str]:
    """Warn of old spellings in argv. argv ends at the command, whose arguments are not nono's."""
    used = {argument.partition("=")[0] for argument in argv}
    return [_deprecation(old, option.flags[0]) for old in option.deprecated if old in used]


def _deprecation(old: str, new: str) -> str:
    return f"`{old}` is deprecated; use `{new}` instead. Will be removed in v1.0.0."


def _sandbox_policy(text: str | None) -> SandboxPolicy | None:
    if text is None or text in tuple(SandboxPolicy):
        return None if text is None else SandboxPolicy(text)
    raise UsageError(f"--sandbox-policy '{text}': expected auto, landlock, external or netns.")


def _namespaces(text: str | None) -> Namespaces | None:
    if text is None or text in tuple(Namespaces):
        return None if text is None else Namespaces(text)
    raise UsageError(f"--namespaces '{text}': expected auto, off or require.")
