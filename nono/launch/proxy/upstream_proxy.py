"""Build the upstream proxy, with the password its profile refers to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nono.errors import CredentialError
from nono.policy.hosts.proxy_settings import ProxySettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.proxy.http.upstream_proxy import UpstreamProxy


def upstream_proxy_of(
    settings: ProxySettings | None, environ: Mapping[str, str], warn: Callable[[str], None]
) -> UpstreamProxy | None:
    """Return the upstream proxy; None if there is none.

    Raises CredentialError if its password cannot be read: nothing would be reachable without it.
    """
    behind = settings.upstream_proxy if settings is not None else None
    if settings is None or behind is None:
        return None
    # Imported here: few runs have one.
    from nono.proxy.http.upstream_proxy import ProxyAddress, UpstreamProxy

    authorization = None
    if behind.auth is not None:
        # Imported here: even fewer have a password.
        from nono.credentials import resolver
        from nono.credentials.values.proxy_authorization import ProxyAuthorization
        from nono.credentials.values.reference import parse_reference

        try:
            authorization = ProxyAuthorization(resolver.read(parse_reference(behind.auth), environ, warn))
        except CredentialError as error:
            message = f"the password of the upstream proxy {behind.host}:{behind.port}: {error.message}"
            raise CredentialError(message, hint=error.hint) from None
    return UpstreamProxy(ProxyAddress(behind.host, behind.port), settings.upstream_bypass, authorization)
