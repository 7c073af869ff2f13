"""Hold the sandbox options of a command line, before they are merged with a profile."""

from nono.named_tuple import NamedTuple
from nono.policy.capability import Namespaces, SandboxPolicy


class RunRequest(NamedTuple):
    """The sandbox options of a command line. An option not given is (), None or False."""

    allow: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    allow_file: tuple[str, ...] = ()
    read_file: tuple[str, ...] = ()
    write_file: tuple[str, ...] = ()
    allow_unix_socket: tuple[str, ...] = ()
    allow_unix_socket_bind: tuple[str, ...] = ()
    allow_unix_socket_dir: tuple[str, ...] = ()
    allow_unix_socket_dir_bind: tuple[str, ...] = ()
    allow_unix_socket_subtree: tuple[str, ...] = ()
    allow_unix_socket_subtree_bind: tuple[str, ...] = ()
    refuses_missing: bool = False  # refuse grants of missing paths, which otherwise grant nothing
    bypass_protection: tuple[str, ...] = ()
    allow_cwd: bool = False
    workdir: str | None = None
    block_net: bool = False
    allow_net: bool = False  # drops every network rule of the profile
    network_profile: str | None = None
    allow_domain: tuple[str, ...] = ()
    deny_domain: tuple[str, ...] = ()
    credential: tuple[str, ...] = ()
    mcp_server: tuple[str, ...] = ()
    listen_port: tuple[int, ...] = ()
    open_port: tuple[int, ...] = ()
    allow_connect_port: tuple[int, ...] = ()
    sandbox_policy: SandboxPolicy | None = None
    namespaces: Namespaces | None = None
    capability_elevation: bool = False
    ask: bool = False  # a person is asked about hosts that nothing allows
    allow_endpoint: tuple[str, ...] = ()  # SERVICE:METHOD:/path
    max_cost: tuple[str, ...] = ()  # SERVICE=USD
    upstream_proxy: str | None = None
    upstream_bypass: tuple[str, ...] = ()
    allow_http2: bool = False
    proxy_ca_validity: str | None = None  # days
    record_flows: str | None = None
    standalone_proxy: bool = False  # a proxy without a command, which starts even if nothing needs it
    allow_gpu: bool = False
    learns: bool = False  # observe the command, and let the proxy reach hosts that are not granted yet
    tunnel: tuple[str, ...] = ()  # hosts whose TLS is not intercepted in learn mode
    memory: str | None = None  # a size, such as 512M
    max_processes: str | None = None
    allow_command: tuple[str, ...] = ()
    block_command: tuple[str, ...] = ()
    env_credential: str | None = None  # comma-separated
    env: tuple[str, ...] = ()  # NAME, to pass it on, or NAME=VALUE, to set it
    env_credential_map: tuple[tuple[str, str], ...] = ()  # reference, variable
