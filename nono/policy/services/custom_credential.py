"""Find the mistakes in a profile's entry of custom_credentials, field by field."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite

from nono.policy.endpoints.entry import rule_problems
from nono.policy.endpoints.path_readings import exact
from nono.policy.hosts.hostname import HostError
from nono.policy.hosts.upstream import is_loopback, parse_upstream
from nono.policy.schema.route_rules import AwsAuth, OAuth2Client, UpgradeRule
from nono.policy.schema.routes import CustomCredential, PolicyEntry, RateLimitEntry
from nono.policy.services.env_names import derived_variable, may_hold_credential

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.policy.schema.constraints import InjectMode

Problem = tuple[str, str]  # field, problem

_SERVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*", re.ASCII)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)  # token, RFC 9110 section 5.6.2
_BARE_KEY = re.compile(r"[A-Za-z0-9_]+", re.ASCII)
_QUERY_NAME = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_CMD_NAME = re.compile(r"[A-Za-z0-9_]+", re.ASCII)
_PATH_TEXT = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@/-]*", re.ASCII)  # unescaped in a canonical path
_AWS_WORD = re.compile(r"[a-z0-9-]+", re.ASCII)

_SOURCES = ("credential_key", "auth", "aws_auth")


def problems_of(name: str, custom: CustomCredential) -> Iterator[Problem]:
    """Yield (field, problem) for every mistake in an entry."""
    if not _SERVICE_NAME.fullmatch(name):
        yield "", "a service name holds letters, digits, '-' and '_'"
    yield from _upstream(custom)
    yield from _source(custom)
    yield from _injection(custom)
    yield from _variables(custom)
    yield from rule_problems("endpoint_rules", custom.endpoint_rules)
    if custom.endpoint_policy is not None:
        yield from policy_problems(custom.endpoint_policy)
    if custom.rate_limit is not None:
        yield from _rate_limit(custom.rate_limit)
    for field in ("requests", "input_tokens", "output_tokens", "cost_usd"):
        limit = getattr(custom.limits, field)
        if limit is not None and not (limit >= 0 and isfinite(limit)):
            yield f"limits.{field}", "expected a number from 0 up"
    yield from upgrade_problems("upgrades", custom.upgrades or ())
    if (custom.tls_client_cert is None) != (custom.tls_client_key is None):
        missing = "tls_client_key" if custom.tls_client_key is None else "tls_client_cert"
        yield missing, "required: tls_client_cert and tls_client_key come together"


def policy_problems(policy: PolicyEntry) -> Iterator[Problem]:
    for kind in ("deny", "approve", "allow"):
        yield from rule_problems(f"endpoint_policy.{kind}", getattr(policy, kind))
    default = policy.default
    if not isinstance(default, str) and default.timeout_secs is not None and not default.timeout_secs > 0:
        yield "endpoint_policy.default.timeout_secs", "expected seconds, more than 0"


def upgrade_problems(where: str, upgrades: Iterable[UpgradeRule]) -> Iterator[Problem]:
    for position, upgrade in enumerate(upgrades):
        path = upgrade.path
        plain = path.startswith("/") and _PATH_TEXT.fullmatch(path)
        if not plain or any(segment in ("", ".", "..") for segment in exact(path)):
            yield f"{where}.{position}.path", f"{path!r} is not a plain path, as in /v1/realtime"


def _header_problem(header: str) -> str | None:
    """Return why a header of this name cannot carry a key; None if it can."""
    return None if _HEADER.fullmatch(header) else "not a header name"


def _format_problem(text: str) -> str | None:
    if text.count("{}") != 1 or not text.isprintable() or not text.isascii():
        return "expected printable ASCII that holds '{}' once"
    return None


def _token_url_problem(url: str) -> str | None:
    try:
        upstream = parse_upstream(url)
    except ValueError as error:
        return str(error)
    return "a wildcard names no one host" if upstream.is_wildcard else None


def _upstream(custom: CustomCredential) -> Iterator[Problem]:
    try:
        upstream = parse_upstream(custom.upstream)
    except (ValueError, HostError) as error:
        yield "upstream", str(error)
        return
    if upstream.is_wildcard and custom.base_url_env_var is not None:
        yield "base_url_env_var", f"{upstream.host} has no one host that a URL could stand for"
    if custom.aws_auth is not None and is_loopback(upstream.host) and custom.aws_auth.service is None:
        yield "aws_auth.service", "required, because the upstream's name does not say it"


def _source(custom: CustomCredential) -> Iterator[Problem]:
    given = [field for field in _SOURCES if getattr(custom, field) is not None]
    if len(given) != 1:
        found = f"{' and '.join(given)} are given" if given else "none is given"
        yield given[1] if given else "credential_key", f"exactly one of {', '.join(_SOURCES)}: {found}"
    key = custom.credential_key
    if key is not None:
        scheme, separator, rest = key.partition("://")
        if not separator and not _BARE_KEY.fullmatch(key):
            expected = "expected an account name ([A-Za-z0-9_]+) or a reference such as env://NAME"
            yield "credential_key", expected
        elif separator and scheme == "cmd" and not _CMD_NAME.fullmatch(rest):
            yield "credential_key", "expected cmd:// and the name of an entry of credential_capture"
    if custom.auth is not None:
        yield from _oauth2(custom.auth)
    if custom.aws_auth is not None:
        yield from _aws(custom.aws_auth)


def _oauth2(auth: OAuth2Client) -> Iterator[Problem]:
    problem = _token_url_problem(auth.token_url)
    if problem is not None:
        yield "auth.token_url", problem
    for field in ("client_id", "client_secret"):
        if not getattr(auth, field):
            yield f"auth.{field}", "expected a credential reference"
    if not (auth.scope.isascii() and auth.scope.isprintable()):
        yield "auth.scope", "expected printable ASCII"


def _aws(aws: AwsAuth) -> Iterator[Problem]:
    if aws.profile is not None and (not aws.profile or any(c.isspace() or c == "\0" for c in aws.profile)):
        yield "aws_auth.profile", "expected a name without spaces"
    for field in ("region", "service"):
        word = getattr(aws, field)
        if word is not None and not _AWS_WORD.fullmatch(word):
            yield f"aws_auth.{field}", "expected lower-case letters, digits and '-'"


def _injection(custom: CustomCredential) -> Iterator[Problem]:
    fields = {
        "inject_mode": custom.inject_mode,
        "inject_header": custom.inject_header,
        "credential_format": custom.credential_format,
        "path_pattern": custom.path_pattern,
        "path_replacement": custom.path_replacement,
        "query_param_name": custom.query_param_name,
    }
    yield from _slot("", fields, custom.inject_mode)
    if custom.proxy is not None:
        own = custom.proxy._asdict()
        laid_over = {name: own[name] if own[name] is not None else value for name, value in fields.items()}
        mode = custom.proxy.inject_mode or custom.inject_mode
        for field, what in _slot("proxy.", laid_over, mode):
            if getattr(custom.proxy, field.removeprefix("proxy.")) is not None or _is_required(what):
                yield field, what


def _is_required(what: str) -> bool:
    return what.startswith("required")


def _slot(where: str, fields: Mapping[str, str | None], mode: InjectMode) -> Iterator[Problem]:
    """Find the mistakes in one slot for a key: upstream's (`where` "") or the command's ("proxy.")."""
    header = fields["inject_header"] or ""
    if problem := _header_problem(header):
        yield f"{where}inject_header", problem
    text = fields["credential_format"]
    if text is not None and (problem := _format_problem(text)):
        yield f"{where}credential_format", problem
    for field in ("path_pattern", "path_replacement"):
        path = fields[field]
        if path is not None and (path.count("{}") != 1 or not _PATH_TEXT.fullmatch(path.replace("{}", ""))):
            yield f"{where}{field}", "expected a part of a path that holds '{}' once"
    query = fields["query_param_name"]
    if query is not None and not _QUERY_NAME.fullmatch(query):
        yield f"{where}query_param_name", "expected letters, digits, '-' and '_'"
    needed = {"url_path": "path_pattern", "query_param": "query_param_name"}.get(mode)
    if needed is not None and fields[needed] is None:
        yield f"{where}{needed}", f"required for inject_mode {mode}"


def _variables(custom: CustomCredential) -> Iterator[Problem]:
    key = custom.credential_key
    if key is not None and custom.env_var is None and derived_variable(key) is None:
        yield "env_var", f"required, because no variable follows from {_shown(key)}"
    for field in ("env_var", "base_url_env_var"):
        variable = getattr(custom, field)
        if variable is not None and not may_hold_credential(variable):
            yield field, f"{variable!r} may not hold a credential"


def _shown(key: str) -> str:
    """Show a reference without the part that reveals where a secret is kept."""
    scheme, separator, _ = key.partition("://")
    return f"{scheme}://" if separator else repr(key)


def _rate_limit(limit: RateLimitEntry) -> Iterator[Problem]:
    if not (isfinite(limit.requests_per_minute) and limit.requests_per_minute >= 0):
        yield "rate_limit.requests_per_minute", "expected a number from 0 up; 0 is no limit"
    if limit.burst < 0:
        yield "rate_limit.burst", "expected a number from 0 up"
    if not (isfinite(limit.max_delay_secs) and limit.max_delay_secs >= 0):
        yield "rate_limit.max_delay_secs", "expected seconds, from 0 up"
