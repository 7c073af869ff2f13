"""Put the three processes of the soak together."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from support.soak.client import Where
from support.soak.proxy import SERVICES
from support.soak.worker import Worker


@dataclass
class Stage:
    """The running proxy and upstream. log is the file of the audit log."""

    proxy: Worker
    upstream: Worker
    where: Where
    log: Path

    @contextmanager
    def clients(self, seed: int) -> Iterator[Worker]:
        with Worker("crowd", where=self.where._asdict(), seed=seed) as clients:
            yield clients


@contextmanager
def soak_stage(*, records_flows: bool = False, close_grace_s: float = 1.0) -> Iterator[Stage]:
    """Yield a proxy and its upstream, each in a process of its own, until the block is left."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        ca = trustme.CA()
        ca_file = root / "ca.pem"
        ca.cert_pem.write_to_path(ca_file)
        leaf = ca.issue_cert(*(f"{name}.test" for name in (*SERVICES, "tunnel", "plain")))
        leaf.private_key_and_cert_chain_pem.write_to_path(root / "leaf.pem")
        certificate = str(root / "leaf.pem")
        with Worker("upstream", certificate=certificate, key=certificate) as upstream:
            plain_port, tls_port = upstream.ready
            proxy = Worker(
                "proxy",
                plain_port=plain_port,
                tls_port=tls_port,
                ca_file=str(ca_file),
                state_root=str(root / "state"),
                records_flows=records_flows,
                close_grace_s=close_grace_s,
            )
            with proxy:
                ready = proxy.ready
                where = Where(
                    port=ready["port"],
                    token=ready["token"],
                    phantoms=ready["phantoms"],
                    ca=ready["ca"],
                    upstream_ca=ca_file.read_text(),
                    plain_port=plain_port,
                    tls_port=tls_port,
                )
                yield Stage(proxy, upstream, where, Path(ready["log"]))
