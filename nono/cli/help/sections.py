"""Say where each option appears in the help: under which heading, and whether in the short help."""

from __future__ import annotations

from collections.abc import Mapping

from nono.cli.args.options import LEARN, PROXY, SHELL, WHY

# In the order of printing. An option that is in no section is listed under "Options".
_SANDBOX: Mapping[str, str] = {
    "Files": "--allow --read --write --allow-cwd --allow-file --read-file --write-file --workdir "
    "--allow-missing --capability-elevation --bypass-protection",
    "Network": "--network-profile --allow-domain --deny-domain --block-net --ask --listen-port --open-port "
    "--allow-connect-port --mcp-server",
    "Credentials and environment": "--credential --allow-endpoint --env --env-credential "
    "--env-credential-map",
    "Profile": "--profile --extends --config",
    "Session": "--name --acp --lsp --detached --detach-timeout --startup-timeout",
    "Undo": "--rollback --no-rollback --no-rollback-prompt --rollback-exclude --rollback-include "
    "--rollback-all --rollback-dest --undo --no-undo --undo-exclude --undo-include --undo-all "
    "--undo-dest --skip-dir",
    "Limits": "--memory --max-processes --max-cost",
    "Unix sockets and devices": "--allow-unix-socket --allow-unix-socket-bind --allow-unix-socket-dir "
    "--allow-unix-socket-dir-bind --allow-unix-socket-subtree --allow-unix-socket-subtree-bind --allow-gpu",
    "Proxy": "--proxy-port --upstream-proxy --upstream-bypass --allow-http2 --proxy-ca-validity "
    "--record-flows",
    "Isolation": "--namespaces --sandbox-policy",
    "Output and record": "--dry-run --explain --verbose --no-diagnostics --diagnostics-json "
    "--suppress-save-prompt --no-audit --audit-integrity --no-audit-integrity --audit-sign-key "
    "--audit-anchor --audit-anchor-every --audit-anchor-required --audit-otlp "
    "--trust-override",
    "Deprecated": "--allow-command --block-command",
}
_FIRST: Mapping[str, Mapping[str, str]] = {
    SHELL: {"Shell": "--shell"},
    LEARN: {"Learning": "--output --tunnel --watch --yes"},
    PROXY: {
        "Server": "--listen --port --pass --no-auth --print-token --max-connections --drain --proxy-ca-cert "
        "--proxy-ca-key"
    },
    WHY: {
        "Question": "--path --op --host --port --method --env --command --caller --scope --self",
        "Answer": "--json --exit-code",
    },
}
GLOBAL = "Global options"
OTHER = "Options"
_GLOBAL_FLAGS = ("--silent", "--log-file", "--help")

HIDDEN = frozenset({"--theme"})  # has no effect yet
RARE = frozenset(
    [
        "--write-file",
        "--allow-missing",
        "--record-flows",
        "--bypass-protection",
        "--allow-connect-port",
        "--allow-endpoint",
        "--max-cost",
        "--mcp-server",
        "--env-credential",
        "--env-credential-map",
        "--extends",
        "--config",
        "--acp",
        "--lsp",
        "--detach-timeout",
        "--startup-timeout",
        "--allow-unix-socket",
        "--allow-unix-socket-bind",
        "--allow-unix-socket-dir",
        "--allow-unix-socket-dir-bind",
        "--allow-unix-socket-subtree",
        "--allow-unix-socket-subtree-bind",
        "--allow-gpu",
        "--proxy-port",
        "--upstream-proxy",
        "--upstream-bypass",
        "--allow-http2",
        "--proxy-ca-validity",
        "--namespaces",
        "--sandbox-policy",
        "--no-diagnostics",
        "--diagnostics-json",
        "--suppress-save-prompt",
        "--no-audit",
        "--allow-command",
        "--block-command",
        "--log-file",
        "--rollback-exclude",
        "--rollback-include",
        "--rollback-all",
        "--rollback-dest",
        "--no-rollback-prompt",
        "--skip-dir",
        "--audit-integrity",
        "--no-audit-integrity",
        "--audit-sign-key",
        "--audit-anchor",
        "--audit-anchor-every",
        "--audit-anchor-required",
        "--audit-otlp",
        "--trust-override",
        "--capability-elevation",
        "--caller",
        "--scope",
        "--proxy-ca-cert",
        "--proxy-ca-key",
        "--max-connections",
        "--drain",
    ]
)

# Listed here where argparse knows no default, because the value is set where it is used.
DEFAULTS: Mapping[str, str] = {
    "--audit-anchor-every": "10",
    "--detach-timeout": "30",
    "--drain": "1",
    "--listen": "127.0.0.1",
    "--max-connections": "256",
    "--max-processes": "no limit",
    "--memory": "no limit",
    "--namespaces": "auto",
    "--port": "any free port",
    "--proxy-ca-validity": "1",
    "--proxy-port": "any free port",
    "--sandbox-policy": "auto",
    "--shell": "$SHELL",
    "--startup-timeout": "0",
}


def headings(command: str, *, is_sandbox: bool) -> Mapping[str, str]:
    """Return the heading of each flag of a command, in the order of printing."""
    table = {**_FIRST.get(command, {}), **(_SANDBOX if is_sandbox else {})}
    found = {flag: title for title, flags in table.items() for flag in flags.split()}
    return {**dict.fromkeys(_GLOBAL_FLAGS, GLOBAL), **found}


def order(command: str) -> tuple[str, ...]:
    """Return the headings of a command in the order of printing."""
    return (*_FIRST.get(command, {}), *_SANDBOX, OTHER, GLOBAL)
