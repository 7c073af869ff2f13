"""Drive a headless Chromium over its DevTools protocol to learn what a person would see of a page."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_S = 60.0
_LISTENING = "DevTools listening on "


class Browser:
    """One browser tab."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._number = 0
        self.requested: list[str] = []  # every URL that the page asked for

    def call(self, method: str, **parameters: object) -> Any:
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        return self._until(lambda message: message.get("id") == self._number)["result"]

    def open(self, url: str, *, width: int, height: int, scheme: str) -> None:
        """Open a page at this width in CSS pixels, in the colour scheme light or dark."""
        for domain in ("Page", "Network", "Runtime"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=media)
        self.requested.clear()
        self.call("Page.navigate", url=url)
        self._until(lambda message: message.get("method") == "Page.loadEventFired")

    def evaluate(self, expression: str) -> Any:
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def screenshot(self) -> bytes:
        """Return the whole page as PNG."""
        taken = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(taken["data"])

    def _until(self, is_it: Any) -> Any:
        while True:
            message = json.loads(self._connection.recv(timeout=PATIENCE_S))
            if message.get("method") == "Network.requestWillBeSent":
                self.requested.append(message["params"]["request"]["url"])
            if "error" in message:
                raise AssertionError(message["error"])
            if is_it(message):
                return message


@contextmanager
def browser() -> Iterator[Browser]:
    """Start Chromium with a profile of its own, which is removed when the block is left."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        argv = [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--hide-scrollbars", f"--user-data-dir={home}/profile", "--remote-debugging-port=0",
            "about:blank",
        ]  # fmt: skip
        with subprocess.Popen(
            argv,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env={"HOME": home, "PATH": "/usr/bin:/bin"},
        ) as process:
            try:
                yield from _connected(process)
            finally:
                process.kill()


def _connected(process: subprocess.Popen[str]) -> Iterator[Browser]:
    assert process.stderr is not None
    said = next((line for line in process.stderr if _LISTENING in line), "")
    url = said.rpartition(_LISTENING)[2].strip()
    assert url, "it does not listen"
    with connect(url, max_size=None) as root:
        targets = _ask(root, "Target.getTargets")["targetInfos"]
        target = next(each["targetId"] for each in targets if each["type"] == "page")
    with connect(f"{url.partition('/devtools/')[0]}/devtools/page/{target}", max_size=None) as tab:
        yield Browser(tab)


def _ask(connection: ClientConnection, method: str) -> Any:
    connection.send(json.dumps({"id": 1, "method": method}))
    return json.loads(connection.recv(timeout=PATIENCE_S))["result"]
