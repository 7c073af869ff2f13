"""The values that the fields of a profile hold, by nono.policy.schema.freeze."""

from __future__ import annotations

from nono.policy.capability import Namespaces, SandboxPolicy, Wsl2ProxyPolicy
from nono.policy.schema.profile import ApprovalBackendEntry, ApprovalDefaults, Commands, Diagnostics, Environment, Filesystem, Groups, Hook, Linux, Meta, Network, OpenUrls, Profile, Rollback, Security, SessionHook, SessionHooks, TlsIntercept, Workdir
from nono.policy.schema.route_rules import AwsAuth, OAuth2Client, UpgradeRule, UsageLimits
from nono.policy.schema.routes import CaptureEntry, CaptureOutput, CaptureProvider, CustomCredential, DefaultEntry, DomainEntry, EnvCredential, OriginUpgrade, PolicyEntry, ProviderEntry, ProviderRoute, ProxyEntry, RateLimitEntry, ResponseFieldEntry, RuleEntry, TokenEndpointEntry, UpstreamProxyEntry

# Shapes, enumerations, float; (tuple, ...) for a list, (dict, ...) for an object of any names.
type Part = type | tuple[type, Parts]
type Parts = tuple[Part, ...]

SHAPES: dict[type, dict[str, Parts]] = {
    Profile: {'meta': (Meta,), 'security': (Security,), 'groups': (Groups,), 'commands': (Commands,), 'filesystem': (Filesystem,), 'network': (Network,), 'diagnostics': (Diagnostics,), 'linux': (Linux,), 'env_credentials': ((dict, (EnvCredential,)),), 'environment': (Environment,), 'credential_capture': ((dict, (CaptureEntry,)),), 'credential_providers': ((dict, (ProviderEntry,)),), 'credential_routes': ((tuple, (ProviderRoute,)),), 'workdir': (Workdir,), 'hooks': ((dict, (Hook,)),), 'session_hooks': (SessionHooks,), 'rollback': (Rollback,), 'open_urls': (OpenUrls,), 'skipdirs': ((tuple, ()),), 'packs': ((tuple, ()),), 'command_args': ((tuple, ()),), 'unsafe_macos_seatbelt_rules': ((tuple, ()),)},
    Security: {'approval_backends': ((dict, (ApprovalBackendEntry,)),), 'approval_defaults': (ApprovalDefaults,), 'wsl2_proxy_policy': (Wsl2ProxyPolicy,)},
    ApprovalBackendEntry: {'timeout_secs': (float,), 'backends': ((tuple, ()),)},
    ApprovalDefaults: {'timeout_secs': (float,)},
    Groups: {'include': ((tuple, ()),), 'exclude': ((tuple, ()),)},
    Commands: {'allow': ((tuple, ()),), 'deny': ((tuple, ()),)},
    Filesystem: {'allow': ((tuple, ()),), 'read': ((tuple, ()),), 'write': ((tuple, ()),), 'allow_file': ((tuple, ()),), 'read_file': ((tuple, ()),), 'write_file': ((tuple, ()),), 'state_dir': ((tuple, ()),), 'unix_socket': ((tuple, ()),), 'unix_socket_bind': ((tuple, ()),), 'unix_socket_dir': ((tuple, ()),), 'unix_socket_dir_bind': ((tuple, ()),), 'unix_socket_subtree': ((tuple, ()),), 'unix_socket_subtree_bind': ((tuple, ()),), 'deny': ((tuple, ()),), 'deny_if_present': ((tuple, ()),), 'bypass_protection': ((tuple, ()),), 'suppress_save_prompt': ((tuple, ()),)},
    Network: {'allow_domain': ((tuple, (DomainEntry,)),), 'deny_domain': ((tuple, ()),), 'raw_tunnels': ((tuple, ()),), 'credentials': ((tuple, ()),), 'optional_credentials': ((tuple, ()),), 'mcp_servers': ((tuple, ()),), 'custom_credentials': ((dict, (CustomCredential,)),), 'open_port': ((tuple, ()),), 'open_port_range': ((tuple, ((tuple, ()),)),), 'connect_port': ((tuple, ()),), 'listen_port': ((tuple, ()),), 'listen_port_range': ((tuple, ((tuple, ()),)),), 'no_proxy': ((tuple, ()),), 'tls_intercept': (TlsIntercept,), 'upstream_proxy': (UpstreamProxyEntry,), 'upstream_bypass': ((tuple, ()),)},
    DomainEntry: {'endpoints': ((tuple, (RuleEntry,)),)},
    RuleEntry: {'timeout_secs': (float,)},
    CustomCredential: {'auth': (OAuth2Client,), 'aws_auth': (AwsAuth,), 'proxy': (ProxyEntry,), 'endpoint_rules': ((tuple, (RuleEntry,)),), 'endpoint_policy': (PolicyEntry,), 'rate_limit': (RateLimitEntry,), 'limits': (UsageLimits,), 'upgrades': ((tuple, (UpgradeRule,)),)},
    PolicyEntry: {'default': (DefaultEntry,), 'deny': ((tuple, (RuleEntry,)),), 'approve': ((tuple, (RuleEntry,)),), 'allow': ((tuple, (RuleEntry,)),)},
    DefaultEntry: {'timeout_secs': (float,)},
    RateLimitEntry: {'requests_per_minute': (float,), 'max_delay_secs': (float,)},
    UsageLimits: {'cost_usd': (float,)},
    TlsIntercept: {'ca_env_vars': ((tuple, ()),)},
    Diagnostics: {'suppress_system_services': ((tuple, ()),)},
    Linux: {'sandbox_policy': (SandboxPolicy,), 'namespaces': (Namespaces,)},
    EnvCredential: {'when': ((tuple, ()),)},
    Environment: {'allow_vars': ((tuple, ()),), 'deny_vars': ((tuple, ()),), 'set_vars': ((dict, ()),)},
    CaptureEntry: {'command': ((tuple, ()),), 'timeout_secs': (float,), 'output': (CaptureOutput,), 'provider': (CaptureProvider,)},
    CaptureOutput: {'allow_headers': ((tuple, ()),)},
    CaptureProvider: {'command': ((tuple, ()),), 'config': ((dict, ()),)},
    ProviderEntry: {'token_endpoints': ((tuple, (TokenEndpointEntry,)),), 'api_hosts': ((tuple, ()),)},
    TokenEndpointEntry: {'response_fields': ((tuple, (ResponseFieldEntry,)),), 'request_nonce_fields': ((tuple, ()),)},
    ResponseFieldEntry: {'claims': ((tuple, ()),)},
    ProviderRoute: {'endpoint_policy': (PolicyEntry,), 'upgrades': ((tuple, (OriginUpgrade,)),)},
    SessionHooks: {'before': (SessionHook,), 'after': (SessionHook,)},
    Rollback: {'exclude_patterns': ((tuple, ()),), 'exclude_globs': ((tuple, ()),)},
    OpenUrls: {'allow_origins': ((tuple, ()),)},
}
