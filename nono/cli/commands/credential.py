"""`nono credential`: store, list, remove and test the credentials that the proxy injects."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nono.amounts import several
from nono.cli.args import argparse_parser
from nono.cli.key_prompt import how_kept, new_passphrase
from nono.cli.shapes.printed import printed_list
from nono.credentials import resolver
from nono.credentials.logins.stored import StoredToken
from nono.credentials.logins.token_store import LoginStore
from nono.credentials.resolver import Place
from nono.credentials.values.reference import check_name
from nono.errors import CredentialError
from nono.kernel import process
from nono.policy.builtin.shipped import network_policy
from nono.printable import printable, printable_line
from nono.secret import Secret
from nono.typed.hidden import read_hidden

if TYPE_CHECKING:
    from nono.policy.services.oauth_routes import OAuthRoute

AGENTS = ("claude-code", "codex", "gemini-cli")
LOGGED_IN_INSIDE = ("copilot-github", "gh")  # and there is no file to import
SHORT = {
    "claude": "claude-code",
    "gemini": "gemini-cli",
}  # what people say when they mean a profile
GH = "gh"
DESCRIPTION = "Keeps credentials in the system keyring, or in nono's own file where no keyring answers."
INPUT_BYTES_MAX = 64 * 1024


def run(argv: Sequence[str]) -> int:
    parsed = parser().parse_args(list(argv))
    process.keep_memory_private()  # before any secret is read
    environ = dict(os.environ)
    match parsed.action:
        case "set":
            return _set(parsed.name, environ)
        case "list":
            return _list(environ, as_json=parsed.json)
        case "remove":
            return _remove(parsed.name, environ)
        case "logins":
            return _logins(parsed.purge, environ, as_json=parsed.json)
        case "import" if parsed.agent == GH:
            return _import_gh(environ)
        case "import":
            return _import(SHORT.get(parsed.agent, parsed.agent), environ)
        case "logout":
            return _logout(SHORT.get(parsed.agent, parsed.agent), environ)
        case "test":
            return _test(parsed.name, environ)
    raise AssertionError(f"no arm for the action {parsed.action}")


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono credential", DESCRIPTION)
    argparse_parser.add_globals(parser)
    parser.action_aliases = {"ls": "list", "rm": "remove", "delete": "remove", "add": "set"}
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_keys(actions)
    _add_agents(actions)
    _add_lists(actions)
    return parser


def _add_keys(actions: Any) -> None:
    """Add the actions on one key."""
    name = "name of the service that uses it, such as openai"
    named = (
        ("set", "store a key; its value is asked for, or read from standard input", name),
        ("remove", "remove a key from wherever it is stored", name),
        (
            "test",
            "check that a key, or a reference such as env://NAME, can be read; print no value",
            f"{name}, or a reference",
        ),
    )
    for action, help_text, name_help in named:
        argparse_parser.add_action(actions, action, help_text).add_argument(
            "name", metavar="NAME", help=name_help
        )


def _add_agents(actions: Any) -> None:
    """Add the actions on the login of an agent."""
    of_agent = (
        (
            "import",
            "use the login that an agent has outside in its runs, which never see the tokens",
            (*AGENTS, GH),
        ),
        (
            "logout",
            "forget the login of an agent, imported or made inside; for Codex, also end it at the provider",
            (*AGENTS, *LOGGED_IN_INSIDE),
        ),
    )
    for action, help_text, agents in of_agent:
        argparse_parser.add_action(actions, action, help_text).add_argument(
            "agent", metavar="AGENT", choices=(*agents, *SHORT), help=f"one of {', '.join(agents)}"
        )


def _add_lists(actions: Any) -> None:
    names = argparse_parser.add_action(actions, "list", "list the names of stored keys, and where each is")
    names.add_argument("--json", action="store_true", help="print JSON")
    logins = argparse_parser.add_action(actions, "logins", "count the stored tokens of logins, by provider")
    which = logins.add_mutually_exclusive_group()
    which.add_argument("--json", action="store_true", help="print JSON")
    which.add_argument(
        "--purge",
        nargs="?",
        const="",
        metavar="PROVIDER",
        help="forget those of PROVIDER, or all, at once",
    )


def _set(name: str, environ: Mapping[str, str]) -> int:
    check_name(name)
    asks = new_passphrase if sys.stdin.isatty() else None
    place = resolver.save(name, _ask(name), environ, asks)
    print(f"Stored '{name}' in {_place(place.where)}{how_kept(place)}.")
    from difflib import get_close_matches  # only who stores a key pays for it

    services = network_policy().services
    # Only for names that are very close: a profile may define a service of any name, such as openai-2.
    is_own = name in services or any(name.startswith((f"{each}-", f"{each}_")) for each in services)
    if not is_own and (meant := get_close_matches(name, services, n=1, cutoff=0.8)):
        print(f"note: '{name}' is no service of nono's own; did you mean '{meant[0]}'?", file=sys.stderr)
    return 0


def _ask(name: str) -> Secret:
    """Read the value from the terminal or stdin, never from argv, which every process can read."""
    if sys.stdin.isatty():
        text = _typed(name)
    else:
        text = sys.stdin.read(INPUT_BYTES_MAX + 1)
        if len(text) > INPUT_BYTES_MAX:
            raise CredentialError(f"the value of '{name}' is longer than {INPUT_BYTES_MAX} bytes")
        text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise CredentialError(f"the value of '{name}' is empty; nothing was stored")
    return Secret(text)


def _typed(name: str) -> str:
    try:
        return read_hidden(f"Value of '{name}' (not shown): ")
    except EOFError:
        return ""


def _list(environ: Mapping[str, str], *, as_json: bool) -> int:
    stored = resolver.names(environ)
    if as_json:
        print(printed_list({"name": entry.name, "where": entry.where} for entry in stored))
        return 0
    if not stored:
        print("No credentials are stored. `nono credential set NAME` stores one.", file=sys.stderr)
    for entry in stored:
        print(f"{printable_line(entry.name):<24} {_place(entry.where)}")  # any program may store one
    return 0


def _remove(name: str, environ: Mapping[str, str]) -> int:
    for where in resolver.remove(name, environ):
        print(f"Removed '{name}' from {_place(where)}.")
    return 0


def _logins(purge: str | None, environ: Mapping[str, str], *, as_json: bool) -> int:
    """List or purge captured logins. purge: None to list, "" for all providers."""
    store = LoginStore(environ)
    if purge is not None:
        count = store.purge(f"oauth.{purge}" if purge else None)
        print(f"Removed {several(count, 'token')} of captured logins from {store.path}.")
        return 0
    count_by_provider = Counter(_provider_of(token) for token in store.read().values())
    if as_json:
        print(
            printed_list(
                {"provider": provider, "tokens": count, "where": store.path}
                for provider, count in sorted(count_by_provider.items())
            )
        )
        return 0
    kept = how_kept(Place(store.path, store.lock))
    if not count_by_provider:
        print("No logins are captured. They are made inside a sandbox whose profile names a provider.",
              file=sys.stderr)  # fmt: skip
    for provider, count in sorted(count_by_provider.items()):
        print(f"{provider:<24} {several(count, 'token')} in {_place(store.path)}{kept}")
    return 0


def _import(name: str, environ: Mapping[str, str]) -> int:
    # Imported here: the other actions need neither profiles nor agents.
    from nono.credentials.logins.agent_files import AGENT_FILES
    from nono.credentials.logins.importing import import_login

    agent = AGENT_FILES[name]
    imported = import_login(name, agent, _routes(name, agent.provider, environ), environ)
    until = (
        "" if imported.expires_s is None else f", the access token valid until {_time(imported.expires_s)}"
    )
    command = f"nono run --profile {name} --allow-cwd -- ..."
    tokens = several(imported.tokens, "token")
    print(f"Imported the login of {agent.program} from {imported.outside}: {tokens}{until}.")
    store = Place(LoginStore(environ).path, imported.lock)
    print(f"They are in {_place(store.where)}{how_kept(store)}.")
    where = imported.outside if agent.is_mounted else imported.inside
    print(f"In `{command}` the agent finds placeholders")
    print(f"in {where}: the proxy replaces them by the tokens, and renews the login.")
    print(f"{imported.outside} stays as it is. Providers exchange the refresh token at each renewal:")
    print(f"once nono has renewed the login, {agent.program} outside may have to log in again, and once")
    print(f"{agent.program} outside has, run `nono credential import {name}` again.")
    return 0


def _import_gh(environ: Mapping[str, str]) -> int:
    """Store the token of gh's login as the credential of a service. It is valid until it is revoked."""
    from nono.credentials.sources.github_cli import HOST, SERVICE, login_token

    asks = new_passphrase if sys.stdin.isatty() else None
    place = resolver.save(SERVICE, login_token(environ), environ, asks)
    print(
        f"Stored the token of gh's login at {HOST} as '{SERVICE}' in {_place(place.where)}{how_kept(place)}."
    )
    print(
        f"In `nono run --credential {SERVICE} -- gh ...` gh finds a placeholder in GH_TOKEN, which the proxy"
    )
    print(f"replaces. `nono credential remove {SERVICE}` forgets it; `gh auth logout` does not revoke it.")
    return 0


def _logout(name: str, environ: Mapping[str, str]) -> int:
    from nono.credentials.logins.agent_files import AGENT_FILES, INSIDE_LOGINS, InsideLogin
    from nono.credentials.logins.revocation import log_out

    agent = INSIDE_LOGINS[name] if name in INSIDE_LOGINS else AGENT_FILES[name]
    out = log_out(agent, environ)
    key = agent.service if isinstance(agent, InsideLogin) else None
    if key is not None and any(entry.name == key for entry in resolver.names(environ)):
        print(f"The key '{key}' stays; `nono credential remove {key}` forgets it.")
    if out.tokens == 0:
        print(f"No login of {agent.program} was stored.")
        return 0
    print(f"Forgot the login of {agent.program}: {several(out.tokens, 'token')}.")
    if out.revoked and out.failure is None:
        outside = f": {agent.program} outside has to log in again too" if out.was_imported else ""
        print(f"The provider has ended it{outside}.")
        return 0
    if out.failure is not None:
        print(f"nono: the provider has not ended the login: {out.failure}", file=sys.stderr)
    print("The provider accepts them until they expire, or until you end the session in your account there.")
    return 0 if out.failure is None else 1


def _routes(profile_name: str, provider: str, environ: Mapping[str, str]) -> Sequence[OAuthRoute]:
    """Return the routes on which `nono run --profile` uses the provider's tokens."""
    from nono.policy.profile.store import load_profile
    from nono.policy.services.oauth_routes import oauth_routes

    profile = load_profile(profile_name, environ)
    routes = oauth_routes(profile.credential_routes, profile.credential_providers, profile.label)
    own = [route for route in routes if route.provider.name == provider]
    if not own:
        raise CredentialError(
            f"the profile '{profile_name}' has no route for logins of '{provider}'",
            hint="copy credential_providers and credential_routes from the shipped profile of that name",
        )
    return own


def _time(at_s: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at_s))


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
