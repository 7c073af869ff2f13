"""Answer an unknown option: name the option that was meant, or how nono does what others use it for.

A suggestion never grants more than was asked for: an option that grants something is offered only for a
typing error, and the suggestion says what it grants. Hidden options are never offered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nono.cli.args.options import OPTIONS, PROXY, SUPERVISED, WRAP

# What other programs call it. An option is offered only if the command has it; any other value is a sentence.
SYNONYMS: Mapping[str, str] = {
    "--allow-read": "--read",
    "--allow-write": "--write",
    "--api-key": "--credential",
    "--background": "--detached",
    "--bg": "--detached",
    "--bind": "--allow",
    "--block-host": "--deny-domain",
    "--block-network": "--block-net",
    "--chdir": "--workdir",
    "--cwd": "--workdir",
    "--deny-host": "--deny-domain",
    "--detach": "--detached",
    "--deny-net": "--block-net",
    "--deny-network": "--block-net",
    "--directory": "--workdir",
    "--env-var": "--env",
    "--environment": "--env",
    "--key": "--credential",
    "--mem": "--memory",
    "--memory-limit": "--memory",
    "--no-internet": "--block-net",
    "--no-log": "--no-audit",
    "--no-net": "--block-net",
    "--no-network": "--block-net",
    "--offline": "--block-net",
    "--pids-limit": "--max-processes",
    "--plan": "--dry-run",
    "--publish": "--listen-port",
    "--quiet": "--silent",
    "--read-only": "--read",
    "--readonly": "--read",
    "--ro": "--read",
    "--ro-bind": "--read",
    "--rw": "--allow",
    "--secret": "--credential",
    "--service": "--credential",
    "--setenv": "--env",
    "--token": "--credential",
    "--unshare-net": "--block-net",
    "--work-dir": "--workdir",
    "--file": "--path",
    "--events": "nono logs SESSION prints the events of a session",
    "--changes": "nono rollback show SESSION says what a run with --rollback changed",
    "--last": "latest is the name of the newest session",
    "-C": "--workdir",
    "-d": "--detached",
    "-e": "--env",
    "-n": "--dry-run",
    "-q": "--silent",
    "--allow-host": "--allow-domain",
    "--allow-hosts": "--allow-domain",
    "--allow-network": "the network is open unless an option restricts it, such as --allow-domain HOST",
    "--deny": 'denials of files are written in a profile: "filesystem": {"deny": [...]}',
    "--deny-path": 'denials of files are written in a profile: "filesystem": {"deny": [...]}',
    "--deny-read": 'denials of files are written in a profile: "filesystem": {"deny": [...]}',
    "--deny-write": "what is not granted for writing is refused",
    "--dangerously-skip-permissions": "options of the command go after it",
    "--image": "nono runs the programs of this machine, and needs no image",
    "--interactive": "the command has your terminal without an option",
    "--mount": "--allow DIR or --read DIR grants a directory where it is",
    "--net": "--block-net refuses the network; --allow-domain HOST restricts it",
    "--network": "--block-net refuses the network; --allow-domain HOST restricts it",
    "--no-color": "NO_COLOR=1 switches colours off",
    "--no-colour": "NO_COLOR=1 switches colours off",
    "--rm": "nono removes what a run leaves without an option",
    "--tty": "the command has your terminal without an option",
    "--user": "the command runs as you",
    "--volume": "--allow DIR or --read DIR grants a directory where it is",
    "-i": "the command has your terminal without an option",
    "-it": "the command has your terminal without an option",
    "-t": "the command has your terminal without an option",
    "-u": "the command runs as you",
}
_HOSTS = "--allow-domain HOST allows that host and no others; --deny-domain HOST refuses it"
_PORTS = "--listen-port PORT lets others reach the command; --open-port PORT lets it reach a local server"
# The same for commands that run something. Elsewhere some of these are options.
OF_RUNS: Mapping[str, str] = {
    "--domain": _HOSTS,
    "--domains": _HOSTS,
    "--host": _HOSTS,
    "--hosts": _HOSTS,
    "--port": _PORTS,
    "--ports": _PORTS,
    "--timeout": "timeout 60 nono run ... ends a run after a minute",
    "--yes": "--allow-cwd shares the working directory without a question",
    "-y": "--allow-cwd shares the working directory without a question",
}
_NAMED = "the session is a word, its id, its name or latest"
_ASKS_NOTHING = "leave it out: there is no question to answer"
# What a command does without the option that its neighbours have.
OF_COMMANDS: Mapping[tuple[str, str], str] = {
    ("why", "--session"): "nono logs SESSION says what was refused; nono why --self asks inside a session",
    **{
        (command, "--session"): f"{_NAMED}: nono {command} latest"
        for command in ("attach", "detach", "flows", "inspect", "logs", "replay", "report", "stop")
    },
    **{
        (command, flag): _ASKS_NOTHING
        for command in ("credential", "prune", "rollback", "stop")
        for flag in ("--yes", "-y")
    },
}
_GRANTS = (
    "--allow",
    "--read",
    "--write",
    "--bypass",
    "--open",
    "--listen",
    "--env",
    "--credential",
    "--network",
)
_RESTRICTS = ("--deny", "--block", "--no-", "--max", "--memory")
_LIKE, _VERY_LIKE = 0.6, 0.8


def near(word: str, known: Iterable[str], command: str) -> str | None:
    """Return a hint about an unknown option. known: the flags that the help of the command shows."""
    name = word.partition("=")[0]
    shown = {*known}
    meant = SYNONYMS.get(name)
    if meant is not None and (not meant.startswith("--") or " " in meant or meant in shown):
        return _offered(meant) if meant in shown else meant
    if name in OF_RUNS and command in SUPERVISED:
        return OF_RUNS[name]
    if (command, name) in OF_COMMANDS:
        return OF_COMMANDS[command, name]
    elsewhere = commands_with(name)
    if elsewhere and command not in elsewhere and command in (*SUPERVISED, WRAP, PROXY):
        return f"{name} is an option of nono {elsewhere[0] if 'run' not in elsewhere else 'run'}"
    return _by_spelling(name, shown)


def commands_with(name: str) -> list[str]:
    """Return the commands whose help shows the option, in order of their names."""
    return sorted(
        {each for option in OPTIONS if name in option.flags and option.help for each in option.commands}
    )


def _by_spelling(name: str, shown: Iterable[str]) -> str | None:
    from difflib import get_close_matches  # costs a millisecond, which only a mistake pays

    if not name.startswith("--"):
        return None
    restricts = next((prefix for prefix in _RESTRICTS if name.startswith(prefix)), None)
    if restricts is not None:
        candidates = [flag for flag in shown if flag.startswith(restricts)]
    else:
        candidates = [flag for flag in shown if flag.startswith("--")]
    # Without the dashes, which make short names alike.
    bare = name.removeprefix("--")
    [*close] = get_close_matches(
        bare, sorted(flag.removeprefix("--") for flag in candidates), n=1, cutoff=_LIKE
    )
    if close and f"--{close[0]}".startswith(_GRANTS):
        close = get_close_matches(name, [f"--{close[0]}"], n=1, cutoff=_VERY_LIKE)
    return _offered(f"--{close[0].removeprefix('--')}") if close else None


def _offered(flag: str) -> str:
    """Return the question, followed by what the option grants if it grants anything."""
    helps = (option.help for option in OPTIONS if flag in option.flags and option.help)
    grants = f" It would {next(helps, '')}." if flag.startswith(_GRANTS) else ""
    return f"did you mean '{flag}'?{'' if grants == ' It would .' else grants}"
