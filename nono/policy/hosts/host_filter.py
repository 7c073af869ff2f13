"""Decide which hosts a run may reach: once for the name, before DNS, and once for every resolved address."""

from __future__ import annotations

from collections.abc import Sequence, Set

from nono.named_tuple import NamedTuple
from nono.policy.hosts.hostname import (
    MCP_DOMAIN,
    METADATA_HOSTS,
    IpAddress,
    ip_literal,
    split_optional_port,
)
from nono.policy.hosts.hostname import HostError as HostError
from nono.policy.hosts.hostname import canonical_host as canonical_host
from nono.policy.hosts.hostname import parse_authority as parse_authority
from nono.printable import shell_word

BUILT_IN = "built in"
_HTTPS = 443
_NAMED_BY_NO_RULE = 0


class Allow(NamedTuple):
    """The host may be reached. `rule` is the rule that allows it, None if no allow list was requested."""

    rule: str | None
    origin: str | None


class Refuse(NamedTuple):
    """The host may not be reached."""

    reason: str  # one sentence, free of control characters
    rule: str | None  # the deciding entry; None: no entry allowed it
    origin: str | None  # the flag, profile or group of the entry
    hint: str | None  # the smallest grant that would change the answer; None: nothing would

    @property
    def is_ungranted(self) -> bool:
        """True if no rule refuses the host, and none allows it."""
        return self.rule is None and self.hint is not None


class HostRule(NamedTuple):
    """One entry of an allow or deny list."""

    pattern: str  # a canonical host, "*.suffix" (never the suffix itself) or "*"
    port: int | None  # None: every port
    origin: str  # "--allow-domain", "profile NAME, network.deny_domain", "... (group github)"
    lift: str | None = None  # the command that takes it back; None: it stands where `origin` says

    def __str__(self) -> str:
        host = f"[{self.pattern}]" if ":" in self.pattern else self.pattern
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def is_exact(self) -> bool:
        return not self.pattern.startswith("*")

    def matches(self, host: str, port: int) -> bool:
        """Return True if the rule covers a canonical host and port."""
        if self.port not in (None, port):
            return False
        if self.is_exact:
            return host == self.pattern
        return self.pattern == "*" or host.endswith(self.pattern[1:])

    def covers(self, other: HostRule) -> bool:
        """Return True if the rule covers every host and port that the other covers."""
        if self.port not in (None, other.port):
            return False
        return self.pattern in ("*", other.pattern) or (
            not self.is_exact and other.pattern.endswith(self.pattern[1:])
        )


def parse_rule(text: str, origin: str) -> HostRule:
    """Parse a list entry: host, IP address, ``*.suffix`` or ``*``, each with an optional port.

    Raises HostError if it is malformed.
    """
    if "://" in text:
        raise HostError(
            'a URL where a host is expected; for some paths: {"domain": HOST, "endpoints": [...]}'
        )
    host, port = split_optional_port(text)
    if host == "*":
        return HostRule("*", port, origin)
    if host.startswith("*."):
        suffix = canonical_host(host[2:])
        if ip_literal(suffix):
            raise HostError("an IP address has no subdomains")
        return HostRule(f"*.{suffix}", port, origin)
    if "*" in host:
        raise HostError("'*' may only stand for the leftmost labels, as in *.example.com")
    return HostRule(canonical_host(host), port, origin)


class HostFilter(NamedTuple):
    """The host rules of one run. Deny rules come first; an empty allow list allows nothing."""

    allow: tuple[HostRule, ...] | None  # None: no allow list was requested, every name is allowed
    deny: tuple[HostRule, ...] = ()
    raw_tunnels: tuple[HostRule, ...] = ()
    deny_private: bool = False
    deny_private_origin: str | None = None
    network_profile: str | None = None  # the network profile among the sources of `allow`
    of_profile: int = 0  # how many rules of `allow`, from the first on, came from it

    def judge_name(self, host: str, port: int) -> Allow | Refuse:
        """Judge the requested host, before any name is resolved."""
        try:
            name = canonical_host(host)
        except HostError as error:
            return Refuse(f"host {escaped(host)} is malformed: {error}", None, BUILT_IN, None)
        if name in METADATA_HOSTS:
            return Refuse(f"host {name} is in the deny list", name, BUILT_IN, None)
        denied = _first(self.deny, name, port)
        if denied is not None:
            return _denied(f"host {name} is in the deny list", denied)
        if name.endswith(MCP_DOMAIN) and _first(self.raw_tunnels, name, port) is None:
            server = name.removesuffix(MCP_DOMAIN)
            return Refuse(f"this run has no MCP server {server}", None, None, f"--mcp-server {server}")
        literal = ip_literal(name)
        if self.allow is None and literal is None:
            return Allow(None, None)
        allowed = _exact_or_wildcard(self.allow or (), name, port, exact_only=literal is not None)
        if allowed is not None:
            return Allow(str(allowed), allowed.origin)
        never = None if literal is None else self._judge_class(name, port, literal)
        if never is not None and never.origin == BUILT_IN and never.hint is None:
            return never  # no option opens it, so none is offered and nobody is asked
        if literal is not None and (self.allow is None or _first(self.allow, name, port) is not None):
            reason = f"host {name} is an address, which is reached only where it is granted by itself"
        else:
            reason = f"host {name} is not in the allowlist"
        return Refuse(reason, None, None, self._hint(name, port))

    def judge_look_up(self, name: str) -> Allow | Refuse:
        """Judge a look-up of a canonical name, which names no port: allowed if some port may be reached."""
        verdict = self.judge_name(name, _HTTPS)
        ports = (_NAMED_BY_NO_RULE, *sorted(self.ports_named(name)))
        others = (self.judge_name(name, port) for port in ports)
        return next((each for each in (verdict, *others) if isinstance(each, Allow)), verdict)

    def ports_named(self, name: str) -> Set[int]:
        """Return the ports on which an entry allows a canonical name, or raw tunnels to it."""
        ports = ((rule, rule.port) for rule in (*(self.allow or ()), *self.raw_tunnels))
        return {port for rule, port in ports if port is not None and rule.matches(name, port)}

    def judge_unresolved(self, host: str, port: int) -> Allow | Refuse:
        """Judge as far as that is possible without a look-up: an address, and `localhost`, wholly."""
        verdict = self.judge_name(host, port)
        if isinstance(verdict, Refuse):
            return verdict
        name = canonical_host(host)
        address = "127.0.0.1" if name == "localhost" else name if ip_literal(name) else None
        return verdict if address is None else self.judge_addresses(host, port, [address])

    def is_denied(self, rule: HostRule) -> bool:
        """Return True if one denial covers everything that an entry of the allow list allows."""
        return any(denial.covers(rule) for denial in self.deny)

    def built_in_denial(self, rule: HostRule) -> str | None:
        """Return why an entry of the allow list opens nothing in any run; None if it may open something."""
        if rule.pattern in METADATA_HOSTS:
            return "it is the metadata service of a cloud"
        if not rule.is_exact or ip_literal(rule.pattern) is None:
            return None
        verdict = self.judge_addresses(rule.pattern, rule.port or 443, [rule.pattern])
        return verdict.reason if isinstance(verdict, Refuse) and verdict.origin == BUILT_IN else None

    def judge_addresses(self, host: str, port: int, addresses: Sequence[str]) -> Allow | Refuse:
        """Judge every address the name resolved to; one bad address refuses them all.

        `host` is judged again, so no caller can forget to; for an IP literal, `addresses` holds that address.
        Dial only addresses that passed here (DNS rebinding).
        """
        verdict = self.judge_name(host, port)
        if isinstance(verdict, Refuse):
            return verdict
        if not addresses:
            return Refuse(f"host {canonical_host(host)} resolved to no address", None, None, None)
        name = canonical_host(host)
        for text in addresses:
            refusal = self._judge_address(name, port, text)
            if refusal is not None:
                return refusal
        return verdict

    def allows_raw(self, host: str, port: int) -> bool:
        """Return True if a CONNECT tunnel to host and port may carry something other than TLS."""
        try:
            return _first(self.raw_tunnels, canonical_host(host), port) is not None
        except HostError:
            return False

    def for_route(self, host: str, port: int, origin: str) -> HostFilter:
        """Return the filter of a credential's route: only its upstream, under the same denials.

        Raises HostError if `host` is malformed.
        """
        return self._replace(allow=(HostRule(canonical_host(host), port, origin),), raw_tunnels=())

    def allowing(self, rule: HostRule) -> HostFilter:
        """Return the filter with one more entry in its allow list; without a list every name is allowed."""
        if self.allow is not None:
            return self._replace(allow=(*self.allow, rule))
        is_local = rule.is_exact and (rule.pattern == "localhost" or ip_literal(rule.pattern) is not None)
        return self._replace(allow=(HostRule("*", None, rule.origin), rule)) if is_local else self

    def _judge_address(self, name: str, port: int, text: str) -> Refuse | None:
        # Imported here, as below: a run looks names up after its command has started.
        from ipaddress import ip_address

        try:
            address = ip_address(text)
        except ValueError:
            return Refuse(f"resolved IP {escaped(text)} is malformed", None, BUILT_IN, None)
        if getattr(address, "scope_id", None) is not None:
            return Refuse(f"resolved IP {escaped(text)} has a zone id", None, BUILT_IN, None)
        denied = self.judge_reached(str(address), port) if name != str(address) else None
        return denied or self._judge_class(name, port, address)

    def judge_reached(self, address: str, port: int) -> Refuse | None:
        """Return the refusal of a canonical address, whatever name leads there, if the deny list has it."""
        denied = _first(self.deny, address, port)
        if denied is None or not denied.is_exact:
            return None
        return _denied(f"resolved IP {address} is in the deny list", denied)

    def _judge_class(self, name: str, port: int, address: IpAddress) -> Refuse | None:
        from nono.policy.hosts.address import classify, describe

        kind = classify(address)
        may_be_local = self._is_granted_local(name, port)
        if kind == "private" and self.deny_private:
            origin = self.deny_private_origin or ""
            lift = f"remove network.deny_private from {origin.removesuffix(', network.deny_private')}"
            return Refuse(describe(address, kind), "deny_private", self.deny_private_origin, lift)
        if kind == "loopback" and may_be_local:
            return None
        if name == "localhost" and kind != "loopback":
            return Refuse(f"localhost resolved to {address}, which is not loopback", None, BUILT_IN, None)
        if kind in (None, "private"):
            return None
        hint = None
        if kind == "loopback":
            hint = self._granting(_spelled(name if name == "localhost" else str(address), port))
            if name != "localhost":
                # No backticks: what stands in these is offered as a fix, and would leave the name refused.
                hint = f"use the address in place of the name, with {hint}"
        return Refuse(describe(address, kind), kind, BUILT_IN, hint)

    def _is_granted_local(self, name: str, port: int) -> bool:
        """Return True if an entry grants loopback by 'localhost' or an address; no other name can."""
        if name != "localhost" and ip_literal(name) is None:
            return False
        return any(rule.is_exact and rule.matches(name, port) for rule in self.allow or ())

    def _hint(self, name: str, port: int) -> str:
        knows_host = any(rule.is_exact and rule.pattern == name for rule in self.allow or ())
        return self._granting(_spelled(name, port) if knows_host else as_entry(name, port))

    def _granting(self, entry: str) -> str:
        """Return the options that grant an entry and leave everything else as it is."""
        # A first entry alone would refuse every host that is reached now.
        others = "--allow-domain '*' " if self.allow is None else ""
        return f"{others}--allow-domain {shell_word(entry)}"


def escaped(text: str) -> str:
    """Escape `text` in ASCII for a message, cut off at 300 characters."""
    return text.encode("unicode_escape").decode("ascii")[:300]


def as_entry(host: str, port: int) -> str:
    """Return the entry that grants a canonical host on every port; on `port` alone if it is one bare word.

    A bare word may be the name of a group of hosts (`github`), and whoever asks for a host chooses its name.
    On loopback each port is another program of this machine, so there an entry names the port as well.
    """
    is_word = "." not in host and ":" not in host
    address = ip_literal(host)
    is_loopback = address is not None and address.is_loopback
    return _spelled(host, port if is_word or is_loopback else None)


def _spelled(host: str, port: int | None) -> str:
    return str(HostRule(host, port, ""))


def _first(rules: Sequence[HostRule], host: str, port: int) -> HostRule | None:
    return next((rule for rule in rules if rule.matches(host, port)), None)


def _exact_or_wildcard(
    rules: Sequence[HostRule], host: str, port: int, *, exact_only: bool
) -> HostRule | None:
    exact = _first([rule for rule in rules if rule.is_exact], host, port)
    return exact if exact or exact_only else _first(rules, host, port)


def _denied(reason: str, rule: HostRule) -> Refuse:
    return Refuse(reason, str(rule), rule.origin, rule.lift or f"remove {rule} from {rule.origin}")
