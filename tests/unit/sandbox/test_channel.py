"""Messages arrive whole, or not at all."""

import os
import socket
import threading

import pytest

from nono.sandbox import channel


def test_a_message_larger_than_the_socket_buffer_arrives_whole() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        message: channel.Message = {"environment": {f"V{i}": "x" * 1000 for i in range(2000)}}
        sender = threading.Thread(target=channel.send, args=(ours.fileno(), message))
        sender.start()
        assert channel.receive(theirs.fileno()) == message
        sender.join()


def test_arguments_that_are_not_utf_8_arrive_as_they_were() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        odd = os.fsdecode(b"caf\xe9\xff")
        channel.send(ours.fileno(), {"argv": [odd]})
        assert channel.receive(theirs.fileno()) == {"argv": [odd]}


def test_as_many_arguments_as_execve_passes_arrive() -> None:
    message: channel.Message = {"argv": [os.fsdecode(b"\xff" * (128 * 1024 - 1))] * 48}
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=channel.send, args=(ours.fileno(), message))
        sender.start()
        try:
            assert channel.receive(theirs.fileno()) == message
        finally:
            theirs.close()  # or the sender would wait
            sender.join()


def test_a_closed_channel_reads_as_the_end() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.close()
        assert channel.receive(theirs.fileno()) is None


def test_a_message_cut_short_reads_as_the_end() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.sendall(channel.LENGTH.pack(100) + b"{")
        ours.close()
        assert channel.receive(theirs.fileno()) is None


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(channel.LENGTH.pack(channel.MESSAGE_BYTES_MAX + 1), id="too long"),
        pytest.param(channel.LENGTH.pack(2) + b"[]", id="not an object"),
        pytest.param(channel.LENGTH.pack(1) + b"{", id="not JSON"),
    ],
)
def test_what_is_no_message_is_refused(raw: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(raw)
        with pytest.raises(ValueError):  # noqa: PT011  # three sources, one meaning
            channel.receive(theirs.fileno())
