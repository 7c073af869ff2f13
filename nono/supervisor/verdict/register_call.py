"""Explain the refusal of a call that the seccomp program already judged by its registers."""

from __future__ import annotations

from collections.abc import Sequence

from nono.kernel.uapi.file_ioctl import SUBVOLUMES, VERITY_AND_ENCRYPTION
from nono.kernel.uapi.process import (
    KD_MASK,
    KD_REQUESTS,
    SOL_ALG,
    SOL_NETLINK,
    TIOCSETD,
    USERFAULTFD_IOC_NEW,
    VT_MASK,
    VT_REQUESTS,
)
from nono.supervisor.verdict.adjudicator import Refuse, refuse_call
from nono.supervisor.verdict.own_datagrams import is_udp_socket, refused_hint
from nono.supervisor.verdict.route_netlink import GROUP, GROUPS_HINT
from nono.supervisor.verdict.syscall_args import AF_UNIX, SOCK_DGRAM, signed, socket_kind, unsigned

_WOULD_STALL = "who reads such memory waits for the command, and nono reads it to judge calls"
_WOULD_LEAD_ELSEWHERE = "the option could send packets elsewhere than to the address that was judged"
_KEYRINGS = "the kernel's keyrings are shared with processes outside the sandbox"
_REASONS = {
    "userfaultfd": _WOULD_STALL,
    "open_by_handle_at": "a handle also opens the namespaces of other programs",
    "setns": "in the namespaces of other programs of this user it would have all capabilities",
    "fsopen": "for an overlay the kernel removes and makes files wherever it is told to",
}

_DATAGRAMS_HINT = (
    "Such a socket can send to any other without a connect. Many programs only try one, for the system's "
    "log, and work without"
)
_PAIR_HINT = (
    "Either end of such a pair can send to any other socket without a connect. socat makes one before it "
    "listens; it gets it with --sandbox-policy netns, where no connection to a Unix socket is judged"
)


def refuse_by_registers(name: str | None, nr: int, args: Sequence[int]) -> Refuse:
    """Return the refusal for the audit log. `name`: None for a call that nono has no name for."""
    first, second, third = map(unsigned, args[:3])
    match name:
        case "sendto" | "sendmsg" | "sendmmsg":
            reason = "TCP Fast Open would connect and send in one call, to an address nobody has judged"
            return refuse_call(f"{name}(MSG_FASTOPEN)", reason)
        case "socket" | "socketpair":
            reason = "only TCP and connection-oriented Unix sockets can be held to the proxy"
            call = "{}(family={}, type={}, protocol={})".format(name, *socket_kind(args))
            return refuse_call(call, reason)._replace(hint=_hint_about(name, args))
        case "setsockopt":
            call = f"setsockopt(level={second}, option={third})"
            if second == SOL_NETLINK:
                return refuse_call(call, GROUP)._replace(hint=GROUPS_HINT)
            return refuse_call(call, _KEYRINGS if second == SOL_ALG else _WOULD_LEAD_ELSEWHERE)
        case "prlimit64":
            reason = "the limits of another process are its owner's to set"
            return refuse_call(f"prlimit64(pid={args[0]})", reason)
        case "setpriority" | "ioprio_set":
            reason = "the group or user has processes outside the sandbox, nono itself among them"
            return refuse_call(f"{name}(which={first})", reason)
        case "add_key" | "request_key" | "keyctl":
            return refuse_call(name, _KEYRINGS)
        case "userfaultfd" | "open_by_handle_at" | "setns" | "fsopen":
            return refuse_call(name, _REASONS[name])
        case "fcntl":
            reason = "who opens the file elsewhere would wait for the command to give its lease up"
            return refuse_call(f"fcntl(cmd={second})", reason)
        case "perf_event_open":
            reason = "an event of a whole CPU or cgroup samples the memory of other programs"
            return refuse_call(f"perf_event_open(pid={signed(args[1])})", reason)
        case "ioctl":
            return refuse_call(f"ioctl({second:#x})", _why_no_request(second))
    reason = "it could connect or open files without a system call that is looked at"
    return refuse_call(name or f"nr={nr}", reason)


def _hint_about(name: str, args: Sequence[int]) -> str | None:
    """Say who asks for sockets of this kind, and what helps them."""
    if socket_kind(args)[:2] == (AF_UNIX, SOCK_DGRAM):
        return _DATAGRAMS_HINT if name == "socket" else _PAIR_HINT
    return refused_hint() if name == "socket" and is_udp_socket(args) else None


def _why_no_request(request: int) -> str:
    if request in SUBVOLUMES:
        return "a snapshot would show what is denied, and add to directories that may only be read"
    if request in VERITY_AND_ENCRYPTION:
        return "it would change files that may only be read, or lock those of other programs"
    if request == USERFAULTFD_IOC_NEW:
        return _WOULD_STALL
    if request == TIOCSETD:
        return "another line discipline would leave the terminal useless after the run"
    if request & KD_MASK == KD_REQUESTS or request & VT_MASK == VT_REQUESTS:
        return "it could leave the console without its keyboard, its picture or a way to another one"
    return "what is typed into the terminal is read by whoever reads it next: your shell"
