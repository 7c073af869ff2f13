"""Run the proxy of the soak in a process: ledger, tripwire and flow recording on, its state on request.

Usage: worker starts it with the settings that main takes.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

from nono.audit.dedup import DedupRecorder
from nono.audit.ledger import AuditLog
from nono.credentials.mask import mask_of
from nono.credentials.phantom import Phantom, make_phantom, make_session_token
from nono.credentials.static import StaticCredential
from nono.credentials.values.credential import Credential
from nono.credentials.values.injection import injection_of
from nono.credentials.values.tripwire import tripwire_for
from nono.policy.hosts.upstream import Upstream
from nono.policy.schema.route_rules import AUTHORIZATION, RateLimit, TlsIdentity
from nono.proxy.config import Collaborators, ProxyConfig
from nono.proxy.flows.recorder import FlowRecorder
from nono.proxy.handshake.alpn import HTTP2
from nono.proxy.server import RunningProxy, serve
from nono.proxy.tls.session_ca import SessionCa
from nono.proxy.verdict.routes import Route
from nono.secret import Secret
from nono.supervisor import loop
from support.proxy.thread import Hosts
from support.soak.worker import obey, run

KEY = "canary-of-the-real-key-"  # followed by the name of the service
WATCHED, UNWATCHED, LEAKY, LIMITED = "alpha", "bravo", "leaky", "limited"
SERVICES = (WATCHED, UNWATCHED, LEAKY, LIMITED)
# The modules whose objects are counted: what a connection or a request creates consists of these.
_COUNTED = ("nono.", "uvloop", "asyncio", "anyio", "h2.", "hpack", "httptools", "ssl", "_ssl", "_asyncio")


async def _on_this_machine(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


def _origin(service: str, plain_port: int, tls_port: int) -> Upstream:
    if service == UNWATCHED:
        return Upstream("http", "127.0.0.1", plain_port)
    return Upstream("https", f"{service}.test", tls_port)


def _route(service: str, origin: Upstream, phantom: Phantom, credential: Credential, ca_file: str) -> Route:
    return Route(
        service=service,
        origin=origin,
        credential=credential,
        phantom=phantom,
        tls=TlsIdentity(ca=ca_file),
        watched=service != UNWATCHED,
        rate_limit=RateLimit(600, burst=5, max_delay_s=0.5) if service == LIMITED else None,
    )


async def main(
    plain_port: int,
    tls_port: int,
    ca_file: str,
    state_root: str,
    records_flows: bool,
    close_grace_s: float,
) -> None:
    token = make_session_token()
    phantoms = {service: make_phantom(service) for service in SERVICES}
    secrets = {service: Secret(KEY + service) for service in SERVICES}
    credentials = {
        service: StaticCredential(injection_of(AUTHORIZATION, secret), tripwire_for([secret]))
        for service, secret in secrets.items()
    }
    routes = [
        _route(each, _origin(each, plain_port, tls_port), phantoms[each], credentials[each], ca_file)
        for each in SERVICES
    ]
    authority = SessionCa.create()
    alarms: list[str] = []
    with ExitStack() as stack:
        log = stack.enter_context(AuditLog(state_root, "soak"))
        record = DedupRecorder(log.record)
        stack.callback(record.drain)
        flows = None
        if records_flows:
            mask = mask_of(token, [*phantoms.values()], [*credentials.values()])
            flows = stack.enter_context(FlowRecorder(f"{state_root}/flows", mask))
        config = ProxyConfig(
            hosts=Hosts(),
            session_token=token,
            routes=tuple(routes),
            server_context=lambda host, x25519: authority.server_context(host, HTTP2, x25519=x25519),
            max_connections=1024,
            idle_timeout_s=5.0,
            pool_idle_timeout_s=2.0,
            close_grace_s=close_grace_s,
        )
        async with loop.housekeeping(log, record.flush), AsyncExitStack() as serving:
            proxy = await serving.enter_async_context(
                serve(config, Collaborators(record, _on_this_machine, alarms.append, flows=flows))
            )
            orders = _Orders(proxy, serving, flows, alarms)
            ready = {
                "port": proxy.port,
                "ca": authority.certificate_pem.decode(),
                "token": token.child_value(),
                "phantoms": {name: phantom.child_value() for name, phantom in phantoms.items()},
                "log": log.path,
            }
            await obey(ready, {"state": orders.state, "reset_peak": orders.reset_peak, "close": orders.close})


class _Orders:
    def __init__(
        self, proxy: RunningProxy, serving: AsyncExitStack, flows: FlowRecorder | None, alarms: list[str]
    ) -> None:
        self._proxy = proxy
        self._serving = serving
        self._flows = flows
        self._alarms = alarms

    async def state(self, *, objects: bool) -> dict[str, Any]:
        """Return the present state. objects: collect garbage, then count the objects by type."""
        engine = self._proxy.serving().context
        return {
            "counts": {
                "tasks": len(asyncio.all_tasks()),
                "clients": len(engine.connections),
                "tunnels": len(engine.tunnel_ends),
                "upstreams": len(engine.pool.connections),
                "flows": len(self._flows._open) if self._flows is not None else 0,
                "descriptors": len(os.listdir("/proc/self/fd")),
                "threads": threading.active_count(),
            },
            "rss_kib": _status("VmRSS"),
            "peak_kib": _status("VmHWM"),
            "alarms": len(self._alarms),
            "objects": _objects() if objects else {},
        }

    async def reset_peak(self) -> int:
        """Free unused memory and restart the peak from now on. Returns the resident KiB."""
        gc.collect()
        # What the allocator keeps would hide what the next body takes.
        ctypes.CDLL(None).malloc_trim(0)
        _reset_peak()
        return _status("VmHWM")

    async def close(self) -> dict[str, int]:
        """End the proxy and return the connections that are left."""
        await self._serving.aclose()
        return {"clients": self._proxy.client_connections, "upstreams": self._proxy.upstream_connections}


def _status(name: str) -> int:
    """Return a line of proc_pid_status(5), in KiB."""
    text = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name}:"))


def _reset_peak() -> None:
    """Reset the peak, see proc_pid_clear_refs(5)."""
    Path("/proc/self/clear_refs").write_text("5")


def _objects() -> dict[str, int]:
    gc.collect()
    counts: Counter[str] = Counter()
    for each in gc.get_objects():
        kind = type(each)
        if str(kind.__module__).startswith(_COUNTED):
            counts[f"{kind.__module__}.{kind.__qualname__}"] += 1
    return dict(counts)


if __name__ == "__main__":
    run(main)
