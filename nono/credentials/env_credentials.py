"""Read credentials that the command itself receives in variables, because a person asked for that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from nono.credentials import resolver
from nono.credentials.values.reference import parse_reference


def read_env_credentials(
    wanted: Iterable[tuple[str, str]], environ: Mapping[str, str], warn: Callable[[str], None]
) -> dict[str, str]:
    """Return the text of each credential by variable, from (reference, variable) pairs.

    Blocks like resolver.resolve_credential. Raises CredentialError if one is malformed or cannot be read: a
    command that was promised a key does not start without it.
    """
    references = [(parse_reference(text), variable) for text, variable in wanted]
    return {variable: resolver.read(reference, environ, warn).reveal() for reference, variable in references}
