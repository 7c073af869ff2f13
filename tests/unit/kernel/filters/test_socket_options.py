"""Every socket option of the headers is refused on a restricted network, or left alone for a reason."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from nono.kernel.filters.socket_options import STEERING
from nono.kernel.uapi import sockopt

HEADERS = ("linux/in.h", "linux/in6.h", "linux/tcp.h", "asm/socket.h")
# Macros with the prefix of an option that are values, flags, sizes or other names.
NO_OPTION = re.compile(
    r"IP_(PMTUDISC|DEFAULT|MSFILTER_SIZE)|IPV6_(PMTUDISC|FL_|FLOWINFO_[FP]|PRIORITY|TLV|PREFER)"
    r"|TCP_(ACCECN_|MSS_|MD5SIG_[MF]|AO_(MAX|KEYF)|REPAIR_O|RECEIVE_)|MCAST_(EX|IN)CLUDE"
)
MIRRORED = {
    name
    for name, value in vars(sockopt).items()
    if name.isupper() and not name.startswith("SOL_") and isinstance(value, int)
}
LEFT_ALONE = {
    "shapes the connection and its timers": """
        SO_KEEPALIVE SO_LINGER SO_OOBINLINE SO_RCVLOWAT SO_SNDLOWAT SO_RCVTIMEO SO_SNDTIMEO SO_RCVTIMEO_OLD
        SO_SNDTIMEO_OLD SO_RCVTIMEO_NEW SO_SNDTIMEO_NEW SO_MAX_PACING_RATE SO_ZEROCOPY SO_TXREHASH
        TCP_NODELAY TCP_MAXSEG TCP_CORK TCP_KEEPIDLE TCP_KEEPINTVL TCP_KEEPCNT TCP_SYNCNT TCP_LINGER2
        TCP_WINDOW_CLAMP TCP_QUICKACK TCP_CONGESTION TCP_THIN_LINEAR_TIMEOUTS TCP_THIN_DUPACK TCP_USER_TIMEOUT
        TCP_NOTSENT_LOWAT TCP_TX_DELAY TCP_ZEROCOPY_RECEIVE TCP_INQ TCP_CM_INQ TCP_RTO_MAX_MS TCP_RTO_MIN_US
        TCP_DELACK_MAX_US""",
    "marks packets, which go where the address says: ssh, servers": """
        SO_PRIORITY IP_TOS IPV6_TCLASS IP_TTL IPV6_UNICAST_HOPS IPV6_AUTOFLOWLABEL IPV6_FLOWINFO_SEND
        IP_MTU_DISCOVER IPV6_MTU_DISCOVER IPV6_MTU IPV6_DONTFRAG""",
    "narrows the route to neighbours, to no other address": "SO_DONTROUTE",
    "sizes and locks of memory": """
        SO_RCVBUF SO_SNDBUF SO_RCVBUFFORCE SO_SNDBUFFORCE SO_BUF_LOCK SO_RESERVE_MEM""",
    "which of our own ports, or our own addresses, is used": """
        SO_REUSEADDR SO_REUSEPORT IP_BIND_ADDRESS_NO_PORT IP_LOCAL_PORT_RANGE IPV6_V6ONLY
        IPV6_ADDR_PREFERENCES""",
    "a listener's": """
        TCP_DEFER_ACCEPT TCP_FASTOPEN TCP_SAVE_SYN SO_INCOMING_CPU SO_ATTACH_REUSEPORT_CBPF
        SO_ATTACH_REUSEPORT_EBPF SO_DETACH_REUSEPORT_BPF""",
    "drops or describes what is received": """
        SO_ATTACH_FILTER SO_GET_FILTER SO_ATTACH_BPF SO_DETACH_FILTER SO_DETACH_BPF SO_LOCK_FILTER
        SO_TIMESTAMP
        SO_TIMESTAMP_OLD SO_TIMESTAMP_NEW SO_TIMESTAMPNS SO_TIMESTAMPNS_OLD SO_TIMESTAMPNS_NEW SO_TIMESTAMPING
        SO_TIMESTAMPING_OLD SO_TIMESTAMPING_NEW SO_RXQ_OVFL SO_WIFI_STATUS SO_PEEK_OFF SO_SELECT_ERR_QUEUE
        SO_RCVMARK SO_BUSY_POLL SO_BUSY_POLL_BUDGET SO_PREFER_BUSY_POLL SO_DEVMEM_LINEAR SO_DEVMEM_DMABUF
        SO_DEVMEM_DONTNEED SO_RCVPRIORITY
        IP_RECVOPTS IP_RETOPTS IP_RECVRETOPTS IP_PKTINFO IP_RECVERR IP_RECVTTL IP_RECVTOS IP_PASSSEC
        IP_ORIGDSTADDR IP_RECVORIGDSTADDR IP_MINTTL IP_CHECKSUM IP_RECVFRAGSIZE IP_RECVERR_RFC4884
        IPV6_2292PKTINFO IPV6_2292HOPOPTS IPV6_2292DSTOPTS IPV6_2292HOPLIMIT IPV6_FLOWINFO IPV6_RECVERR
        IPV6_RECVERR_RFC4884 IPV6_RECVPKTINFO IPV6_RECVHOPLIMIT IPV6_HOPLIMIT IPV6_RECVHOPOPTS IPV6_RECVRTHDR
        IPV6_RECVDSTOPTS IPV6_RECVPATHMTU IPV6_RECVTCLASS IPV6_MINHOPCOUNT IPV6_ORIGDSTADDR
        IPV6_RECVORIGDSTADDR IPV6_RECVFRAGSIZE""",
    "of Unix sockets": "SO_PASSCRED SO_PASSSEC SO_PASSPIDFD SO_PASSRIGHTS SO_INQ",
    "of datagrams and raw sockets, which are refused": """
        SO_BROADCAST SO_NO_CHECK SO_BSDCOMPAT SO_NOFCS SO_TXTIME SO_CNX_ADVICE IP_HDRINCL IP_ROUTER_ALERT
        IP_NODEFRAG IPV6_HDRINCL IPV6_CHECKSUM IPV6_ROUTER_ALERT IPV6_ROUTER_ALERT_ISOLATE""",
    "of multicast, and says nothing to anybody without a membership": """
        IP_MULTICAST_IF IP_MULTICAST_TTL IP_MULTICAST_LOOP IP_MULTICAST_ALL IP_DROP_MEMBERSHIP
        IP_DROP_SOURCE_MEMBERSHIP IP_UNBLOCK_SOURCE MCAST_UNBLOCK_SOURCE MCAST_LEAVE_GROUP
        MCAST_LEAVE_SOURCE_GROUP IPV6_MULTICAST_IF IPV6_MULTICAST_HOPS IPV6_MULTICAST_LOOP IPV6_MULTICAST_ALL
        IPV6_DROP_MEMBERSHIP IPV6_LEAVE_ANYCAST""",
    "signs for a peer that has the same key": """
        TCP_MD5SIG TCP_MD5SIG_EXT TCP_AO_ADD_KEY TCP_AO_DEL_KEY TCP_AO_INFO""",
    "of a socket under TCP_REPAIR, which is refused": """
        TCP_REPAIR_QUEUE TCP_QUEUE_SEQ TCP_REPAIR_OPTIONS TCP_REPAIR_WINDOW TCP_TIMESTAMP TCP_AO_REPAIR""",
    "for CAP_NET_ADMIN, and steers nothing": "SO_DEBUG",
    "is only read, or does nothing": """
        SO_TYPE SO_ERROR SO_PROTOCOL SO_DOMAIN SO_ACCEPTCONN SO_PEERNAME SO_PEERCRED SO_PEERSEC SO_PEERGROUPS
        SO_PEERPIDFD SO_BPF_EXTENSIONS SO_MEMINFO SO_INCOMING_NAPI_ID SO_COOKIE SO_NETNS_COOKIE
        SO_SECURITY_AUTHENTICATION SO_SECURITY_ENCRYPTION_TRANSPORT SO_SECURITY_ENCRYPTION_NETWORK
        IP_MTU IP_PROTOCOL IPV6_AUTHHDR IPV6_PATHMTU TCP_INFO TCP_CC_INFO TCP_SAVED_SYN TCP_AO_GET_KEYS
        TCP_IS_MPTCP""",
}
PASSED = {name for names in LEFT_ALONE.values() for name in names.split()}


@pytest.fixture(scope="module")
def options() -> set[str]:
    """Return the options of this machine's headers, by name."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    source = "".join(f"#include <{header}>\n" for header in HEADERS)
    macros = subprocess.run(
        [compiler, "-dM", "-E", "-"], input=source, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    found = re.findall(r"^#define ((?:SO|IP|IPV6|MCAST|TCP)_[A-Z0-9_]+) ", macros, re.MULTILINE)
    return {name for name in found if not NO_OPTION.match(name)}


def test_every_option_of_the_headers_was_decided(options: set[str]) -> None:
    assert options - PASSED - MIRRORED == set()


def test_no_option_is_both_refused_and_left_alone() -> None:
    assert set() == PASSED & MIRRORED


def test_every_mirrored_option_is_refused() -> None:
    levels = {"SO": (1,), "IP": (0,), "IPV6": (41,), "TCP": (6,), "MCAST": (0, 41)}
    expected = {
        (level, getattr(sockopt, name)) for name in MIRRORED for level in levels[name.partition("_")[0]]
    }
    assert set(STEERING) == expected


def test_no_option_is_listed_twice() -> None:
    assert len(STEERING) == len(set(STEERING))
