"""Hold the captured logins of a run: their token endpoints, and the hosts whose responses are searched."""

from __future__ import annotations

from nono.named_tuple import NamedTuple
from nono.policy.endpoints.path_readings import may_be_below

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.credentials.logins.provider_login import ProviderLogin
    from nono.credentials.logins.tokens import LoginCredential
    from nono.policy.services.oauth_routes import TokenEndpoint


class LoginEndpoint(NamedTuple):
    """A token endpoint and its login."""

    login: ProviderLogin
    endpoint: TokenEndpoint

    @property
    def credential(self) -> LoginCredential:
        """The credential that redeems phantoms in requests to the endpoint."""
        return self.login.credential(self.endpoint)


class LoginTable(NamedTuple):
    """The captured logins of all providers in a run."""

    logins: tuple[ProviderLogin, ...] = ()

    def captures(self, host: str) -> bool:
        """Return True if `host` has a token endpoint on any port: its answers may hold tokens."""
        return any(each.endpoint.upstream.host == host for each in self._endpoints())

    def searches(self, host: str, path: str) -> bool:
        """Return True if the answer of `host` to a canonical path, without its query, may hold tokens."""
        return any(
            each.endpoint.upstream.host == host and may_be_below(each.endpoint.searched_below, path)
            for each in self._endpoints()
        )

    def serves(self, host: str, port: int) -> bool:
        """Return True if there is a token endpoint at host:port."""
        return any(each.endpoint.upstream.covers(host, port) for each in self._endpoints())

    def endpoint(self, host: str, port: int, path: str) -> LoginEndpoint | None:
        """Return the token endpoint at exactly this URL, or None. `path` is canonical, without a query."""
        return next(
            (
                each
                for each in self._endpoints()
                if each.endpoint.upstream.covers(host, port) and each.endpoint.path == path
            ),
            None,
        )

    def _endpoints(self) -> list[LoginEndpoint]:
        return [
            LoginEndpoint(login, endpoint)
            for login in self.logins
            for endpoint in login.provider.token_endpoints
        ]


NO_LOGINS = LoginTable()
