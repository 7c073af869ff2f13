"""Recognise requests by which an API hands out a key that works without nono, or accepts a client's own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from nono.policy.endpoints.path_readings import readings
from nono.policy.endpoints.policy import DEFAULT_LABEL, EndpointRule, EndpointVerdict
from nono.policy.schema.route_rules import AWS_SUFFIXES

# Only where these calls are, below a project or group: a file or a package may have the same name.
_GITLAB = tuple(
    f"/api/v4/{call}"
    for call in (
        "{projects,groups}/*/access_tokens",
        "{projects,groups}/*/{access_tokens,deploy_tokens}/*/rotate",
        "{projects,groups}/*/{deploy_tokens,deploy_keys}",
        "{projects,groups}/*/runners/reset_registration_token",
        "projects/*/cluster_agents/*/tokens",
        "{user,users/*,groups/*/service_accounts/*}/{personal_access_tokens,keys,runners}",
        "{users/*/impersonation_tokens,deploy_keys,deploy_tokens,runners}",
        "{personal_access_tokens,groups/*/service_accounts/*/personal_access_tokens}/*/rotate",
        "runners/{reset_authentication_token,reset_registration_token}",
        "runners/*/reset_authentication_token",
    )
)
_PATHS: Mapping[str, tuple[str, ...]] = {
    "api.anthropic.com": ("/api/oauth/claude_cli/create_api_key",),
    "api.github.com": (
        "/app/installations/*/access_tokens",
        "/applications/*/{token,token/scoped}",
        "/{repos/*/*,orgs/*,enterprises/*}/actions/runners/{registration-token,remove-token,generate-jitconfig}",
        "/{repos/*/*,user}/keys",
    ),
    "api.fireworks.ai": ("/v1/accounts/*/users/*/apiKeys", "/api/v1/auth/token"),
    "api.mistral.ai": ("/v1/client/sessions", "/v1/audio/{sessions,workers/registration-token}"),
    "api.openai.com": (
        "/v1/realtime/{client_secrets,sessions,transcription_sessions}",
        "/v1/chatkit/sessions",
        "/v1/organization/**/{admin_api_keys,api_keys,service_accounts}",
    ),
    "api.perplexity.ai": ("/generate_auth_token",),
    "api.x.ai": ("/v1/realtime/client_secrets",),
    "generativelanguage.googleapis.com": ("/*/auth_tokens",),
    "gitlab.com": _GITLAB,
    "openrouter.ai": ("/api/v1/{keys,auth/keys,auth/keys/code,oauth/token}",),
}
# The services of AWS that hand out keys or sessions, by a label of their hosts. What they are asked for is in
# the query or the body.
_AWS_SERVICES = frozenset(("cognito-identity", "iam", "oidc", "rolesanywhere", "signin", "sso", "sts"))


def is_refused(host: str, method: str, path: str, verdict: EndpointVerdict) -> bool:
    """Return True if the request hands out a key and no rule allows this very call.

    verdict: The verdict of the endpoint rules. A rule for everything (/**) does not allow this call; where a
    person is asked, the person decides.
    """
    names_its_call = verdict.label != DEFAULT_LABEL and "*" not in verdict.label.rpartition("/")[2]
    return verdict.decision == "allow" and not names_its_call and hands_out_keys(host, method, path)


def hands_out_keys(host: str, method: str, path: str) -> bool:
    """Return True if the request is known to hand out a key. `path` is canonical, and read leniently."""
    rules = _rules_of(host)
    if not rules:
        return False
    read = [*readings(path), *readings(path.replace("%2F", "/"))]
    return any(rule.may_cover(method, read) for rule in rules)


@cache
def _rules_of(host: str) -> tuple[EndpointRule, ...]:
    """Return the rules of a host, for which its paths are compiled: 4 ms for all hosts together."""
    return tuple(EndpointRule(method, path) for path in _PATHS.get(host, ()) for method in ("POST", "PUT"))


def sentence(method: str, path: str) -> str:
    """Return the sentence that refuses such a request."""
    return f"{method} {path} hands out a key that works outside of this run"


def sentence_of_host(host: str) -> str:
    """Return the sentence that refuses all requests to such a host."""
    return f"{host} hands out keys that work outside of this run"


def is_aws_key_service(host: str) -> bool:
    """Return True for the host of an AWS service that hands out keys."""
    suffix = next((suffix for suffix in AWS_SUFFIXES if host.endswith(suffix)), None)
    if suffix is None:
        return False
    labels = host.removesuffix(suffix).split(".")
    if any(label.startswith(("s3", "execute-api")) for label in labels):
        return False  # the label before these is the name of a bucket or an API
    return any(label.removesuffix("-fips") in _AWS_SERVICES for label in labels)
