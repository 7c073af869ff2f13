"""Answer `nono why --scope`: are signals and abstract Unix sockets confined to the sandbox?"""

from __future__ import annotations

from typing import Any, Literal

from nono.kernel import landlock_rights
from nono.kernel.uapi import landlock as uapi_landlock
from nono.named_tuple import NamedTuple
from nono.policy.capability import CapabilitySet
from nono.sandbox.plan.enforcement import Enforcement, NotifyProgram, Refusal, Rung

SIGNAL, ABSTRACT_UNIX_SOCKET = "signal", "abstract-unix-socket"
SCOPES = (SIGNAL, ABSTRACT_UNIX_SOCKET)

_FLAGS = {
    SIGNAL: uapi_landlock.LANDLOCK_SCOPE_SIGNAL,
    ABSTRACT_UNIX_SOCKET: uapi_landlock.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET,
}
_LIFTED_BY = {
    SIGNAL: 'security.signal_mode "allow_all"',
    ABSTRACT_UNIX_SOCKET: 'security.ipc_mode "full"',
}
# With these programs the supervisor sees every Unix socket and refuses those without a path.
_SEES_ABSTRACT = (NotifyProgram.NOTIFY, NotifyProgram.UNIX_PATHS)


class ScopeAnswer(NamedTuple):
    """The answer for one scope; fields that do not apply are None."""

    scope: str
    state: Literal["enforced", "not_enforced", "unsupported", "not_requested", "unavailable"]
    requested: bool
    enforced: bool
    supported: bool  # by this kernel's Landlock
    kernel_abi: str | None = None  # "V6"
    details: str | None = None

    @property
    def is_open(self) -> bool:
        """True if confinement was requested and is not enforced."""
        return self.requested and not self.enforced

    def as_json(self) -> dict[str, Any]:
        """Return a dict for json.dumps without the absent fields."""
        fields = {name: value for name, value in self._asdict().items() if value is not None}
        return {"status": "scope", **fields}


def scope_answer(
    scope: str, capabilities: CapabilitySet, chosen: Enforcement | Refusal, landlock_abi: int
) -> ScopeAnswer:
    """Answer for one of SCOPES in a run with enforcement `chosen`."""
    scopes = capabilities.scopes
    requested = scopes.signal if scope == SIGNAL else scopes.abstract_unix_socket
    supported = bool(landlock_rights.SCOPES[landlock_abi] & _FLAGS[scope])
    abi = f"V{landlock_abi}" if landlock_abi else None
    if isinstance(chosen, Refusal):
        refused = f"the run is refused: {chosen.message.splitlines()[0]}"
        return ScopeAnswer(scope, "unavailable", requested, False, supported, abi, refused)
    holder = "Landlock" if supported and requested else None
    if scope == ABSTRACT_UNIX_SOCKET:
        holder = _holds_abstract(chosen) or holder
    if not requested:
        details = f"{_LIFTED_BY[scope]} was asked for"
        if holder is not None:
            details += f", but {holder} holds them back all the same"
        return ScopeAnswer(scope, "not_requested", False, holder is not None, supported, abi, details)
    if holder is not None:
        return ScopeAnswer(scope, "enforced", True, True, supported, abi, f"by {holder}")
    needs = "Landlock V6 is needed for it (kernel 6.12)"
    return ScopeAnswer(scope, "unsupported", True, False, False, abi, needs)


def _holds_abstract(chosen: Enforcement) -> str | None:
    """Name what isolates abstract sockets independently of Landlock, or return None."""
    if chosen.rung is Rung.NETNS:
        return "the private network"
    if chosen.rung is Rung.NOTIFY or chosen.sockets in _SEES_ABSTRACT:
        return "the supervisor"
    return None
