"""Turn a profile file into a valid document and a Profile, or list every mistake in it.

This is the only module of the policy that imports pydantic.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import Any

from pydantic import TypeAdapter, ValidationError

from nono.named_tuple import NamedTuple
from nono.policy.document.error_messages import complaints, lists_for_objects
from nono.policy.document.jsonc import Node, Path
from nono.policy.document.legacy import drain_legacy, rename_aliases
from nono.policy.document.normalise import Normaliser
from nono.policy.document.semantics import mistaken_replacements, mistaken_values
from nono.policy.document.source import Mistake, ProfileMistakesError, Source, fixed_in
from nono.policy.document.when import Host
from nono.policy.schema.annotations import evaluate
from nono.policy.schema.build import build_profile
from nono.policy.schema.profile import Profile

OVERRIDES = "platform_overrides"
PLATFORMS = ("linux", "macos", "windows")
MAX_MISTAKES = 100  # of each kind: nobody reads more, and computing hints is slow
BESIDE_A_PROFILE = ("extends", "replace", OVERRIDES)  # fields of a file besides those of Profile


class Checked(NamedTuple):
    """A valid file."""

    document: dict[str, Any]  # with `extends` and `replace` as lists, legacy names and conditions resolved
    profile: Profile  # without its bases
    warnings: tuple[str, ...]


def validate(source: Source, host: Host, known: Iterable[Mistake] = ()) -> Checked:
    """Validate a file. Changes the tree of `source`.

    Raises ProfileMistakesError with every mistake, including `known` ones.
    """
    root = source.root
    assert isinstance(root.value, dict)
    root.value.pop("$schema", None)
    extends = _names(root.value.pop("extends", None))
    replace = _names(root.value.pop("replace", None))
    overrides = root.value.pop(OVERRIDES, None)
    mistakes = [*extends.mistakes, *replace.mistakes, *mistaken_replacements(replace.names), *known]
    warnings, document, found = _checked(root, host, BESIDE_A_PROFILE)
    mistakes += found
    fragments = {}
    for name, node in _fragments(overrides, mistakes).items():
        said, fragments[name], found = _checked(node, host, ())
        warnings += said
        mistakes += found
    if overrides is not None:
        root.value[OVERRIDES] = overrides
    for name, given in (("extends", extends), ("replace", replace)):
        if given.node is not None:
            root.value[name] = given.node
    if mistakes or source.flaws:
        # Where a flaw was skipped, the tree does not hold what the person wrote.
        read_over = {flaw.path for flaw in source.flaws}
        told = (each for each in mistakes if each.path not in read_over)
        raise ProfileMistakesError(source.located((*source.flaws, *told)))
    profile = build_profile(document)
    document |= {"extends": extends.names, "replace": replace.names}
    if fragments:
        document[OVERRIDES] = fragments
    return Checked(document, profile, tuple(warnings))


class _Names(NamedTuple):
    node: Node | None
    names: list[str]
    mistakes: list[Mistake]


def _names(node: Node | None) -> _Names:
    """Read a name or a list of names."""
    if node is None or node.value is None:
        return _Names(node, [], [])
    if isinstance(node.value, str):
        return _Names(node, [node.value], [])
    entries = node.value if isinstance(node.value, list) else [node]
    names = [each.value for each in entries if isinstance(each.value, str)]
    mistakes = [
        Mistake(each.path, "expected a name, or a list of names", at=each.start)
        for each in entries
        if not isinstance(each.value, str)
    ]
    return _Names(node, names, mistakes)


def _fragments(overrides: Node | None, mistakes: list[Mistake]) -> dict[str, Node]:
    if overrides is None or overrides.value is None:
        return {}
    if not isinstance(overrides.value, dict):
        mistakes.append(Mistake((OVERRIDES,), "expected an object"))
        return {}
    found = {}
    for name, node in overrides.value.items():
        if name not in PLATFORMS:
            what = f"no such field (there are {', '.join(PLATFORMS)})"
            mistakes.append(Mistake((OVERRIDES, name), what, at_key=True))
        elif isinstance(node.value, dict):
            found[name] = node
        elif node.value is not None:
            mistakes.append(Mistake((OVERRIDES, name), "expected an object"))
    return found


def _checked(root: Node, host: Host, beside: tuple[str, ...]) -> tuple[list[str], Any, list[Mistake]]:
    """Return warnings, the document and mistakes of a profile or a fragment of one."""
    mistakes = [*rename_aliases(root)]
    warnings, found = drain_legacy(root)
    mistakes += found
    settler = Normaliser(host)
    settler.normalise(Profile, root)
    mistakes += settler.mistakes
    taken_out: list[Path] = []  # each with a mistake of its own
    for node, shape in settler.set_aside:
        wrong = [*_shape_mistakes(shape, node.plain())]
        mistakes += (fixed_in(node, each) for each in wrong)
        if not wrong and node.value not in (None, False, [], {}):
            mistakes.append(Mistake(node.path, "not available yet", at=node.key))
            wrong = mistakes[-1:]
        taken_out += [node.path] if wrong else []
    document = root.plain()
    wrong = [*_shape_mistakes(Profile, document, beside)]
    if wrong:
        mistakes += [fixed_in(root, each) for each in wrong[:MAX_MISTAKES]]
        # Prune the invalid parts, so the rest can still be checked under its own positions.
        taken_out += [root.nearest(each.path).path for each in wrong]
        _prune(root, [each.path for each in wrong])
        document = root.plain()
        if [*_shape_mistakes(Profile, document)]:
            return warnings, document, mistakes
    values = mistaken_values(build_profile(document))
    standing = (each for each in values if not _lacks(root, each.path, taken_out))
    mistakes += [fixed_in(root, each) for each in islice(standing, MAX_MISTAKES)]
    return warnings, document, mistakes


def _lacks(root: Node, path: Path, taken_out: Iterable[Path]) -> bool:
    """Return True if the field at `path` is not there, and its object has lost one to `taken_out`."""
    parent = root.nearest(path)
    return len(parent.path) < len(root.path) + len(path) and parent.path in {each[:-1] for each in taken_out}


def _prune(root: Node, paths: Iterable[Path]) -> None:
    """Remove the node at each path; for a missing field, the object that lacks it."""
    unwanted = {id(root.nearest(path)) for path in paths} - {id(root)}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node.value, dict):
            for name in [name for name, each in node.value.items() if id(each) in unwanted]:
                del node.value[name]
            waiting += node.value.values()
        elif isinstance(node.value, list):
            node.value[:] = [each for each in node.value if id(each) not in unwanted]
            waiting += node.value


def _shape_mistakes(shape: Any, document: Any, beside: tuple[str, ...] = ()) -> Iterator[Mistake]:
    lists = lists_for_objects(shape, document)[:MAX_MISTAKES]
    yield from lists
    try:
        # As JSON, so lists become tuples and strings enum members; strict, so "yes" is not a boolean.
        _adapter(shape).validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        # Errors below a list in place of an object would only repeat that mistake.
        found = complaints(shape, document, error.errors(include_url=False, include_input=False), beside)
        known = [each.path for each in lists]
        yield from islice((each for each in found if not _is_below(each.path, known)), MAX_MISTAKES)


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    """Built once: it takes longer than to validate a file, and a file with mistakes is validated twice."""
    evaluate(shape)
    return TypeAdapter(shape)


def _is_below(path: Path, roots: list[Path]) -> bool:
    return any(path[: len(root)] == root for root in roots)
