"""Find the commands that a command line names by a file: of a shell, of package.json, of a Makefile."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import islice
from posixpath import basename

from nono.named_tuple import NamedTuple
from nono.policy.why.commands.words import SHELLS, Started, started

# Reads a file, named as in argv, as text. None: There is none that can be read.
TextOf = Callable[[str], str | None]
_SCRIPT_MAX = 16 * 1024  # of a file; a word of megabytes takes the lexer minutes
_OF_PACKAGE = frozenset({"npm", "pnpm", "yarn", "bun"})
_RUN = ("run", "run-script")
_ELSEWHERE = ("-C", "-w", "--cwd", "--dir", "--prefix", "--workspace")
_MAKES = frozenset({"make", "gmake"})
_OTHER_MAKEFILE = ("-C", "-f", "--directory", "--file", "--makefile")
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")  # in the order of make(1)
_RULE = re.compile(r"(?P<targets>[^\s#=:][^#=:]*)::?(?!=)(?P<needed>[^#=;]*)(#.*|;(?P<recipe>.*))?")
_VARIABLE = re.compile(r"\$[({](\w+)[)}]")
_PREFIXES = "@-+ \t"  # of a line of a recipe: not printed, may fail, always run


def script_named(argv: Sequence[str], text_of: TextOf) -> str:
    """Return the first script that argv names as a file, or by name in one; empty if there is none."""
    for each in started(argv):
        if each.program in _OF_PACKAGE:
            text = _of_package(each, text_of)
        elif each.program in _MAKES:
            text = _of_makefile(each, text_of)
        else:
            text = _of_shell(each, text_of)
        if text:
            return text[:_SCRIPT_MAX]
    return ""


def _of_shell(named: Started, text_of: TextOf) -> str | None:
    if named.program in SHELLS and named.operands and not _takes_script(named):
        return text_of(named.operands[0])
    if "/" not in named.word:
        return None
    text = text_of(named.word) or ""
    first = text.partition("\n")[0]
    is_script = first.startswith("#!") and not SHELLS.isdisjoint(map(basename, first[2:].split()[:2]))
    return text if is_script else None


def _takes_script(shell: Started) -> bool:
    return any("c" in option and not option.startswith("--") for option in shell.options)


def _of_package(named: Started, text_of: TextOf) -> str | None:
    """Return the script of package.json that is run, with those that are run before and after it."""
    words = named.operands[1:] if named.operands[:1] and named.operands[0] in _RUN else named.operands
    text = text_of("package.json") if words and not named.has_option(*_ELSEWHERE) else None
    if text is None:
        return None
    # Imported here: few runs fail so.
    import json

    try:
        scripts = json.loads(text)["scripts"]
        lines = [scripts.get(f"{when}{words[0]}") for when in ("pre", "", "post")]
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None
    return "\n".join(line for line in lines if isinstance(line, str))


def _of_makefile(named: Started, text_of: TextOf) -> str | None:
    """Return the recipes of the targets, or of the first, and of those that they need."""
    if named.has_option(*_OTHER_MAKEFILE):
        return None
    rules = _rules(next(filter(None, map(text_of, _MAKEFILES)), ""))
    by_default = (target for target in rules if not target.startswith("."))
    wanted = [word for word in named.operands if word in rules] or [*islice(by_default, 1)]
    # By the line of a rule, which all its targets share.
    followed, recipes = set[int](), dict[int, list[str]]()
    for target in wanted:  # which grows meanwhile
        of_target = rules.pop(target, [])
        for rule in of_target:
            if rule.line not in followed:
                followed.add(rule.line)
                wanted += rule.needed
        first = next((rule for rule in of_target if rule.recipe), None)
        if first is not None:
            recipes[first.line] = first.recipe
    # A shell would take $(CC) for a command.
    return "\n".join(_VARIABLE.sub(r"$\1", line) for recipe in recipes.values() for line in recipe)


class _Rule(NamedTuple):
    line: int
    needed: list[str]
    recipe: list[str]


def _rules(makefile: str) -> dict[str, list[_Rule]]:
    """Return the rules of each target, in the order of the file."""
    rules: dict[str, list[_Rule]] = {}
    recipe: list[str] = []
    for number, line in enumerate(makefile[:_SCRIPT_MAX].splitlines()):
        if line.startswith("\t"):
            recipe.append(line.lstrip(_PREFIXES))
        elif found := _RULE.fullmatch(line):
            recipe = [found["recipe"].lstrip(_PREFIXES)] if found["recipe"] else []
            rule = _Rule(number, found["needed"].split(), recipe)
            for target in found["targets"].split():
                rules.setdefault(target, []).append(rule)
    return rules
