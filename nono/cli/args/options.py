"""Declare every option of the sandbox commands, including those that are refused by name."""

from collections.abc import Mapping

from nono.named_tuple import NamedTuple
from nono.str_enum import StrEnum


class Kind(StrEnum):
    FLAG = "flag"
    COUNT = "count"
    VALUE = "value"
    LIST = "list"
    PORTS = "ports"
    PORT_RANGES = "port ranges"  # 8080 or 3000-3010
    PAIRS = "pairs"


RUN, SHELL, WRAP, WHY, PROXY, LEARN = "run", "shell", "wrap", "why", "proxy", "learn"
SANDBOX = (RUN, SHELL, WRAP, LEARN)
SUPERVISED = (RUN, SHELL, LEARN)
TRUE_WORDS = frozenset({"y", "yes", "t", "true", "on", "1"})
FALSE_WORDS = frozenset({"n", "no", "f", "false", "off", "0", ""})


class Option(NamedTuple):
    """One option. flags[0] is its name in messages; the others are short forms and aliases."""

    flags: tuple[str, ...]
    kind: Kind
    help: str
    commands: tuple[str, ...] = SANDBOX
    metavar: str | tuple[str, str] = ""  # two for a pair
    env: str = ""
    splits_commas: bool = False
    env_splits_commas: bool = False  # in the variable only: a value of the option may hold a comma itself
    available: bool = True
    is_shown: bool = True  # whether the help lists it
    deprecated: tuple[str, ...] = ()  # old spellings that are still understood, with a warning
    in_request: bool = True  # becomes the RunRequest field of the same name
    in_manifest: bool = False  # a manifest covers it, so it may not be combined with --config
    may_need_listener: bool = False  # a run with it may have system calls answered by nono

    @property
    def dest(self) -> str:
        return self.flags[0].removeprefix("--").replace("-", "_")


def _refused(
    flag: str,
    why: str,
    kind: Kind = Kind.FLAG,
    commands: tuple[str, ...] = SANDBOX,
    env: str = "",
) -> Option:
    """Return an option that is known but refused by name."""
    return Option(
        (flag,),
        kind,
        why,
        commands,
        metavar="VALUE",
        env=env,
        available=False,
        in_request=False,
    )


_UNSUPERVISED = "`nono wrap` reads no credentials, and `nono run` does"
_OF_MACOS = "only supported on macOS"

OPTIONS: tuple[Option, ...] = (
    Option(("--allow", "-a"), Kind.LIST,
           "grant a directory, with all below it, for reading and writing", (*SANDBOX, WHY), "DIR",
           env="NONO_ALLOW", splits_commas=True, in_manifest=True),
    Option(("--read", "-r"), Kind.LIST, "grant a directory for reading", (*SANDBOX, WHY), "DIR",
           in_manifest=True),
    Option(("--write", "-w"), Kind.LIST, "grant a directory for writing", (*SANDBOX, WHY), "DIR",
           in_manifest=True),
    Option(("--allow-file",), Kind.LIST, "grant one file for reading and writing", (*SANDBOX, WHY), "FILE",
           in_manifest=True),
    Option(("--read-file",), Kind.LIST,
           "grant one file for reading", (*SANDBOX, WHY), "FILE", in_manifest=True),
    Option(("--write-file",), Kind.LIST,
           "grant one file for writing", (*SANDBOX, WHY), "FILE", in_manifest=True),
    Option(("--allow-missing",), Kind.FLAG, "skip grants of paths that do not exist", SANDBOX,
           in_request=False),
    Option(("--allow-unix-socket",), Kind.LIST,
           "let the command connect to a Unix socket", (*SANDBOX, WHY), "SOCKET",
           in_manifest=True),
    Option(("--allow-unix-socket-bind",), Kind.LIST, "let it connect to and listen on a Unix socket",
           (*SANDBOX, WHY), "SOCKET", in_manifest=True),
    Option(("--allow-unix-socket-dir",), Kind.LIST, "let it connect to the Unix sockets in a directory",
           (*SANDBOX, WHY), "DIR", in_manifest=True),
    Option(("--allow-unix-socket-dir-bind",), Kind.LIST,
           "let it connect to and listen on those in a directory",
           (*SANDBOX, WHY), "DIR", in_manifest=True),
    Option(("--allow-unix-socket-subtree",), Kind.LIST,
           "let it connect to the Unix sockets below a directory",
           (*SANDBOX, WHY), "DIR", in_manifest=True),
    Option(("--allow-unix-socket-subtree-bind",), Kind.LIST,
           "let it connect to and listen on those below a directory",
           (*SANDBOX, WHY), "DIR", in_manifest=True),
    Option(("--allow-gpu",), Kind.FLAG, "grant the GPUs, if a profile has allow_gpu", (*SANDBOX, WHY),
           in_manifest=True),
    Option(("--allow-cwd",), Kind.FLAG,
           "grant the working directory (read-only, unless the profile says otherwise)",
           (*SANDBOX, WHY), in_manifest=True),
    Option(("--workdir",), Kind.VALUE,
           "run the command in another working directory", (*SANDBOX, WHY), "DIR"),
    Option(("--bypass-protection",), Kind.LIST, "let a grant reach a protected path, such as ~/.ssh",
           (*SANDBOX, WHY), "PATH", deprecated=("--override-deny",), in_manifest=True),
    Option(("--block-net",), Kind.FLAG, "refuse all network access", (*SANDBOX, WHY), env="NONO_BLOCK_NET",
           deprecated=("--net-block",), in_manifest=True),
    Option(("--allow-net",), Kind.FLAG, "", (*SUPERVISED, WHY), env="NONO_ALLOW_NET", is_shown=False,
           deprecated=("--net-allow",), in_manifest=True),
    Option(("--network-profile",), Kind.VALUE, "allow the hosts of a network profile, and no others",
           (*SUPERVISED, WHY, PROXY), "NAME", env="NONO_NETWORK_PROFILE", in_manifest=True,
           may_need_listener=True),
    Option(("--allow-domain",), Kind.LIST, "allow a host, *.suffix, group of hosts, or URL with a path",
           (*SUPERVISED, WHY, PROXY), "HOST", env="NONO_ALLOW_DOMAIN", env_splits_commas=True,
           deprecated=("--allow-proxy", "--proxy-allow"), in_manifest=True, may_need_listener=True),
    Option(("--deny-domain",), Kind.LIST,
           "refuse a host, *.suffix or group of hosts", (*SUPERVISED, WHY, PROXY),
           "HOST", env="NONO_DENY_DOMAIN", env_splits_commas=True, may_need_listener=True),
    Option(("--listen-port",), Kind.PORT_RANGES, "let the command listen on a TCP port or range",
           (*SANDBOX, WHY), "PORT",
           deprecated=("--allow-bind",), in_manifest=True),
    Option(("--open-port",), Kind.PORT_RANGES, "let it connect to and listen on a port of 127.0.0.1",
           (*SANDBOX, WHY), "PORT", deprecated=("--allow-port",), in_manifest=True, may_need_listener=True),
    Option(("--allow-connect-port",), Kind.PORT_RANGES,
           "let it connect to a TCP port of any host, past the proxy; no DNS",
           (*SANDBOX, WHY), "PORT", in_manifest=True, may_need_listener=True),
    Option(("--credential",), Kind.LIST,
           "use a service (at URL); the proxy injects its key",
           (*SUPERVISED, WHY, PROXY), "SERVICE[=URL]", env="NONO_CREDENTIAL", env_splits_commas=True,
           deprecated=("--proxy-credential",), in_manifest=True, may_need_listener=True),
    Option(("--proxy-port",), Kind.PORTS, "use this port for the proxy", SUPERVISED, "PORT",
           in_manifest=True, in_request=False),
    Option(("--allow-endpoint",), Kind.LIST, "allow only matching requests: SERVICE:METHOD:/path",
           (*SUPERVISED, WHY, PROXY), "RULE", in_manifest=True),
    Option(("--max-cost",), Kind.LIST, "ask once a service has cost this much at list prices",
           SUPERVISED, "SERVICE=USD", in_manifest=True),
    Option(("--mcp-server",), Kind.LIST,
           "let it use a profile's program as an MCP server, in a sandbox of its own",
           (RUN, SHELL, WHY), "PROFILE", in_manifest=True, may_need_listener=True),
    Option(("--upstream-proxy",), Kind.VALUE,
           "chain to another proxy, such as a corporate one", (*SUPERVISED, WHY, PROXY),
           "HOST:PORT", env="NONO_UPSTREAM_PROXY", deprecated=("--external-proxy",), in_manifest=True,
           may_need_listener=True),
    Option(("--upstream-bypass",), Kind.LIST, "reach a host or *.suffix without that proxy",
           (*SUPERVISED, WHY, PROXY), "HOST", env="NONO_UPSTREAM_BYPASS", splits_commas=True,
           deprecated=("--external-proxy-bypass",)),
    Option(("--allow-http2",), Kind.FLAG, "offer HTTP/2 to clients on intercepted connections",
           (*SUPERVISED, PROXY), in_manifest=True),
    Option(("--proxy-ca-validity",), Kind.VALUE, "lifetime of the proxy's certificates, 1 to 365 days",
           (*SUPERVISED, PROXY), "DAYS", env="NONO_PROXY_CA_VALIDITY"),
    Option(("--listen",), Kind.VALUE, "listen on this address", (PROXY,), "ADDRESS",
           in_request=False),
    Option(("--port",), Kind.VALUE, "listen on this port", (PROXY,), "PORT",
           in_request=False),
    Option(("--pass",), Kind.VALUE, "set the proxy's password (the variable is safer)",
           (PROXY,), "PASSWORD", env="NONO_PROXY_PASS", in_request=False),
    Option(("--no-auth",), Kind.FLAG, "ask for no password (loopback only)", (PROXY,), in_request=False),
    Option(("--print-token",), Kind.FLAG, "print the password even if stdout is not a terminal", (PROXY,),
           in_request=False),
    Option(("--max-connections",), Kind.VALUE,
           "serve at most N connections at a time; 0 for any number", (PROXY,),
           "N", env="NONO_PROXY_MAX_CONNECTIONS", in_request=False),
    Option(("--drain",), Kind.VALUE, "on a signal, let responses under way go on for so long", (PROXY,),
           "SECONDS", env="NONO_PROXY_DRAIN", in_request=False),
    Option(("--proxy-ca-cert",), Kind.VALUE, "use your own CA: its certificate, in PEM", (PROXY,), "FILE",
           env="NONO_PROXY_CA_CERT", in_request=False),
    Option(("--proxy-ca-key",), Kind.VALUE,
           "use your own CA: its P-256 key, PKCS #8 in PEM", (PROXY,), "FILE",
           env="NONO_PROXY_CA_KEY", in_request=False),
    Option(("--record-flows",), Kind.VALUE, "record intercepted exchanges, in mitmproxy's format",
           (RUN, SHELL), "FILE"),
    Option(("--env",), Kind.LIST, "pass a variable on even if it looks like a secret, or set one", SANDBOX,
           "NAME[=VALUE]", in_manifest=True),
    Option(("--env-credential",), Kind.VALUE, "give the command real credentials: name,env://X,op://...=VAR",
           SUPERVISED, "LIST", env="NONO_ENV_CREDENTIAL", in_manifest=True),
    Option(("--env-credential-map",), Kind.PAIRS, "give the command one real credential, in a variable",
           SUPERVISED, ("REFERENCE", "VARIABLE"), in_manifest=True),
    Option(("--memory",), Kind.VALUE, "limit the memory of the command and its descendants: 512M, 4G",
           SUPERVISED, "SIZE", in_manifest=True),
    Option(("--max-processes",), Kind.VALUE, "limit the number of its processes and threads",
           SUPERVISED, "N", in_manifest=True),
    Option(("--memory",), Kind.VALUE, "", (WRAP,), "SIZE", is_shown=False, in_manifest=True),
    Option(("--max-processes",), Kind.VALUE, "", (WRAP,), "N", is_shown=False, in_manifest=True),
    Option(("--profile", "-p"), Kind.VALUE,
           "use a profile: a name, or a path with a slash; commas join several",
           (*SANDBOX, WHY, PROXY), "NAME", env="NONO_PROFILE", in_manifest=True, may_need_listener=True,
           in_request=False),
    Option(("--config", "-c"), Kind.VALUE, "use a capability manifest instead of profile and grants",
           (*SANDBOX, WHY), "FILE", may_need_listener=True, in_request=False),
    Option(("--extends",), Kind.LIST, "add a base profile below that of --profile", (*SANDBOX, WHY, PROXY),
           "NAME", in_manifest=True, in_request=False),
    Option(("--allow-command",), Kind.LIST, "deprecated: start a program that is blocked by name", SANDBOX,
           "NAME", in_manifest=True),
    Option(("--block-command",), Kind.LIST, "deprecated: block a program by name", SANDBOX,
           "NAME", in_manifest=True),
    Option(("--sandbox-policy",), Kind.VALUE, "choose what enforces the network",
           (RUN, WHY), "POLICY"),
    Option(("--sandbox-policy",), Kind.VALUE, "", (SHELL, WRAP, LEARN), "POLICY", is_shown=False),
    Option(("--namespaces",), Kind.VALUE, "give the command its own processes and temporary files",
           (RUN, SHELL, LEARN, WHY), "WHEN"),
    Option(("--no-diagnostics",), Kind.FLAG, "print nothing about denials after the run", SANDBOX,
           in_request=False),
    Option(("--suppress-save-prompt", "--ignore-denied"), Kind.LIST,
           "never offer to save this path in a profile", SANDBOX, "PATH", in_manifest=True,
           in_request=False),
    Option(("--diagnostics-json",), Kind.FLAG,
           "print what was denied, as JSON on stderr, after the run", (RUN,),
           in_request=False),
    Option(("--explain",), Kind.FLAG, "watch the command, and list what it was refused, files included",
           (RUN,), in_request=False, may_need_listener=True),
    Option(("--capability-elevation",), Kind.FLAG, "ask you about files beyond the grants",
           (RUN, SHELL, WHY), env="NONO_CAPABILITY_ELEVATION", may_need_listener=True),
    Option(("--ask",), Kind.FLAG, "ask you about hosts that nothing allows; connections wait",
           (RUN, SHELL), may_need_listener=True),
    Option(("--trust-override",), Kind.FLAG, "start without checking instruction files",
           (RUN,), env="NONO_TRUST_OVERRIDE", in_request=False),
    Option(("--no-audit",), Kind.FLAG, "write no audit log; nono ps still lists the session", SUPERVISED,
           in_request=False),
    Option(("--no-audit-integrity",), Kind.FLAG, "write nothing that shows whether the log is complete",
           (RUN, SHELL), in_request=False),
    Option(("--audit-integrity",), Kind.FLAG, "hash the files of writable directories before and after",
           (RUN, SHELL), in_request=False),
    Option(("--audit-sign-key",), Kind.VALUE, "sign the audit log at its end; nono trust keygen makes keys",
           (RUN, SHELL), "KEY", in_request=False),
    Option(("--audit-anchor",), Kind.LIST, "have others vouch for the audit log: rfc3161:URL or key:REF",
           (RUN, SHELL, PROXY), "ANCHOR", env="NONO_AUDIT_ANCHOR", in_request=False),
    Option(("--audit-anchor-every",), Kind.VALUE, "anchor it every MIN minutes",
           (RUN, SHELL, PROXY), "MIN", in_request=False),
    Option(("--audit-anchor-required",), Kind.FLAG, "start nothing before there is an anchor",
           (RUN, SHELL, PROXY), in_request=False),
    Option(("--audit-otlp",), Kind.VALUE, "send each record to an OpenTelemetry collector",
           (RUN, SHELL, PROXY), "URL", env="NONO_AUDIT_OTLP", in_request=False),
    Option(("--rollback",), Kind.FLAG, "keep what the command may change, for nono rollback restore", (RUN,),
           in_request=False),
    Option(("--no-rollback",), Kind.FLAG, "keep nothing for undo", (RUN,), in_request=False),
    Option(("--no-rollback-prompt",), Kind.FLAG, "do not offer to undo at the end what it changed", (RUN,),
           in_request=False),
    Option(("--rollback-exclude",), Kind.LIST, "leave a name, path or pattern out of undo", (RUN,),
           "PATTERN", in_request=False),
    Option(("--rollback-include",), Kind.LIST, "cover a name that is usually left out of undo", (RUN,),
           "NAME", in_request=False),
    Option(("--rollback-all",), Kind.FLAG, "cover all that is usually left out, except .git, .hg and .svn",
           (RUN,), in_request=False),
    Option(("--rollback-dest",), Kind.VALUE, "keep the snapshots in a directory outside all grants", (RUN,),
           "DIR", in_request=False),
    Option(("--skip-dir",), Kind.LIST, "skip directories of this name, for undo and instruction files",
           (RUN,), "NAME", in_request=False),
    Option(("--name",), Kind.VALUE, "name the session", SUPERVISED, "NAME",
           in_request=False),
    Option(("--detached",), Kind.FLAG, "run in the background; nono attach shows its terminal",
           (RUN,), in_request=False),
    Option(("--acp",), Kind.FLAG,
           "run an agent for an editor, which is asked for no commands and files", (RUN,), in_request=False),
    Option(("--lsp",), Kind.FLAG,
           "run a language server for an editor, whose process it does not see", (RUN,), in_request=False),
    Option(("--detach-timeout",), Kind.VALUE, "limit how long a --detached command may take to start", (RUN,),
           "SECONDS", env="NONO_DETACH_STARTUP_TIMEOUT", in_request=False),
    Option(("--startup-timeout",), Kind.VALUE,
           "at a terminal, end a command that shows nothing for so long; 0: never",
           (RUN, SHELL), "SECONDS", env="NONO_STARTUP_TIMEOUT", in_request=False),
    Option(("--shell",), Kind.VALUE, "run this shell", (SHELL,), "SHELL",
           in_request=False),
    Option(("--output", "-o"), Kind.VALUE, "write or extend this profile: a name, or a path with a slash",
           (LEARN,), "NAME", in_request=False),
    Option(("--tunnel",), Kind.LIST, "allow a host as a whole, without looking into its TLS",
           (LEARN,), "HOST"),
    Option(("--watch",), Kind.FLAG, "run and watch the command without asking first", (LEARN,),
           in_request=False),
    Option(("--yes", "-y"), Kind.FLAG, "as --watch, and write the profile without asking", (LEARN,),
           in_request=False),
    Option(("--verbose", "-v"), Kind.COUNT, "print more; repeat for still more",
           (*SANDBOX, PROXY), in_request=False),
    Option(("--dry-run",), Kind.FLAG, "show what would be granted and enforced, and start nothing", SANDBOX,
           in_request=False),
    _refused("--env-credential", _UNSUPERVISED, Kind.VALUE, (WRAP,), env="NONO_ENV_CREDENTIAL"),
    _refused("--env-credential-map", _UNSUPERVISED, Kind.PAIRS, (WRAP,)),
    _refused("--allow-launch-services", _OF_MACOS),
    _refused("--trust-proxy-ca", _OF_MACOS),
)  # fmt: skip

# Options of every command that may also precede its name; the third is --silent.
GLOBALS: tuple[Option, ...] = (
    Option(("--theme",), Kind.VALUE, "colour theme; accepted, and nothing uses it yet", (), "NAME",
           env="NONO_THEME"),
    Option(("--log-file",), Kind.VALUE, "append a run's messages to a file too", (), "FILE",
           env="NONO_LOG_FILE"),
)  # fmt: skip

# Old spellings of environment variables; each is read only when the new one is unset.
LEGACY_ENVIRONMENT: Mapping[str, str] = {
    "NONO_NET_BLOCK": "NONO_BLOCK_NET",
    "NONO_ALLOW_PROXY": "NONO_ALLOW_DOMAIN",
    "NONO_PROXY_ALLOW": "NONO_ALLOW_DOMAIN",
    "NONO_PROXY_CREDENTIAL": "NONO_CREDENTIAL",
    "NONO_NET_ALLOW": "NONO_ALLOW_NET",
    "NONO_EXTERNAL_PROXY": "NONO_UPSTREAM_PROXY",
    "NONO_EXTERNAL_PROXY_BYPASS": "NONO_UPSTREAM_BYPASS",
}


def options_of(command: str) -> tuple[Option, ...]:
    """Return all options of command: its own options, then the global ones."""
    return (*own_options_of(command), *GLOBALS)


def own_options_of(command: str) -> tuple[Option, ...]:
    return tuple(option for option in OPTIONS if command in option.commands)


def is_port(text: str) -> bool:
    """Check that text is a TCP port, from 1 to 65535, in plain decimal."""
    # At most five digits: for thousands of them, int() raises an error of its own.
    return text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 65535


def ports_of(text: str) -> range | None:
    """Return the ports of "8080" or of "3000-3010"; None for anything else."""
    first, dash, last = text.partition("-")
    last = last if dash else first
    if not is_port(first) or not is_port(last) or int(first) > int(last):
        return None
    return range(int(first), int(last) + 1)
