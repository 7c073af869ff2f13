"""What the kernel answers to another question, or instead of an answer, is taken for no answer."""

from __future__ import annotations

import socket

import pytest

from nono.kernel import sock_diag
from nono.kernel.sock_diag import Listeners, SocketOwners, users_of_server
from nono.kernel.uapi import inet_diag as uapi

SERVER, CLIENT = ("127.0.0.1", 8080), ("127.0.0.1", 40000)
UID = 4711


class Kernel:
    """Stands in for the netlink socket, and answers each question with one datagram.

    kind: Of the message with the answer.
    late: How many questions ago it was asked for.
    """

    def __init__(self, kind: int, late: int = 0, *, size: int | None = None) -> None:
        self._kind = kind
        self._late = late
        self._size = size
        self._answers = list[bytes]()

    def sendto(self, question: bytes, _: tuple[int, int]) -> None:
        flags, sequence = uapi.NLMSGHDR.unpack_from(question)[2:4]
        ports = [end[1].to_bytes(2) for end in (SERVER, CLIENT)]
        loopback = socket.inet_aton("127.0.0.1").ljust(16, b"\0")
        sockid = uapi.INET_DIAG_SOCKID.pack(*ports, loopback, loopback, 0, 7, 0)
        body = uapi.INET_DIAG_MSG.pack(socket.AF_INET, uapi.TCP_ESTABLISHED, 0, 0, sockid, 0, 0, 0, UID, 9)
        self._answers.append(self._message(self._kind, sequence - self._late, body))
        if flags & uapi.NLM_F_DUMP:
            self._answers[-1] += self._message(uapi.NLMSG_DONE, sequence, b"")

    def recv(self, _: int) -> bytes:
        if not self._answers:
            raise BlockingIOError
        return self._answers.pop(0)

    def close(self) -> None:
        """Do nothing: there is no descriptor."""

    def _message(self, kind: int, sequence: int, body: bytes) -> bytes:
        size = uapi.NLMSGHDR.size + len(body) if self._size is None else self._size
        return uapi.NLMSGHDR.pack(size, kind, 0, sequence, 0) + body


def test_an_answer_to_the_question_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sock_diag, "_open", lambda: Kernel(uapi.SOCK_DIAG_BY_FAMILY))
    assert SocketOwners().uid(SERVER, CLIENT) == UID
    assert {each.uid for each in Listeners().on(SERVER[1])} == {UID}
    assert users_of_server(SERVER, CLIENT) == {UID}


@pytest.mark.parametrize("kernel", [Kernel(uapi.NLMSG_ERROR), Kernel(uapi.SOCK_DIAG_BY_FAMILY, late=1)])
def test_an_error_or_a_late_answer_is_no_users(monkeypatch: pytest.MonkeyPatch, kernel: Kernel) -> None:
    monkeypatch.setattr(sock_diag, "_open", lambda: kernel)
    assert SocketOwners().uid(SERVER, CLIENT) is None
    assert users_of_server(SERVER, CLIENT) == set()


@pytest.mark.parametrize(
    "kernel",
    [Kernel(uapi.NLMSG_ERROR), Kernel(uapi.SOCK_DIAG_BY_FAMILY, size=0)],
    ids=["an error", "a message of no size"],
)
def test_no_list_of_listeners_is_not_taken_for_an_empty_one(
    monkeypatch: pytest.MonkeyPatch, kernel: Kernel
) -> None:
    monkeypatch.setattr(sock_diag, "_open", lambda: kernel)
    with pytest.raises(OSError, match="no list of listeners"):
        Listeners().on(SERVER[1])
