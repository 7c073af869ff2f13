"""Ports for tests that run at the same time are never the same."""

from __future__ import annotations

import pytest

from support.ports import COUNT, FIRST, STRIDE, share_of


@pytest.mark.parametrize("workers", [1, 2, 8, 64])
def test_no_two_workers_are_given_the_same_port(workers: int) -> None:
    shares = [share_of(worker, workers) for worker in range(workers)]
    ports = [port for share in shares for port in share]
    assert len(ports) == len(set(ports))
    assert all(FIRST <= port < FIRST + COUNT for port in ports)


@pytest.mark.parametrize("workers", [1, 2, 8, 64])
def test_a_worker_comes_to_each_port_of_its_share(workers: int) -> None:
    size = len(share_of(0, workers))
    assert len({position * STRIDE % size for position in range(size)}) == size
