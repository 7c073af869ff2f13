"""The variables through which the clients inside the sandbox find the proxy and their phantoms."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

LOOPBACK_NO_PROXY = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class ServiceVariables:
    """What one service adds.

    phantoms: variable to phantom text, empty when the credential did not load. The texts are revealed by
    nono.credentials; a phantom is made for the child, so it may be shown to it.
    """

    service: str
    base_urls: tuple[str, ...] = ()  # beside <SERVICE>_BASE_URL
    phantoms: Mapping[str, str] = field(default_factory=dict, repr=False)


def base_url_variable(service: str) -> str:
    """``google-ai`` → ``GOOGLE_AI_BASE_URL``, ``1x`` → ``_1X_BASE_URL``. ValueError for an empty name."""
    stem = re.sub(r"[^A-Za-z0-9]", "_", service.strip("/")).upper()
    if not stem:
        raise ValueError(f"service {service!r} gives no variable name")
    return f"{'_' if stem[0].isdigit() else ''}{stem}_BASE_URL"


def child_env(
    port: int,
    session_token: str,
    services: Sequence[ServiceVariables],
    *,
    granted: Container[str] = (),
) -> dict[str, str]:
    """The variables to lay over the child's environment; they win over inherited ones of the same name.

    session_token: its text, revealed by nono.credentials for the child. granted: the loopback names that
    the host filter allows; clients must not go around the proxy to those, as the kernel would refuse it.
    An inherited ALL_PROXY would lead past the proxy, so both cases are set.
    """
    url = f"http://nono:{session_token}@127.0.0.1:{port}"
    direct = ",".join(name for name in LOOPBACK_NO_PROXY if name not in granted)
    variables = dict.fromkeys(
        ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"), url
    )
    variables |= dict.fromkeys(("NO_PROXY", "no_proxy", "NONO_NO_PROXY"), direct)
    variables["NONO_PROXY_TOKEN"] = session_token
    variables["NODE_USE_ENV_PROXY"] = "1"  # Node's fetch ignores the proxy variables otherwise
    for service in services:
        base_url = f"http://127.0.0.1:{port}/{service.service.strip('/')}"
        for name in (base_url_variable(service.service), *service.base_urls):
            variables[name] = base_url
        variables |= service.phantoms
    return variables
