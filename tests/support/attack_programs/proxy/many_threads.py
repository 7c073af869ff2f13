"""Connect from many threads at once, to the proxy and elsewhere.

many_threads FORBIDDEN_PORT THREADS TRIES
"""

from __future__ import annotations

import socket
import sys
import threading
from collections import Counter

from support.attack_programs.outcome import outcome, proxy, report


def main(port: int, threads: int, tries: int) -> None:
    together = threading.Barrier(threads)
    counts: Counter[str] = Counter()
    lock = threading.Lock()

    def work() -> None:
        together.wait()
        for _ in range(tries):
            results = [
                "proxy " + outcome(lambda: socket.create_connection(proxy()).close()),
                "stranger " + outcome(lambda: socket.create_connection(("127.0.0.1", port)).close()),
            ]
            with lock:
                counts.update(results)

    started = [threading.Thread(target=work) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    report(dict(counts))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
