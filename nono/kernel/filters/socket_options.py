"""Lists the socket options that a restricted network refuses, with the reason for each group.

The supervisor connects and binds the command's own socket with every option that the command has set on it,
and the command may set more once it is connected. So no option may send a packet to anybody but the address
that was judged, or send one before an address was. To read the options back before a connect would be a race:
the command shares the socket. Options that only shape a connection (SO_REUSEADDR, TCP_NODELAY, IP_TOS,
SO_PRIORITY, TCP_FASTOPEN of a listener) are left alone, and so are those that ask for CAP_NET_ADMIN to no
such effect. The tests list every option of the headers with its verdict.
"""

from __future__ import annotations

from nono.kernel.uapi import sockopt

# An interface, a route by the packet's mark, a policy of IPsec: the packet leaves by them for another host,
# even one for 127.0.0.1. Where the kernel asks for a capability, it answers EPERM as well.
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

# Headers of the command's own making, source routes among them. Linux 6.12.90 still takes an IP_OPTIONS with
# a source route from anybody. A flow label carries headers too. RFC 2292 spells the same options differently.
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

# A source address that is another host's: whoever is connected to answers there, and the address itself, with
# 64 bits of the command's choice, is the message.
_OTHER_SOURCE = (
    (sockopt.SOL_IP, sockopt.IP_FREEBIND),
    (sockopt.SOL_IP, sockopt.IP_TRANSPARENT),
    (sockopt.SOL_IPV6, sockopt.IPV6_FREEBIND),
    (sockopt.SOL_IPV6, sockopt.IPV6_TRANSPARENT),
)

# The kernel tells every neighbour which groups and sources a socket listens to: up to 112 bits for each,
# without a connect. IP_ADD_MEMBERSHIP refuses TCP sockets, the others do not.
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

# Data in the SYN: one packet that gets out is enough. A listener's TCP_FASTOPEN is another option.
_DATA_IN_THE_SYN = (
    (sockopt.SOL_TCP, sockopt.TCP_FASTOPEN_CONNECT),
    (sockopt.SOL_TCP, sockopt.TCP_FASTOPEN_KEY),
    (sockopt.SOL_TCP, sockopt.TCP_FASTOPEN_NO_COOKIE),
)

# What was judged as a TCP socket of its family is another afterwards: AF_INET; SMC, whose connect Landlock
# does not judge; one that is connected without a packet. kTLS is an upper layer too: libraries do without it.
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
