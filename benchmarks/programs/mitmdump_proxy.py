"""mitmdump's proxy, and a command beside it that is told of it.

Usage: mitmdump_proxy.py CONFDIR CA_FILE KEY -- COMMAND...; KEY is written into each request.
"""

from __future__ import annotations

import asyncio
import os
import sys

from mitmproxy.http import HTTPFlow
from mitmproxy.options import Options
from mitmproxy.tools.dump import DumpMaster

BETWEEN_LOOKS_S = 0.01


class InjectAndStream:
    """What nono does with a request, in the fewest words: without this bodies would be held in memory."""

    def __init__(self, key: str) -> None:
        self._value = f"Bearer {key}"

    def requestheaders(self, flow: HTTPFlow) -> None:
        flow.request.headers["authorization"] = self._value
        flow.request.stream = True

    def responseheaders(self, flow: HTTPFlow) -> None:
        assert flow.response is not None
        flow.response.stream = True


async def main() -> int:
    split = sys.argv.index("--")
    confdir, ca_file, key = sys.argv[1:split]
    options = Options(
        confdir=confdir, listen_host="127.0.0.1", listen_port=0, ssl_verify_upstream_trusted_ca=ca_file
    )
    # Neither log nor dumper: stdout is the command's, and they would be measured too.
    master = DumpMaster(options, with_termlog=False, with_dumper=False)
    master.addons.add(InjectAndStream(key))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(master.run())
        while not (addresses := master.addons.get("proxyserver").listen_addrs()):
            await asyncio.sleep(BETWEEN_LOOKS_S)
        url = f"http://{addresses[0][0]}:{addresses[0][1]}"
        trusted = {"SSL_CERT_FILE": f"{confdir}/mitmproxy-ca-cert.pem"}
        environ = os.environ | trusted | {"HTTPS_PROXY": url, "HTTP_PROXY": url}
        command = await asyncio.create_subprocess_exec(*sys.argv[split + 1 :], env=environ)
        status = await command.wait()
        master.shutdown()
        await running
    return status


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
