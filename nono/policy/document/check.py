"""Validate the files of a profile and its bases, and fold them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nono.policy.document.fold import fold, shipped
from nono.policy.document.found import Found
from nono.policy.document.source import Located, Mistake, ProfileMistakesError, read_source
from nono.policy.document.validate import Checked, validate
from nono.policy.document.when import Host


def validated(found: Found, host: Host) -> dict[str, Any]:
    """Return {"document": ..., "warnings": [...]}. Raises ProfileError with every file's mistakes."""
    checked: dict[tuple[str, str | None], Checked] = {}
    mistakes = list[Located]()
    first: ProfileMistakesError | None = None
    for each in found.all():
        try:
            if each.file is not None:
                checked[each.key] = _checked(each, each.file, host)
        except ProfileMistakesError as error:
            first = first or error
            mistakes += error.mistakes
    if first is not None:
        raise first if len(first.mistakes) == len(mistakes) else ProfileMistakesError(mistakes)
    warnings = [warning for each in checked.values() for warning in each.warnings]
    document = fold(found, lambda each: checked[each.key].document if each.key in checked else shipped(each))
    return {"document": document, "warnings": warnings}


def own_document(found: Found, host: Host) -> dict[str, Any]:
    """Return the document of a user's file as written. Raises ProfileError like validated()."""
    file = found.file or found.name
    document: dict[str, Any] = read_source(found.raw, file).root.plain()
    _checked(found, file, host)
    return document


def _checked(found: Found, file: str, host: Host) -> Checked:
    source = read_source(found.raw, file)
    try:
        return validate(source, host, [*_bad_bases(found)])
    except ProfileMistakesError as error:
        if len(error.mistakes) > 1 or not found.bad_bases:
            raise
        (mistake,) = error.mistakes
        place = f"{mistake.file}:{mistake.line}:{mistake.column}"
        hint = found.bad_bases[0].hint
        alone = ProfileMistakesError([mistake])
        alone.message = f"Profile inheritance error: {found.bad_bases[0].what} ({place})"
        alone.hint = hint
        raise alone from error


def _bad_bases(found: Found) -> Iterator[Mistake]:
    for bad in found.bad_bases:
        hint = f" ({bad.hint})" if bad.hint else ""
        yield Mistake(("extends", bad.position), bad.what + hint)
