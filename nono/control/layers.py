"""Apply rules of a running session to its hosts, its endpoints, or the files a person is asked about."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nono.control.rules import Fixed, Refused
from nono.policy.capability import CapabilitySet, NetworkMode
from nono.policy.endpoints.entry import parse_allow_endpoint
from nono.policy.endpoints.policy import DEFAULT_LABEL, EndpointPolicy
from nono.policy.files.grants import directory_flag, file_flag
from nono.policy.files.path_verdict import Denied, FilePolicy, Granted, Protected
from nono.policy.hosts.host_filter import Allow, Refuse, parse_rule
from nono.policy.hosts.hostname import ip_literal
from nono.policy.hosts.live_hosts import LiveHosts
from nono.policy.live.endpoints import LiveEndpoints
from nono.policy.live.paths import LivePaths
from nono.policy.live.ports import LivePorts
from nono.policy.live.rule import LiveRule, Wanted
from nono.policy.path_expansion import is_within
from nono.printable import shell_word

HTTPS = 443
PATTERN = "*?[{\\"


class Hosts:
    """The hosts that a run's proxy may reach."""

    def __init__(
        self,
        live: LiveHosts,
        changed: Callable[[], int],
        ports: LivePorts | None,
        *,
        listens_by_rule: bool = False,
    ) -> None:
        """Take the rules that may change.

        changed: Has the proxy judge anew; returns how many connections it cut.
        ports: Those that the command reaches past the proxy; None if they are fixed.
        listens_by_rule: A rule for a port also has nono listen on it for the host, as on the rung netns.
        """
        self._live = live
        self._changed = changed
        self._ports = ports
        self._listens_by_rule = listens_by_rule

    @property
    def leaves_standing(self) -> bool:
        return self._ports is not None and self._ports.leads_past_the_proxy

    def refusal(self, wanted: Wanted) -> Refused | None:
        rule = parse_rule(wanted.target, "")
        if wanted.decision == "deny" or not rule.is_exact:
            return None
        host, port, current = rule.pattern, rule.port or HTTPS, self._live.current
        verdict = current.judge_unresolved(host, port)
        if isinstance(verdict, Refuse):
            judged_with = current.allowing(rule).judge_unresolved(host, port)
            if isinstance(judged_with, Allow):
                return None
            return Refused(f"{judged_with.reason}, and a denial beats every grant", judged_with.hint)
        is_name = ip_literal(rule.pattern) is None  # an address is reached only where it is granted by itself
        named = [each for each in current.allow or () if is_name or each.is_exact]
        is_a_list = current.allow is not None
        if is_a_list and not any(each.covers(rule) for each in named):
            return None  # it adds the other ports
        if self._listens_by_rule and is_a_list and rule.port not in (None, *current.ports_named(host)):
            return None  # it has nono listen there
        by = "no rule restricts hosts" if verdict.rule is None else f"{verdict.rule} from {verdict.origin}"
        return Refused(f"{wanted.target} is allowed already: {by}", is_needless=True)

    def put(self, rules: tuple[LiveRule, ...]) -> int:
        by_decision = {
            decision: [rule.host_rule for rule in rules if rule.decision == decision]
            for decision in ("allow", "deny")
        }
        self._live.put(by_decision["allow"], by_decision["deny"])
        if self._ports is not None:
            self._ports.put_denied_hosts(by_decision["deny"])
        return self._changed()


class Endpoints:
    """The endpoints that may be requested of services."""

    leaves_standing = False

    def __init__(
        self, live: LiveEndpoints, services: Mapping[str, EndpointPolicy], changed: Callable[[], int]
    ) -> None:
        """services: The rules the run started with. changed: As for Hosts."""
        self._live = live
        self._services = services
        self._changed = changed

    def refusal(self, wanted: Wanted) -> Refused | None:
        service, rule = parse_allow_endpoint(wanted.target)
        policy = self._services.get(service)
        if policy is None:
            known = ", ".join(self._services) or "none"
            return Refused(f"the run has no service '{service}'", f"its services: {known}")
        if wanted.decision == "deny" or rule.method == "*" or any(mark in rule.path for mark in PATTERN):
            return None
        verdict = self._live.laid_over(service, policy).judge(rule.method, rule.path)
        if verdict.decision == "deny" and verdict.label != DEFAULT_LABEL:
            return Refused(f"{rule} is denied by {verdict.label}, and a denial beats every grant")
        if verdict.decision == "allow":
            return Refused(f"{rule} is allowed already by {verdict.label}", is_needless=True)
        return None

    def put(self, rules: tuple[LiveRule, ...]) -> int:
        self._live.put(rules)
        return self._changed()


class Files:
    """The files that a person may be asked to allow."""

    leaves_standing = False

    def __init__(
        self, live: LivePaths, capabilities: CapabilitySet, policy: Callable[[], FilePolicy]
    ) -> None:
        self._live = live
        self._capabilities = capabilities
        self._policy = policy

    def refusal(self, wanted: Wanted) -> Refused | None:
        path = wanted.target
        if wanted.decision == "deny":
            return _granted_for_good(path, self._capabilities)
        match self._policy().judge((path,), wanted.access):
            case Granted():
                return Refused(f"{path} is granted already", is_needless=True)
            case Denied(denial):
                return Refused(f"{path} is denied by {denial.origin}, and a denial beats every grant")
            case Protected(root):
                return Refused(f"{path} lies in {root}, where nono keeps its state; nothing grants that")
        return None

    def put(self, rules: tuple[LiveRule, ...]) -> int:
        self._live.put(rules)
        return 0


class NoHosts(Fixed):
    """Refuse rules about hosts: this run has no proxy that checks them."""

    def __init__(self, mode: NetworkMode) -> None:
        self._mode = mode

    def refusal(self, wanted: Wanted) -> Refused | None:
        flag = "--allow-domain" if wanted.decision == "allow" else "--deny-domain"
        hint = f"next time: nono run {flag} {shell_word(wanted.target)}"
        if self._mode is NetworkMode.BLOCKED:
            return Refused("the run was started without a network, which the kernel holds for good", hint)
        if self._mode is NetworkMode.ALLOWED and wanted.decision == "allow":
            return Refused("the run was started with an open network, and reaches every host already")
        if self._mode is NetworkMode.ALLOWED:
            return Refused("the run was started with an open network, where nothing looks at hosts", hint)
        return Refused("the run learns which hosts it needs, and refuses none", hint)


class NoFiles(Fixed):
    """Refuse rules about files: Landlock fixed them when the run started."""

    def __init__(self, capabilities: CapabilitySet) -> None:
        self._capabilities = capabilities

    def refusal(self, wanted: Wanted) -> Refused | None:
        path = wanted.target
        if wanted.decision == "deny":
            return _granted_for_good(path, self._capabilities) or Refused(
                f"{path} is not granted to this run"
            )
        directory, file = directory_flag(wanted.access), file_flag(wanted.access)
        return Refused(
            "Landlock fixed the files of this run when it started",
            f"next time: nono run {file} {shell_word(path)} ({directory} for a directory),"
            " or --capability-elevation, which asks",
        )


def _granted_for_good(path: str, capabilities: CapabilitySet) -> Refused | None:
    """Return why Landlock could not enforce a denial of `path`; None if it grants nothing there."""
    for grant in capabilities.grants:
        if is_within(path, grant.path) or is_within(grant.path, path):
            return Refused(
                f"{grant.path} was granted when the run started, and Landlock takes nothing back",
                f"next time: filesystem.deny in a profile with {shell_word(path)}",
            )
    return None
