"""Derive the policy of one run from a command line and a profile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from posixpath import join

from nono import paths
from nono.errors import ConfigError
from nono.named_tuple import NamedTuple
from nono.policy.capability import Access, CapabilitySet, Grant, Limits, NetworkMode, Scopes
from nono.policy.command_rules import DEPRECATED, CommandRules, command_rules
from nono.policy.environment.inheritance import (
    RUNTIME_DIRECTORY,
    EnvironmentRules,
    Withheld,
    not_inherited,
)
from nono.policy.files.active_groups import groups_in_force
from nono.policy.files.denials import DenyRules
from nono.policy.files.resolve_files import FileRules, WantedFiles, file_rules, wanted_files
from nono.policy.files.system.entries import listed_directories
from nono.policy.files.unix_sockets import UnixSocketRules
from nono.policy.git.repository import Repository
from nono.policy.network_request import (
    idle_settings,
    merge_network,
    merge_ports,
    mode_of,
    refuse_idle_options,
)
from nono.policy.path_expansion import Filesystem, PathContext
from nono.policy.request import RunRequest as RunRequest
from nono.policy.schema.profile import Profile, Rollback, SessionHooks
from nono.policy.services.environment_rules import (
    environment_rules,
    granted_pointers,
    unset,
    uses_runtime_directory,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.policy.builtin.shipped import Group
    from nono.policy.hosts.endpoint_scope import EndpointScope
    from nono.policy.hosts.host_filter import HostFilter
    from nono.policy.hosts.mcp_servers import McpServer
    from nono.policy.hosts.proxy_settings import ProxySettings, UpstreamProxySettings
    from nono.policy.ports import KeptPort
    from nono.policy.proxied_policy import ProxiedPolicy
    from nono.policy.services.approval import Approval
    from nono.policy.services.credential_service import CredentialService
    from nono.policy.services.env_credential import EnvCredentials
    from nono.policy.services.oauth_routes import OAuthRoute


class PathWarning(NamedTuple):
    """A warning that holds if the command sees what is at `path`, and not something of its own there."""

    path: str  # canonical
    text: str


class Resolved(NamedTuple):
    """The whole policy of one run, with the warnings to show for it."""

    capabilities: CapabilitySet
    host_filter: HostFilter | None  # in proxy mode only
    services: tuple[CredentialService, ...]
    scopes: tuple[EndpointScope, ...]
    oauth_routes: tuple[OAuthRoute, ...]
    proxy: ProxySettings | None  # in proxy mode only
    env_credentials: EnvCredentials  # credentials handed to the command itself
    environment: EnvironmentRules
    withheld: tuple[Withheld, ...]  # variables of the caller that the command does not inherit
    deny_rules: DenyRules  # capabilities.denials and the bypasses that exempt paths from them
    unix_sockets: UnixSocketRules
    path_context: PathContext
    state_directories: tuple[Grant, ...]  # created at the start if missing
    skipped: tuple[str, ...]  # requested by a person, but the path does not exist
    warnings: tuple[str, ...]
    repository: Repository | None  # of the working directory, if the command may change it
    workdir_offer: Access | None  # access --allow-cwd would add; None: nothing, or already given
    insisted: tuple[str, ...] = ()  # warnings to show even with --silent
    approval: Approval | None = None  # set if anything needs approval
    commands: CommandRules = CommandRules()
    binary: str | None = None  # from the profile: runs when no command is given
    command_args: tuple[str, ...] = ()  # from the profile: appended to the command
    deprecations: tuple[str, ...] = ()  # one line for each old name in the profile
    session_hooks: SessionHooks = SessionHooks()
    rollback: Rollback = Rollback()  # what undo leaves out
    added_profiles: tuple[str, ...] = ()  # which a person agreed to for this project
    of_paths: tuple[PathWarning, ...] = ()  # to show even with --silent, once what the command sees is known
    is_workdir_agreed: bool = False  # a person agreed to share it, rather than to type --allow-cwd
    mcp_servers: tuple[McpServer, ...] = ()
    audit_required: bool = False  # by the profile: nothing runs without an audit log


class Asked(NamedTuple):
    """Everything a request and a profile ask for, before the decision to share the working directory."""

    request: RunRequest
    settings: Profile
    path_context: PathContext
    fs: Filesystem
    mode: NetworkMode
    proxied: ProxiedPolicy | None  # in proxy mode only
    env_credentials: EnvCredentials
    groups: Sequence[Group]
    files: WantedFiles

    @property
    def services(self) -> tuple[CredentialService, ...]:
        return self.proxied.services if self.proxied is not None else ()

    @property
    def scopes(self) -> tuple[EndpointScope, ...]:
        return self.proxied.scopes if self.proxied is not None else ()

    @property
    def oauth_routes(self) -> tuple[OAuthRoute, ...]:
        return self.proxied.oauth_routes if self.proxied is not None else ()

    @property
    def upstream_proxy(self) -> UpstreamProxySettings | None:
        return self.proxied.settings.upstream_proxy if self.proxied is not None else None

    def policy(self, *, shares_workdir: bool) -> Resolved:
        """Decide the policy. `shares_workdir` includes the working directory if it is offered.

        Raises like resolve().
        """
        request, settings, path_context, fs = self.request, self.settings, self.path_context, self.fs
        files = file_rules(self.files, path_context, fs, shares_workdir=shares_workdir)
        limits = _limits(request, files.grants)
        approval = self._approval()
        proxied = self.proxied
        self._refuse_reach(files.grants)
        offer = None if shares_workdir else self.files.workdir_offer
        environment = self._environment(files)
        return Resolved(
            capabilities=self._capabilities(files, limits, self._kept_ports(approval)),
            host_filter=proxied.host_filter if proxied is not None else None,
            services=self.services,
            scopes=self.scopes,
            oauth_routes=self.oauth_routes,
            proxy=proxied.settings if proxied is not None else None,
            env_credentials=self.env_credentials,
            environment=environment,
            withheld=not_inherited(path_context.environ, environment),
            deny_rules=files.deny_rules,
            unix_sockets=files.sockets,
            path_context=path_context,
            state_directories=self.files.state_directories,
            skipped=self.files.skipped,
            commands=command_rules(request, settings, self.groups),
            binary=path_context.expand_built_in(settings.binary) if settings.binary is not None else None,
            session_hooks=settings.session_hooks,
            rollback=settings.rollback,
            mcp_servers=proxied.mcp_servers if proxied is not None else (),
            audit_required=settings.security.audit_required,
            command_args=tuple(map(path_context.expand_built_in, settings.command_args)),
            warnings=(
                *_deprecated_flags(request),
                *files.warnings,
                *unset(environment, path_context.environ),
                *(proxied.warnings if proxied is not None else idle_settings(request, settings)),
                *(
                    f"the command itself gets to read a credential, in {variable}"
                    for _, variable in self.env_credentials
                ),
            ),
            insisted=files.insisted,
            repository=files.repository,
            workdir_offer=offer.access if offer is not None else None,
            approval=approval,
        )

    def _refuse_reach(self, grants: tuple[Grant, ...]) -> None:
        """Raise ConfigError if the command could read a key kept from it."""
        services, upstream_proxy = self.services, self.upstream_proxy
        if services:
            # Imported here: many runs have no key.
            from nono.policy.services.key_reach import refuse_key_beside_phantom, refuse_reach

            refuse_reach(services, grants, self.path_context, self.fs)
            refuse_key_beside_phantom(services, self.env_credentials)
        if upstream_proxy is not None and upstream_proxy.source_file is not None:
            from nono.policy.services.key_reach import refuse_readable_key

            refuse_readable_key("upstream_proxy", upstream_proxy.source_file, grants, self.fs)
        if self.env_credentials:
            from nono.policy.services.key_reach import refuse_writable_file

            for reference, variable in self.env_credentials:
                refuse_writable_file(reference, variable, grants, self.fs)

    def _environment(self, files: FileRules) -> EnvironmentRules:
        path_context = self.path_context
        rules = environment_rules(
            self.settings,
            self.request.env,
            self.services,
            self.oauth_routes,
            self.upstream_proxy,
            path_context,
        )
        left = None
        if self.request.workdir is not None:
            left = _trusted_pwd(path_context.environ, path_context.cwd, self.fs)
        environ = path_context.environ
        granted = granted_pointers(environ, files.sockets, files.grants, files.deny_rules, self.fs)
        # Where no socket needs a grant, those of the session are reached there.
        mediates = self.mode is NetworkMode.PROXY or self.settings.linux.af_unix_mediation == "pathname"
        if not mediates or uses_runtime_directory(environ, files.sockets, files.grants, self.fs):
            granted |= {RUNTIME_DIRECTORY}
        return rules._replace(granted=granted, left_directory=left)

    def _kept_ports(self, approval: Approval | None) -> tuple[KeptPort, ...]:
        if not self.services and self.upstream_proxy is None and approval is None:
            return ()
        # Imported here: many runs have no key and ask nobody.
        from nono.policy.services.key_reach import kept_ports

        return kept_ports(self.services, self.upstream_proxy, approval, self.path_context.environ, self.fs)

    def _capabilities(
        self, files: FileRules, limits: Limits, kept_ports: tuple[KeptPort, ...]
    ) -> CapabilitySet:
        request, security, linux = self.request, self.settings.security, self.settings.linux
        ports = merge_ports(request, self.settings.network)
        if kept_ports:
            # Imported here, as above.
            from nono.policy.services.key_reach import refuse_listening

            refuse_listening(kept_ports, ports.listen)
        asks_about_files = request.capability_elevation or security.capability_elevation
        return CapabilitySet(
            grants=files.grants,
            denials=files.deny_rules.denials,
            masking=files.masking,
            network=self.mode,
            scopes=Scopes(
                signal=security.signal_mode != "allow_all",
                abstract_unix_socket=security.ipc_mode == "shared_memory_only",
                signal_or_nothing=security.signal_mode == "allow_same_sandbox",
                has_process_info_mode=security.process_info_mode is not None,
            ),
            wsl2_proxy_policy=security.wsl2_proxy_policy,
            workdir=self.files.workdir,
            sandbox_policy=request.sandbox_policy or linux.sandbox_policy,
            namespaces=request.namespaces or linux.namespaces,
            ports=ports,
            kept_ports=kept_ports,
            af_unix_mediation=linux.af_unix_mediation == "pathname",
            sockets=files.sockets.grants,
            socket_directories=files.socket_directories,
            listed=listed_directories(self.groups),
            # No questions in learn mode: it should learn exactly the accesses that would be asked about.
            elevation=not request.learns and asks_about_files,
            learns=request.learns,
            limits=limits,
            names_threads=self.files.names_threads,
            hooks=files.hooks,
        )

    def _approval(self) -> Approval | None:
        """Return how approval is asked for; None if nothing of this run needs any."""
        request, security = self.request, self.settings.security
        policies = [each.endpoints for each in self.services] + [each.endpoints for each in self.scopes]
        asks = any(policy.approve or policy.default == "approve" for policy in policies)
        asks = asks or any(service.limits.asks for service in self.services)
        elevates = request.capability_elevation or security.capability_elevation
        if not (asks or elevates or request.ask or security.approval_backends or security.approval_defaults):
            return None
        # Imported here: few runs ask.
        from nono.policy.services.approval import ASKING_TIMEOUT_S, approval_of

        rules = [rule for policy in policies for rule in policy.approve]
        named = [rule.backend for rule in rules] + [policy.default_backend for policy in policies]
        approval = approval_of(security, filter(None, named), self.settings.label)
        defaults = security.approval_defaults
        is_timed = defaults is not None and defaults.timeout_secs is not None
        return approval._replace(timeout_s=ASKING_TIMEOUT_S) if request.ask and not is_timed else approval


def resolve(
    request: RunRequest,
    profile: Profile | None,
    *,
    environ: Mapping[str, str],
    cwd: str,
    fs: Filesystem,
    uid: int | None = None,
) -> Resolved:
    """Decide the policy that `request` and `profile` make together.

    Takes environ, cwd, fs and uid like asked_for(). Raises like it, and SandboxError if the kernel could not
    enforce the policy.
    """
    asked = asked_for(request, profile, environ=environ, cwd=cwd, fs=fs, uid=uid)
    return asked.policy(shares_workdir=request.allow_cwd)


def asked_for(
    request: RunRequest,
    profile: Profile | None,
    *,
    environ: Mapping[str, str],
    cwd: str,
    fs: Filesystem,
    uid: int | None = None,
) -> Asked:
    """Collect everything `request` and `profile` ask for.

    cwd: absolute and canonical.
    fs: reads the disk, except for the data nono ships.
    uid: the value of $UID.

    Raises a NonoError that names the problem; ConfigError for contradictions and unknown names.
    """
    settings = profile or Profile()
    path_context = PathContext(
        paths.home(environ), cwd, _workdir(request.workdir, environ, cwd, fs), environ, uid
    )
    asked = merge_network(request, settings)
    mode = mode_of(asked, request)
    refuse_idle_options(asked, request, mode)
    proxied: ProxiedPolicy | None = None
    if mode is NetworkMode.PROXY:
        # Imported here: imports are most of a start's time, and other runs need neither hosts nor services.
        from nono.policy.proxied_policy import proxied_policy

        proxied = proxied_policy(asked, request, settings, path_context)
    handed_out: EnvCredentials = ()
    if settings.env_credentials or request.env_credential is not None or request.env_credential_map:
        # Imported here: few runs pass a credential to the command.
        from nono.policy.services.env_credential import env_credentials

        handed_out = env_credentials(
            settings.env_credentials, request.env_credential, request.env_credential_map
        )
    groups = groups_in_force(settings)
    files = wanted_files(request, profile, groups, path_context, fs)
    return Asked(request, settings, path_context, fs, mode, proxied, handed_out, groups, files)


def _limits(request: RunRequest, grants: tuple[Grant, ...]) -> Limits:
    """Parse the limits.

    Raises ConfigError if one is malformed, SandboxError if a grant would let the command lift it.
    """
    if request.memory is None and request.max_processes is None:
        return Limits()
    # Imported here: few runs have limits.
    from nono.policy.limits import limits_of, refuse_lifting

    limits = limits_of(request.memory, request.max_processes)
    refuse_lifting(limits, grants)
    return limits


def _deprecated_flags(request: RunRequest) -> Iterator[str]:
    for flag, names in (("allow", request.allow_command), ("block", request.block_command)):
        if names:
            yield f"--{flag}-command: {DEPRECATED}."


def _workdir(given: str | None, environ: Mapping[str, str], cwd: str, fs: Filesystem) -> str:
    """Return --workdir; else $PWD if it names the cwd, since it keeps a symlink's name; else the cwd."""
    if given is not None:
        path = join(cwd, given)
        if fs.kind(path) != "dir":
            raise ConfigError(f"--workdir '{given}' is not a directory.")
        return path
    return _trusted_pwd(environ, cwd, fs) or cwd


def _trusted_pwd(environ: Mapping[str, str], cwd: str, fs: Filesystem) -> str | None:
    """Return $PWD if it names the current directory. Checked because anybody may have set it."""
    spelled = environ.get("PWD", "")
    return spelled if spelled.startswith("/") and fs.canonical(spelled) == fs.canonical(cwd) else None
