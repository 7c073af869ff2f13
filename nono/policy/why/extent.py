"""Say what a suggested option grants, beyond the access for which it was suggested."""

from __future__ import annotations

import shlex

from nono.named_tuple import NamedTuple
from nono.policy.capability import Access
from nono.policy.files.grants import directory_flag
from nono.policy.path_expansion import Filesystem, canonical_as_far
from nono.policy.resolve import Resolved
from nono.policy.why.socket_services import controllable_at_port, starter_at_port, starter_of_programs
from nono.printable import shell_word

_OF_FLAG = {
    "--allow": "grants reading and writing everything in {}",
    "--read": "grants reading everything in {}",
    "--write": "grants writing everything in {}",
    "--bypass-protection": "lifts the rule that keeps {} from the command",
    "--open-port": "grants connecting to port {} of this machine, and listening there",
    "--allow-connect-port": "grants connecting to port {} of any host, past the proxy",
    "--listen-port": "grants listening on port {}, for other machines too",
    "--allow-domain": "grants any request to {}",
    "--mcp-server": "grants asking the program of profile {}, which has a sandbox of its own",
}
_CONTROLLED = "would let whoever connects run code outside the sandbox"


def extent(flag: str) -> str | None:
    """Return what a suggested option grants if that is more than the access it was suggested for, or None."""
    try:
        words = shlex.split(flag)
    except ValueError:
        return None
    pairs = list(zip(words[::2], words[1::2], strict=False))
    # Of several options the last lifts a protection, which a person must know.
    for name, value in reversed(pairs):
        if name == "--allow-domain" and "://" in value:
            return None
        if name == "--allow-unix-socket" and (starter := starter_of_programs(value)) is not None:
            return f"grants starting programs outside the sandbox: {starter}"
        if name == "--open-port" and (starter := starter_at_port(value)) is not None:
            return f"grants starting programs outside the sandbox: {starter}"
        if name in _OF_FLAG:
            # As the option has it: shlex does not read `$'...'`.
            said = _OF_FLAG[name].format(flag.partition(" ")[2] if len(pairs) == 1 else shell_word(value))
            server = controllable_at_port(value) if name == "--open-port" else None
            return said if server is None else f"{said}; {server} there {_CONTROLLED}"
    return None


class WorkdirOffer(NamedTuple):
    """What --allow-cwd would grant."""

    path: str  # canonical
    access: Access

    def spelled(self, flag: str) -> tuple[str, str] | None:
        """Return --allow-cwd with what it grants, if it covers the access of `flag`; None: it does not.

        A profile has no field for --allow-cwd, so this is for a person to read and not to be saved.
        """
        place = shell_word(self.path)
        covered = {f"{directory_flag(each)} {place}" for each in Access if self.access.covers(each)}
        if flag not in covered:
            return None
        return "--allow-cwd", str(extent(f"{directory_flag(self.access)} {place}"))


def workdir_offer(resolved: Resolved, fs: Filesystem) -> WorkdirOffer | None:
    """Return what --allow-cwd would add to a run; None: nothing."""
    if resolved.workdir_offer is None:
        return None
    return WorkdirOffer(canonical_as_far(resolved.path_context.workdir, fs), resolved.workdir_offer)
