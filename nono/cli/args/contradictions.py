"""Refuse options that rule each other out, or that need another one, before anything else is looked at."""

from collections.abc import Mapping

from nono.errors import UsageError

# What contradicts by meaning (--block-net, --allow-domain) is left to the policy, which knows the profile.
_APART = (
    ("rollback", "no_rollback"),
    ("rollback", "no_audit"),
    ("rollback", "no_audit_integrity"),
    ("rollback_all", "rollback_include"),
    ("acp", "lsp"),
    ("no_audit", "no_audit_integrity"),
    ("no_audit", "audit_integrity"),
    ("no_audit", "audit_sign_key"),
    ("audit_anchor", "no_audit"),
    ("audit_anchor_every", "no_audit"),
    ("audit_anchor_required", "no_audit"),
    ("audit_otlp", "no_audit"),
    ("no_audit_integrity", "audit_integrity"),
    ("no_audit_integrity", "audit_sign_key"),
    *(
        ("allow_net", other)
        for other in (
            *("block_net", "network_profile", "allow_domain", "deny_domain", "credential", "allow_endpoint"),
            *("max_cost", "mcp_server"),
            *("upstream_proxy", "upstream_bypass", "proxy_port", "allow_connect_port"),
        )
    ),
)
_NEEDED = (("rollback_dest", "rollback"), ("detach_timeout", "detached"))


def refuse_contradictions(values: Mapping[str, object], typed: Mapping[str, object]) -> None:
    """Raise UsageError for two options that contradict each other, or one without the option that it needs.

    values: The options given, those of variables included. typed: Those of the command line, where None or
      False stand for nothing: a variable that is exported for other runs needs no option in this one.
    """
    for first, second in _APART:
        if first in values and second in values:
            raise UsageError(
                f"{_flag(first)} and {_flag(second)} contradict each other.", hint="leave one of them out"
            )
    for name, needed in _NEEDED:
        if typed.get(name) and needed not in values:
            raise UsageError(f"{_flag(name)} has no effect without {_flag(needed)}.")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
