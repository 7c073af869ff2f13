"""`nono credential`: stores, lists, removes and tests the credentials that the proxy injects."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence

from nono.cli.args import argparse_parser
from nono.credentials import resolver
from nono.credentials.logins.token_store import LoginStore, StoredToken
from nono.credentials.values.reference import check_name
from nono.errors import CredentialError
from nono.printable import printable
from nono.secret import Secret

DESCRIPTION = "Keeps credentials in the system keyring, or in a private file where no keyring answers."
INPUT_BYTES_MAX = 64 * 1024


def run(argv: Sequence[str]) -> int:
    parsed = parser().parse_args(list(argv))
    environ = dict(os.environ)
    match parsed.action:
        case "set":
            return _set(parsed.name, environ)
        case "list":
            return _list(environ)
        case "remove":
            return _remove(parsed.name, environ)
        case "logins":
            return _logins(parsed.purge, environ)
        case "test":
            return _test(parsed.name, environ)
    raise AssertionError(f"no arm for the action {parsed.action}")


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono credential", DESCRIPTION)
    argparse_parser.add_globals(parser)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    named = (
        ("set", "store a credential; its value is asked for, or read from standard input"),
        ("remove", "forget a credential, wherever it is stored"),
        ("test", "read a credential, or a reference such as env://NAME, and say only whether it worked"),
    )
    for action, help_text in named:
        argparse_parser.add_action(actions, action, help_text).add_argument("name", metavar="NAME")
    argparse_parser.add_action(actions, "list", "names and where each is stored")
    logins = argparse_parser.add_action(
        actions, "logins", "how many tokens of captured logins are stored, by provider"
    )
    logins.add_argument(
        "--purge",
        nargs="?",
        const="",
        metavar="PROVIDER",
        help="forget those of PROVIDER, or all; runs that go on stop using them",
    )
    return parser


def _set(name: str, environ: Mapping[str, str]) -> int:
    check_name(name)
    where = resolver.save(name, _ask(name), environ)
    print(f"Stored '{name}' in {_place(where)}.")
    return 0


def _ask(name: str) -> Secret:
    """Read the value from the terminal or stdin, never from argv, which every process can read."""
    if sys.stdin.isatty():
        text = getpass.getpass(f"Value of '{name}' (not shown): ")
    else:
        text = sys.stdin.read(INPUT_BYTES_MAX + 1)
        if len(text) > INPUT_BYTES_MAX:
            raise CredentialError(f"the value of '{name}' is longer than {INPUT_BYTES_MAX} bytes")
        text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise CredentialError(f"the value of '{name}' is empty; nothing was stored")
    return Secret(text)


def _list(environ: Mapping[str, str]) -> int:
    stored = resolver.names(environ)
    if not stored:
        print("No credentials are stored. `nono credential set NAME` stores one.", file=sys.stderr)
    for entry in stored:
        print(f"{entry.name:<24} {_place(entry.where)}")
    return 0


def _remove(name: str, environ: Mapping[str, str]) -> int:
    for where in resolver.remove(name, environ):
        print(f"Removed '{name}' from {_place(where)}.")
    return 0


def _logins(purge: str | None, environ: Mapping[str, str]) -> int:
    """List or purge captured logins. purge: None to list, "" for all providers."""
    store = LoginStore(environ)
    if purge is not None:
        count = store.purge(f"oauth.{purge}" if purge else None)
        print(f"Removed {count} tokens of captured logins from {store.path}.")
        return 0
    count_by_provider = Counter(_provider_of(token) for token in store.read().values())
    if not count_by_provider:
        print("No logins are captured. They are made inside a sandbox whose profile names a provider.",
              file=sys.stderr)  # fmt: skip
    for provider, count in sorted(count_by_provider.items()):
        print(f"{provider:<24} {count} tokens in {_place(store.path)}")
    return 0


def _provider_of(token: StoredToken) -> str:
    names = (name.removeprefix("oauth.") for name in token.consumers if name.startswith("oauth."))
    return printable(next(names, "(unknown)"))


def _test(name: str, environ: Mapping[str, str]) -> int:
    warnings: list[str] = []
    resolver.resolve_credential(name, environ, warn=warnings.append)
    for warning in warnings:
        print(f"  [nono] WARNING: {warning}", file=sys.stderr)
    print(f"'{name}' can be read.")
    return 0


def _place(where: str) -> str:
    return f"the {where}" if where == resolver.SYSTEM_KEYRING else f"{where} (mode 0600)"
