"""Mirror of <linux/netlink.h>, <linux/sock_diag.h> and <linux/inet_diag.h>: look up a TCP socket.

Layouts and values as in Linux 6.12; the look-up of one socket by family exists since 3.3.
"""

from __future__ import annotations

import struct

NETLINK_SOCK_DIAG = 4
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_REQUEST = 1
NLM_F_DUMP = 0x300
SOCK_DIAG_BY_FAMILY = 20
INET_DIAG_NOCOOKIE = 0xFFFFFFFF

NLMSGHDR = struct.Struct("=IHHII")  # struct nlmsghdr: len, type, flags, seq, pid
NLMSGERR = struct.Struct("=i")  # struct nlmsgerr: error; the header of the request follows
# struct inet_diag_req_v2: family, protocol, ext, pad, states, and the socket's id.
INET_DIAG_REQ_V2 = struct.Struct("=BBBxI48s")
# struct inet_diag_sockid: sport, dport (in network order), src, dst, if, cookie.
INET_DIAG_SOCKID = struct.Struct("=2s2s16s16sI2I")
# struct inet_diag_msg: family, state, timer, retrans, the socket's id, expires, rqueue, wqueue, uid, inode.
INET_DIAG_MSG = struct.Struct("=BBBB48sIIIII")

# <asm-generic/socket.h>: the cookie by which sock_diag identifies a socket; since 4.6, read only
SO_COOKIE = 57
SO_NETNS_COOKIE = 71  # of the socket's network namespace; since 5.14, read only

# include/net/tcp_states.h
TCP_ESTABLISHED = 1
TCP_SYN_RECV = 3
TCP_FIN_WAIT1, TCP_FIN_WAIT2 = 4, 5
TCP_CLOSE = 7
TCP_CLOSE_WAIT = 8
TCP_LISTEN = 10
