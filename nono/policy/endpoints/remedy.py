"""Say what would allow a request that endpoint rules deny."""

from __future__ import annotations

from nono.policy.endpoints.path_glob import MAX_LENGTH, is_literal
from nono.policy.endpoints.policy import DEFAULT_LABEL, EndpointPolicy, EndpointVerdict
from nono.printable import shell_word


def service_option(service: str, method: str, path: str) -> str:
    """Return the option that adds a rule to those of a credential service."""
    return f"--allow-endpoint {shell_word(f'{service}:{method}:{path}')}"


def host_option(host: str, path: str) -> str | None:
    """Return the option that grants a path of a host; None for "/".

    host: Its URL, without a path. Below a wildcard, the one host that was asked for.
    """
    if path == "/":
        return None  # a URL that ends with it names the whole host, which adds no rule
    return f"--allow-domain {shell_word(f'{host}{path}')}"


def remedy(
    policy: EndpointPolicy, verdict: EndpointVerdict, method: str, path: str, option: str | None
) -> str | None:
    """Return `option` if it would allow the denied request, else the change to make, or None.

    path: Without a query.
    option: What adds a rule for this method and path to `policy`, if anything does.
    """
    if verdict.label != DEFAULT_LABEL:
        return verdict.lift or f"remove {verdict.label} from {policy.origin}"
    if not _is_plain(method) or not is_literal(path) or len(path) > MAX_LENGTH:
        return None  # the command chose the path: with a `*` in it, the rule would be for others too
    if policy.is_explicit:
        return f"add a rule for {method} {path} to {policy.origin}"
    return option


def _is_plain(method: str) -> bool:
    """Return False for a method that a command may have made up to look like an option of nono."""
    return method.replace("-", "").isalpha()
