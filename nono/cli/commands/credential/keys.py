"""Store, list, remove and test keys."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from nono.cli.key_prompt import how_kept, new_passphrase
from nono.cli.shapes.printed import printed_list
from nono.credentials import resolver
from nono.credentials.values.errors import CredentialNotFound, CredentialUnavailable
from nono.credentials.values.reference import check_name
from nono.errors import CredentialError
from nono.policy.builtin.shipped import network_policy
from nono.policy.suggestions import did_you_mean
from nono.printable import printable_line
from nono.secret import Secret
from nono.typed.hidden import read_hidden

INPUT_BYTES_MAX = 64 * 1024


def set_key(name: str, environ: Mapping[str, str]) -> int:
    check_name(name)
    asks = new_passphrase if sys.stdin.isatty() else None
    place = resolver.save(name, _ask(name), environ, asks)
    print(f"Stored '{name}' in {place_of(place.where)}{how_kept(place)}.")
    from difflib import get_close_matches  # only who stores a key pays for it

    services = network_policy().services
    # Only for names that are very close: a profile may define a service of any name, such as openai-2.
    is_own = name in services or any(name.startswith((f"{each}-", f"{each}_")) for each in services)
    if not is_own and (meant := get_close_matches(name, services, n=1, cutoff=0.8)):
        print(f"note: nono has no service '{name}'; did you mean '{meant[0]}'?", file=sys.stderr)
    return 0


def _ask(name: str) -> Secret:
    """Read the value from the terminal or stdin, never from argv, which every process can read."""
    if sys.stdin.isatty():
        text = _typed(name)
    else:
        content = sys.stdin.buffer.read(INPUT_BYTES_MAX + 1)
        if len(content) > INPUT_BYTES_MAX:
            raise CredentialError(f"the value of '{name}' is longer than {INPUT_BYTES_MAX} bytes")
        text = content.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "surrogateescape")
    if not text:
        raise CredentialError(f"the value of '{name}' is empty; nothing was stored")
    return Secret(text)


def _typed(name: str) -> str:
    try:
        return read_hidden(f"Value of '{name}' (not shown): ")
    except EOFError:
        return ""


def list_keys(environ: Mapping[str, str], *, as_json: bool) -> int:
    stored = resolver.names(environ)
    if as_json:
        print(printed_list({"name": entry.name, "where": entry.where} for entry in stored))
        return 0
    if not stored:
        print("No credentials are stored. `nono credential set NAME` stores one.", file=sys.stderr)
    for entry in stored:
        print(f"{printable_line(entry.name):<24} {place_of(entry.where)}")  # any program may store one
    return 0


def remove_key(name: str, environ: Mapping[str, str]) -> int:
    with _meant(name, environ):
        places = resolver.remove(name, environ)
    for where in places:
        print(f"Removed '{name}' from {place_of(where)}.")
    return 0


def test_key(name: str, environ: Mapping[str, str]) -> int:
    warnings: list[str] = []
    with _meant(name, environ):
        resolver.resolve_credential(name, environ, warn=warnings.append)
    for warning in warnings:
        print(f"  [nono] WARNING: {warning}", file=sys.stderr)
    print(f"'{name}' can be read.")
    return 0


@contextmanager
def _meant(name: str, environ: Mapping[str, str]) -> Iterator[None]:
    """Offer the stored name that is like `name`, if that one is not stored."""
    try:
        yield
    except (CredentialNotFound, CredentialUnavailable) as error:
        # Whoever mistyped a passphrase is not asked for it again.
        with suppress(CredentialError):
            stored = {entry.name for entry in resolver.names(environ, may_ask=False)}
            if name not in stored and (meant := did_you_mean(name, stored)) is not None:
                error.hint = meant
        raise


def place_of(where: str) -> str:
    """Name the place of a key for a person."""
    return f"the {where}" if where == resolver.SYSTEM_KEYRING else f"{where} (mode 0600)"
