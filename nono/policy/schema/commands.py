"""Define the fields of command_policies: rules for the programs a command starts."""

from collections.abc import Mapping
from typing import Annotated, Literal

from nono.named_tuple import NamedTuple
from nono.policy.schema.constraints import (
    SET_VARS,
    Command,
    DecisionWord,
    Format,
    Header,
    Path,
    Port,
    PortRange,
    Says,
    Seconds,
    Text,
    Variable,
    VariablePattern,
)
from nono.policy.schema.profile import ApprovalBackendEntry, ApprovalDefaults, OpenUrls
from nono.policy.schema.routes import DefaultEntry, PolicyEntry

Count = Annotated[int, Says({"minimum": 1})]


class EnvironmentMatch(NamedTuple):
    """A variable of the call: one of some values, or one."""

    one_of: tuple[str, ...] | None = None
    equals: str | None = None


class ArgumentMatch(NamedTuple):
    """The arguments of a call."""

    exact: tuple[str, ...] | None = None
    prefix: tuple[str, ...] | None = None
    contains: tuple[str, ...] | None = None


class CallRule(NamedTuple):
    """Calls by their arguments and variables."""

    argv: ArgumentMatch = ArgumentMatch()
    env: Mapping[str, EnvironmentMatch] = {}
    backend: str | None = None
    reason: str | None = None
    timeout_secs: Seconds | None = None


class InvocationPolicy(NamedTuple):
    """deny, then approve, then allow, then default."""

    default: DecisionWord | DefaultEntry = DefaultEntry()
    deny: tuple[CallRule, ...] = ()
    approve: tuple[CallRule, ...] = ()
    allow: tuple[CallRule, ...] = ()


class UsedCredential(NamedTuple):
    """A credential of command_policies, and what it may be used for."""

    name: str
    endpoint_policy: PolicyEntry | None = None


class CommandNetwork(NamedTuple):
    """The network access of a program."""

    allow_all: bool = False
    allow_domain: tuple[str, ...] = ()
    tcp_connect_ports: tuple[Port, ...] = ()
    tcp_bind_ports: tuple[Port, ...] = ()
    open_port: tuple[Port, ...] = ()
    open_port_range: tuple[PortRange, ...] = ()


class CommandEnvironment(NamedTuple):
    """The variables of a program."""

    allow_vars: tuple[VariablePattern, ...] | None = None
    set_vars: Annotated[Mapping[str, Text], SET_VARS] = {}


class Resources(NamedTuple):
    """Limits on the resources of a program."""

    backend: Literal["auto", "cgroup", "portable"] = "auto"
    fallback: Literal["warn_if_weaker", "fail_if_weaker"] = "fail_if_weaker"
    memory_bytes: Count | None = None
    cpu_seconds: Count | None = None
    wall_time_seconds: Count | None = None
    max_processes: Count | None = None
    max_file_size_bytes: Count | None = None
    max_output_bytes: Count | None = None


class OutputLimit(NamedTuple):
    """The limit on what a program writes to one stream."""

    max_bytes: Count
    on_limit: Literal["truncate", "terminate", "deny"] = "terminate"


class OutputLimits(NamedTuple):
    """Limits on what a program writes."""

    stdout: OutputLimit | None = None
    stderr: OutputLimit | None = None


class CommandSandbox(NamedTuple):
    """The sandbox of a program."""

    fs_read: tuple[Path, ...] = ()
    fs_read_file: tuple[Path, ...] = ()
    fs_write: tuple[Path, ...] = ()
    fs_write_file: tuple[Path, ...] = ()
    use_credentials: tuple[str, ...] = ()
    credentials: tuple[str | UsedCredential, ...] = ()
    argv_prepend: tuple[Text, ...] = ()
    network: CommandNetwork | None = None
    environment: CommandEnvironment | None = None
    allow_raw_file_credentials_in_chained_policy: bool = False
    resources: Resources | None = None
    stdio: OutputLimits | None = None
    open_urls: OpenUrls | None = None
    allow_launch_services: bool | None = None
    exec_paths: tuple[Path, ...] = ()


class Caller(NamedTuple):
    """The sandbox of a program when a certain other program starts it; a sandbox alone may replace it."""

    sandbox: CommandSandbox | None = None
    invocation_policy: InvocationPolicy | None = None


class CallMatch(NamedTuple):
    """The condition under which a call is intercepted."""

    argv: ArgumentMatch = ArgumentMatch()
    env: Mapping[str, EnvironmentMatch] = {}


class Action(NamedTuple):
    """The treatment of an intercepted call."""

    type: Literal["passthrough", "respond", "capture", "capture_credential", "approve", "exec"]
    stdout: str | None = None
    credential: str | None = None
    grant_to: str | None = None
    shape: Literal["opaque", "jwt"] | None = None
    timeout_secs: Seconds | None = None
    command: Command | None = None


class Intercept(NamedTuple):
    """Calls that are answered, or run, in another way."""

    action: Action
    args: tuple[str, ...] | None = None
    match: CallMatch | None = None
    sandbox: CommandSandbox | None = None


class PidSource(NamedTuple):
    """The way to find a daemon's process."""

    argv: tuple[str, ...] = ()
    env: tuple[Variable, ...] = ()


class CommandPolicy(NamedTuple):
    """The rules of one program."""

    executable: str | None = None
    allow_writable_executable: bool = False
    can_use: tuple[str, ...] = ()
    export_env: tuple[Variable, ...] = ()
    sandbox: CommandSandbox | None = None
    # A caller and a sandbox have no field in common, so it is clear which one is meant.
    from_: Mapping[str, Literal["deny"] | Caller | CommandSandbox] = {}
    allow_direct_exec_bypass: tuple[str, ...] = ()
    allow_direct_exec_bypass_with_credentials: bool = False
    intercept: tuple[Intercept, ...] = ()
    daemon_pid_source: PidSource | None = None


class CredentialSource(NamedTuple):
    """The place of a secret."""

    type: Literal["keystore", "command"]
    key: str | None = None
    command: str | None = None
    args: tuple[Text, ...] = ()
    timeout_secs: Seconds | None = None


class CommandCredential(NamedTuple):
    """A credential that programs may use."""

    type: Literal["local-socket", "raw-file", "proxy", "ambient"]
    path: str | None = None
    env_var: Variable | None = None
    mode: Literal["connect"] | None = None
    upstream: str | None = None
    credential_key: str | None = None
    base_url_env_var: Variable | None = None
    inject_header: Header | None = None
    credential_format: Format | None = None
    tls_ca: str | None = None
    tls_client_cert: str | None = None
    tls_client_key: str | None = None
    source: CredentialSource | None = None


class CommandPolicies(NamedTuple):
    """The tool sandbox."""

    executable_dirs: tuple[Path, ...] = ()
    allow_writable_executables: bool = False
    entrypoint: str | None = None
    approval_backends: Mapping[str, ApprovalBackendEntry] = {}
    approval_defaults: ApprovalDefaults | None = None
    credentials: Mapping[str, CommandCredential] = {}
    commands: Mapping[str, CommandPolicy] = {}
    deny_direct_exec_bypass: tuple[str, ...] = ()
    session_export_env: tuple[Variable, ...] = ()
