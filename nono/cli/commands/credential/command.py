"""`nono credential`: parse its arguments and take the action."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from nono.cli.args import argparse_parser
from nono.cli.commands.credential import keys, logins
from nono.kernel import process

AGENTS = ("claude-code", "codex", "gemini-cli")
LOGGED_IN_INSIDE = ("copilot-github", "gh")  # and there is no file to import
SHORT = {
    "claude": "claude-code",
    "gemini": "gemini-cli",
}  # what people say when they mean a profile
GH = "gh"
DESCRIPTION = "Keeps credentials in the system keyring, or in nono's own file where no keyring answers."


def run(argv: Sequence[str]) -> int:
    parsed = parser().parse_args(list(argv))
    process.keep_memory_private()  # before any secret is read
    environ = dict(os.environ)
    match parsed.action:
        case "set":
            return keys.set_key(parsed.name, environ)
        case "list":
            return keys.list_keys(environ, as_json=parsed.json)
        case "remove":
            return keys.remove_key(parsed.name, environ)
        case "logins":
            agent = SHORT.get(parsed.purge, parsed.purge)
            return logins.list_or_purge(parsed.purge, environ, agent=agent, as_json=parsed.json)
        case "import" if parsed.agent == GH:
            return logins.import_gh(environ)
        case "import":
            return logins.import_agent(SHORT.get(parsed.agent, parsed.agent), environ)
        case "logout":
            return logins.log_out_agent(SHORT.get(parsed.agent, parsed.agent), environ)
        case "test":
            return keys.test_key(parsed.name, environ)
    raise AssertionError(f"no arm for the action {parsed.action}")


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono credential", DESCRIPTION)
    parser.action_aliases = {"ls": "list", "rm": "remove", "delete": "remove", "add": "set"}
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_keys(actions)
    _add_agents(actions)
    _add_lists(actions)
    return parser


def _add_keys(actions: argparse_parser.Actions) -> None:
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


def _add_agents(actions: argparse_parser.Actions) -> None:
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


def _add_lists(actions: argparse_parser.Actions) -> None:
    names = argparse_parser.add_action(actions, "list", "list the names of stored keys, and where each is")
    argparse_parser.add_json(names)
    counted = argparse_parser.add_action(actions, "logins", "count the stored tokens of logins, by provider")
    which = counted.add_mutually_exclusive_group()
    argparse_parser.add_json(which)
    which.add_argument(
        "--purge",
        nargs="?",
        const="",
        metavar="PROVIDER",
        help="forget those of PROVIDER or an agent, or all, at once",
    )
