"""mitmdump's proxy, and a command beside it that is told of it.

Usage: mitmdump_proxy.py PORT CONFDIR CA_FILE KEY -- COMMAND...; KEY is written into each request.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

from mitmproxy.http import HTTPFlow
from mitmproxy.options import Options
from mitmproxy.tools.dump import DumpMaster


class Beside:
    """An addon: the command while the proxy runs, and what nono does with a request in the fewest words.

    Without streaming, bodies would be held in memory.
    """

    def __init__(self, master: DumpMaster, key: str, command: Sequence[str]) -> None:
        self._master = master
        self._value = f"Bearer {key}"
        self._command = command
        self._task: asyncio.Task[None] | None = None
        self.status = 1

    def running(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        options = self._master.options
        # Called before the addons know whether they could bind: a port that is taken ends mitmproxy.
        url = f"http://{options.listen_host}:{options.listen_port}"
        trusted = {"SSL_CERT_FILE": os.path.join(options.confdir, "mitmproxy-ca-cert.pem")}
        environ = os.environ | trusted | {"HTTPS_PROXY": url, "HTTP_PROXY": url}
        command = await asyncio.create_subprocess_exec(*self._command, env=environ)
        self.status = await command.wait()
        self._master.shutdown()  # type: ignore[no-untyped-call]  # mitmproxy has no types there

    def requestheaders(self, flow: HTTPFlow) -> None:
        flow.request.headers["authorization"] = self._value
        flow.request.stream = True

    def responseheaders(self, flow: HTTPFlow) -> None:
        assert flow.response is not None
        flow.response.stream = True


async def main() -> int:
    split = sys.argv.index("--")
    port, confdir, ca_file, key = sys.argv[1:split]
    options = Options(
        confdir=confdir,
        listen_host="127.0.0.1",
        listen_port=int(port),
        ssl_verify_upstream_trusted_ca=ca_file,
    )
    # Neither log nor dumper: stdout is the command's, and they would be measured too.
    master = DumpMaster(options, with_termlog=False, with_dumper=False)
    beside = Beside(master, key, sys.argv[split + 1 :])
    master.addons.add(beside)  # type: ignore[no-untyped-call]  # nor here
    await master.run()
    return beside.status


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
