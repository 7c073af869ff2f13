"""Change rules for a run's ports and Unix sockets, if the supervisor makes its connections."""

from __future__ import annotations

from ipaddress import ip_address

from nono.control.rules import Fixed, Refused
from nono.policy.capability import CapabilitySet, NetworkMode
from nono.policy.live.port_target import ANY, LISTEN, OWN, PortTarget, parse_port_target
from nono.policy.live.ports import LivePorts
from nono.policy.live.rule import LiveRule, Wanted
from nono.policy.live.sockets import LiveSockets
from nono.policy.ports import KeptPort
from nono.policy.socket_grant import SocketGrant
from nono.printable import shell_word

_A_HOST = ip_address("192.0.2.1")  # a documentation address (RFC 5737), which no grant names


class Ports:
    """The TCP ports that the command uses directly, without the proxy."""

    leaves_standing = True

    def __init__(self, live: LivePorts, proxy_port: int, kept: tuple[KeptPort, ...] = ()) -> None:
        """Set up the rules of a run.

        proxy_port: The port on which the proxy of the run listens; 0: there is no proxy.
        kept: The ports that the command never listens on.
        """
        self._live = live
        self._proxy_port = proxy_port
        self._kept = kept

    def refusal(self, wanted: Wanted) -> Refused | None:
        target = parse_port_target(wanted.target)
        if wanted.decision == "deny":
            is_proxy = (
                target.host not in (ANY, LISTEN)
                and target.ports.first == target.ports.last == self._proxy_port
            )
            return Refused("the proxy of the run listens there, and is not denied") if is_proxy else None
        listens = target.host == LISTEN
        for port, use, _ in self._kept if listens else ():
            if port in target.ports:
                where = f"port {port} of this machine"
                return Refused(f"nono itself {use} on {where}: the command never listens there")
        hosts = {OWN: ip_address("127.0.0.1"), ANY: _A_HOST, LISTEN: _A_HOST}
        host = hosts.get(target.host) or ip_address(target.host)
        denied = self._live.denied_to_bind if listens else self._live.denied
        denier = denied(host, target.ports.first)
        if denier is not None:
            return Refused(f"{target} is denied by {denier}, and a denial beats every grant")
        grants = self._live.granted
        granted = {OWN: grants.open, LISTEN: grants.listen}.get(target.host, grants.connect)
        if any(each.first <= target.ports.first and target.ports.last <= each.last for each in granted):
            return Refused(f"{target} was granted already when the run started")
        return None

    def put(self, rules: tuple[LiveRule, ...]) -> int:
        self._live.put(rules)
        return 0


class Sockets:
    """The Unix sockets that the command connects to and binds."""

    leaves_standing = True

    def __init__(self, live: LiveSockets) -> None:
        self._live = live

    def refusal(self, wanted: Wanted) -> Refused | None:
        if wanted.decision == "deny":
            other = self._live.by_another_name(wanted.target)
            return None if other is None else _evaded(wanted.target, other)
        verdict = self._live.judge(wanted.target, binds=wanted.access.writes)
        if verdict.is_allowed:
            return Refused(f"{wanted.target} is allowed already: {verdict.reason}", is_needless=True)
        if verdict.hint is None:
            return Refused(f"{verdict.reason}, and a denial beats every grant")
        return None

    def put(self, rules: tuple[LiveRule, ...]) -> int:
        self._live.put(rules)
        return 0


def _evaded(path: str, other: SocketGrant) -> Refused:
    return Refused(
        f"the command may rename {path}, and {other.flag} {shell_word(other.path)} would let it in then",
        "next time: --allow-unix-socket for each, or sockets where the command may not write",
    )


class NoPorts(Fixed):
    """A run whose ports were fixed when it started."""

    def __init__(self, capabilities: CapabilitySet, *, is_alone: bool, is_learning: bool) -> None:
        """is_alone: The run has its own network namespace."""
        self._capabilities = capabilities
        self._is_alone = is_alone
        self._is_learning = is_learning

    def refusal(self, wanted: Wanted) -> Refused | None:
        if self._is_learning:
            return Refused("the run learns which ports it needs, and refuses none")
        hint = f"next time: nono run {_flag(parse_port_target(wanted.target))}"
        hint = hint if wanted.decision == "allow" else "next time: grant fewer ports"
        if not self._capabilities.restricts_network and wanted.decision == "allow":
            return Refused("the run was started with an open network, and no port is kept from it")
        if not self._capabilities.restricts_network:
            hint = "next time: nono run --allow-domain HOST for each host it may reach, or --block-net"
            return Refused("the run was started with an open network, where nothing looks at ports", hint)
        if self._is_alone:
            return Refused("the run has a network of its own, whose ports are fixed when it starts", hint)
        if self._capabilities.network is NetworkMode.BLOCKED and not any(self._capabilities.ports):
            return Refused("the run was started without a network, which the kernel holds for good", hint)
        return Refused("Landlock fixed the ports of this run when it started", hint)


class NoSockets(Fixed):
    """A run whose Unix sockets are not checked."""

    def refusal(self, wanted: Wanted) -> Refused | None:
        if wanted.decision == "allow":
            return Refused("nothing looks at the Unix sockets of this run: it connects to each one already")
        return Refused(
            "nothing looks at the Unix sockets of this run",
            'next time: linux.af_unix_mediation "pathname" in a profile, or a run with the proxy',
        )


def _flag(target: PortTarget) -> str:
    flag = {OWN: "--open-port", LISTEN: "--listen-port"}.get(target.host, "--allow-connect-port")
    return f"{flag} {shell_word(str(target.ports))}"
