"""List nono's commands, with the help and the loader of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from nono.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser


class Loaded(NamedTuple):
    """A command whose module has been imported."""

    run: Callable[[Sequence[str]], int]  # takes the arguments after its name and returns an exit status
    parser: Callable[[], ArgumentParser] | None = None  # None: completion does not offer it


class Command(NamedTuple):
    """One row of the table."""

    help: str
    load: Callable[[], Loaded]
    is_hidden: bool = False  # from help, completion and suggestions


# The loaders. Each run imports only one command: `nono wrap` must not pay for what `nono credential` imports.


def _run() -> Loaded:
    from nono.cli.commands.run import command as run

    return Loaded(run.run, run.parser)


def _shell() -> Loaded:
    from nono.cli.commands import shell

    return Loaded(shell.run, shell.parser)


def _learn() -> Loaded:
    from nono.cli.commands import learn

    return Loaded(learn.run, learn.parser)


def _wrap() -> Loaded:
    from nono.cli.commands import wrap

    return Loaded(wrap.run, wrap.parser)


def _profile() -> Loaded:
    from nono.cli.commands.profile import command as profile

    return Loaded(profile.run, profile.parser)


def _policy() -> Loaded:
    from nono.cli.commands import policy

    return Loaded(policy.run)


def _completion() -> Loaded:
    from nono.cli.commands import completion

    # The script covers the other commands; passing them in spares `completion` an import of this table.
    return Loaded(lambda argv: completion.run(argv, offered_parsers()), completion.parser)


def _why() -> Loaded:
    from nono.cli.commands import why

    return Loaded(why.run, why.parser)


def _setup() -> Loaded:
    from nono.cli.commands import setup

    return Loaded(setup.run, setup.parser)


def _doctor() -> Loaded:
    from nono.cli.commands import doctor

    return Loaded(doctor.run, doctor.parser)


def _credential() -> Loaded:
    from nono.cli.commands.credential import command as credential

    return Loaded(credential.run, credential.parser)


def _trust() -> Loaded:
    from nono.cli.commands.trust import command as trust

    return Loaded(trust.run, trust.parser)


def _proxy() -> Loaded:
    from nono.cli.commands import proxy

    return Loaded(proxy.run, proxy.parser)


def _mcp() -> Loaded:
    from nono.cli.commands import mcp

    return Loaded(mcp.run, mcp.parser)


def _connect_helper() -> Loaded:
    from nono import connect_helper

    return Loaded(connect_helper.main)


def _ps() -> Loaded:
    from nono.cli.commands.sessions import ps

    return Loaded(ps.run, ps.parser)


def _inspect() -> Loaded:
    from nono.cli.commands.sessions import inspect

    return Loaded(inspect.run, inspect.parser)


def _logs() -> Loaded:
    from nono.cli.commands.sessions import logs

    return Loaded(logs.run, logs.parser)


def _report() -> Loaded:
    from nono.cli.commands.report import command

    return Loaded(command.run, command.parser)


def _replay() -> Loaded:
    from nono.cli.commands.report import replay

    return Loaded(replay.run, replay.parser)


def _flows() -> Loaded:
    from nono.cli.commands.report import flows

    return Loaded(flows.run, flows.parser)


def _approvals() -> Loaded:
    from nono.cli.commands.sessions import approvals

    return Loaded(approvals.run, approvals.parser)


def _allow() -> Loaded:
    from nono.cli.commands.sessions import rules

    return Loaded(rules.run_allow, rules.allow_parser)


def _deny() -> Loaded:
    from nono.cli.commands.sessions import rules

    return Loaded(rules.run_deny, rules.deny_parser)


def _stop() -> Loaded:
    from nono.cli.commands.sessions import stop

    return Loaded(stop.run, stop.parser)


def _prune() -> Loaded:
    from nono.cli.commands.sessions import prune

    return Loaded(prune.run, prune.parser)


def _rollback() -> Loaded:
    from nono.cli.commands.rollback import command

    return Loaded(command.run, command.parser)


def _audit() -> Loaded:
    from nono.cli.commands.audit import command

    return Loaded(command.run, command.parser)


def _top() -> Loaded:
    from nono.cli.commands.top import command

    return Loaded(command.run, command.parser)


def _attach() -> Loaded:
    from nono.cli.commands.terminal import attach

    return Loaded(attach.run, attach.parser)


def _detach() -> Loaded:
    from nono.cli.commands.terminal import detach

    return Loaded(detach.run, detach.parser)


def _help() -> Loaded:
    from nono.cli.commands.itself import help as command

    return Loaded(lambda argv: command.run(argv, COMMANDS), command.parser)


def _purge() -> Loaded:
    from nono.cli.commands.itself import purge

    return Loaded(purge.run, purge.parser)


def _version() -> Loaded:
    from nono.cli.commands.itself import version

    return Loaded(version.run, version.parser)


# nono.cli.help.overview groups them for `nono --help`.
COMMANDS = {
    "run": Command("run a command in the sandbox, supervised", _run),
    "shell": Command("run your shell in the sandbox, supervised", _shell),
    "learn": Command("watch a command, and write the smallest profile for it", _learn),
    "wrap": Command("apply the sandbox to this process and become the command", _wrap),
    "ps": Command("list the sessions", _ps),
    "top": Command("show all sessions on one screen or page, and answer", _top),
    "attach": Command("show the terminal of a session", _attach),
    "detach": Command("take a session off the terminal that shows it", _detach),
    "inspect": Command("say what is recorded of a session, and why it ended", _inspect),
    "logs": Command("print what was allowed and refused in a session", _logs),
    "report": Command("say what a session did, or what many did and cost", _report),
    "replay": Command("judge sessions of the past by another profile", _replay),
    "flows": Command("open the recorded exchanges of a session in mitmweb", _flows),
    "approvals": Command("list what waits for an answer, and answer it", _approvals),
    "allow": Command("allow a running session a host, port, socket, file or request", _allow),
    "deny": Command("deny a running session a host, port, socket, file or request", _deny),
    "stop": Command("end a session, with all that its command has started", _stop),
    "prune": Command("forget sessions that ended long ago", _prune),
    "rollback": Command("list, show and undo what runs with --rollback changed", _rollback),
    "audit": Command("list, show, verify and remove audit logs", _audit),
    "profile": Command("list, show, compare, check and write profiles", _profile),
    "policy": Command("old name of what `nono profile` does", _policy, is_hidden=True),
    "completion": Command("print a script that completes nono's words in your shell", _completion),
    "why": Command("say whether a path or host would be allowed, and by which rule", _why),
    "setup": Command("check what this machine can enforce; write example profiles", _setup),
    "doctor": Command("say what works here and what is missing, with its remedy", _doctor),
    "credential": Command("set, list, remove or test a stored credential; forget logins", _credential),
    "trust": Command("sign, verify and approve the files that instruct an agent", _trust),
    "mcp": Command("be an MCP server that has a sandbox of its own", _mcp),
    "proxy": Command("run the credential proxy alone, in the foreground", _proxy),
    "connect-helper": Command(
        "ssh's ProxyCommand inside the sandbox: HOST PORT", _connect_helper, is_hidden=True
    ),
    "purge": Command("remove everything that nono keeps for you", _purge),
    "help": Command("print help: of a command, or of a topic such as environment", _help),
    "version": Command("print the version", _version),
}

# What people type for a command, and its name here.
ALIASES = {"ls": "ps", "log": "logs", "kill": "stop", "pause": "detach", "resume": "attach"}

# The same for two words.
PAIRS: dict[tuple[str, ...], str] = {("session", "cleanup"): "prune"}

# Planned commands, each with what comes closest today. Known by name, so that a script gets "not yet"
# rather than "no such command".
_NO_REGISTRY = (
    "there is no registry of profiles: nono profile list shows those that are shipped; others are files"
)
LATER = {
    **dict.fromkeys(
        ("pull", "remove", "update", "search", "list", "outdated", "pin", "unpin", "pack-update-hint-helper"),
        _NO_REGISTRY,
    ),
    "connect": "on this machine: nono attach SESSION",
    "open-url-helper": "a command opens no pages outside the sandbox",
    "platform": "[audit] in config.toml sends logs to a collector",
}


def offered_parsers() -> Iterator[tuple[str, str, ArgumentParser]]:
    """Yield the name, help and parser of each command that completion offers. Imports all commands."""
    for name, command in COMMANDS.items():
        parser = command.load().parser
        if parser is not None:
            yield name, command.help, parser()
