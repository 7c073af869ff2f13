"""List the socket options that a restricted network refuses, with the reason for each group.

The supervisor connects and binds the command's own socket, with every option that the command has set on it,
and the command may set more after the connect. So no option may send a packet to another address than the
one that was checked, or send one before the check. Reading the options back before a connect would be a
race, because the command shares the socket. Options that only shape a connection (SO_REUSEADDR, TCP_NODELAY,
IP_TOS, SO_PRIORITY, TCP_FASTOPEN of a listener) are allowed, and so are those that need CAP_NET_ADMIN for
something else. The tests list every option of the headers with its verdict.
"""

from __future__ import annotations

from nono.kernel.uapi import sockopt

# An interface, a route by the packet's mark, or an IPsec policy sends the packet to another host, even one
# for 127.0.0.1. EPERM is also what the kernel answers where the option needs a capability.
_OTHER_INTERFACE = (
    (sockopt.SOL_SOCKET, sockopt.SO_BINDTODEVICE),
    (sockopt.SOL_SOCKET, sockopt.SO_BINDTOIFINDEX),
    (sockopt.SOL_SOCKET, sockopt.SO_MARK),
    (sockopt.SOL_IP, sockopt.IP_UNICAST_IF),
    (sockopt.SOL_IP, sockopt.IP_IPSEC_POLICY),
    (sockopt.SOL_IP, sockopt.IP_XFRM_POLICY),
    (sockopt.SOL_IPV6, sockopt.IPV6_UNICAST_IF),
    (sockopt.SOL_IPV6, sockopt.IPV6_PKTINFO),
    (sockopt.SOL_IPV6, sockopt.IPV6_IPSEC_POLICY),
    (sockopt.SOL_IPV6, sockopt.IPV6_XFRM_POLICY),
)

# Headers that the command composes, source routes among them. Linux 6.12.90 still accepts IP_OPTIONS with a
# source route from anybody. A flow label carries headers too. RFC 2292 names the same options differently.
_OWN_HEADERS = (
    (sockopt.SOL_IP, sockopt.IP_OPTIONS),
    (sockopt.SOL_IP, sockopt.IP_PKTOPTIONS),
    (sockopt.SOL_IPV6, sockopt.IPV6_2292RTHDR),
    (sockopt.SOL_IPV6, sockopt.IPV6_2292PKTOPTIONS),
    (sockopt.SOL_IPV6, sockopt.IPV6_NEXTHOP),
    (sockopt.SOL_IPV6, sockopt.IPV6_FLOWLABEL_MGR),
    (sockopt.SOL_IPV6, sockopt.IPV6_HOPOPTS),
    (sockopt.SOL_IPV6, sockopt.IPV6_RTHDRDSTOPTS),
    (sockopt.SOL_IPV6, sockopt.IPV6_RTHDR),
    (sockopt.SOL_IPV6, sockopt.IPV6_DSTOPTS),
)

# A source address of another host: the peer's reply goes there, and the address itself carries 64 bits of the
# command's choice.
_OTHER_SOURCE = (
    (sockopt.SOL_IP, sockopt.IP_FREEBIND),
    (sockopt.SOL_IP, sockopt.IP_TRANSPARENT),
    (sockopt.SOL_IPV6, sockopt.IPV6_FREEBIND),
    (sockopt.SOL_IPV6, sockopt.IPV6_TRANSPARENT),
)

# The kernel announces a socket's groups and sources to every neighbour, up to 112 bits each, without a
# connect. IP_ADD_MEMBERSHIP refuses TCP sockets, the others do not.
_MEMBERSHIPS = (
    (sockopt.SOL_IP, sockopt.IP_ADD_MEMBERSHIP),
    (sockopt.SOL_IP, sockopt.IP_ADD_SOURCE_MEMBERSHIP),
    (sockopt.SOL_IP, sockopt.IP_BLOCK_SOURCE),
    (sockopt.SOL_IP, sockopt.IP_MSFILTER),
    (sockopt.SOL_IPV6, sockopt.IPV6_ADD_MEMBERSHIP),
    (sockopt.SOL_IPV6, sockopt.IPV6_JOIN_ANYCAST),
    *(
        (level, option)
        for level in (sockopt.SOL_IP, sockopt.SOL_IPV6)
        for option in (
            sockopt.MCAST_JOIN_GROUP,
            sockopt.MCAST_BLOCK_SOURCE,
            sockopt.MCAST_JOIN_SOURCE_GROUP,
            sockopt.MCAST_MSFILTER,
        )
    ),
)

# Data in the SYN: a single packet is a leak. TCP_FASTOPEN of a listener is a different option.
_DATA_IN_THE_SYN = (
    (sockopt.SOL_TCP, sockopt.TCP_FASTOPEN_CONNECT),
    (sockopt.SOL_TCP, sockopt.TCP_FASTOPEN_KEY),
    (sockopt.SOL_TCP, sockopt.TCP_FASTOPEN_NO_COOKIE),
)

# Options that change the kind of a socket after it was checked: its family (to AF_INET); SMC, whose connect
# Landlock does not check; TCP_REPAIR, which connects without a packet. kTLS is an upper layer too; libraries
# work without it.
_OTHER_SOCKET = (
    (sockopt.SOL_IPV6, sockopt.IPV6_ADDRFORM),
    (sockopt.SOL_TCP, sockopt.TCP_ULP),
    (sockopt.SOL_TCP, sockopt.TCP_REPAIR),
)

# (level, optname) of setsockopt(2); the kernel reads both as int.
STEERING = (
    *_OTHER_INTERFACE,
    *_OWN_HEADERS,
    *_OTHER_SOURCE,
    *_MEMBERSHIPS,
    *_DATA_IN_THE_SYN,
    *_OTHER_SOCKET,
)
