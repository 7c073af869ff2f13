"""Start the real servers that this machine has, each on a port of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.ports import unused_port
from support.servers.process import listening

HERE = Path(__file__).parent
_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
Argv = Sequence[str]


@dataclass(frozen=True)
class Running:
    """A server, and what it has understood so far."""

    name: str
    port: int
    log: Path

    def understood(self) -> list[dict[str, str]]:
        with suppress(FileNotFoundError):
            return [_entry(line) for line in self.log.read_text("latin-1").splitlines() if line.strip()]
        return []


def _entry(line: str) -> dict[str, str]:
    found: Any = json.loads(line[line.index("{") :])
    return {name: "" if value == "-" else str(value) for name, value in found.items()}


@dataclass(frozen=True)
class Real:
    """needs: the program that runs it. argv: of a folder of its own, a port and a log."""

    name: str
    needs: str
    argv: Callable[[Path, int, Path], Argv]
    is_quick: bool = True  # to start
    module: str = ""  # that it has to find besides

    @property
    def missing(self) -> str | None:
        """Why it cannot be started here."""
        found = shutil.which(self.needs) or shutil.which(self.needs, path=_PATH)
        if found is None:
            return f"there is no {self.needs} here"
        if self.module:
            looked = [found, "-e", f"require.resolve('{self.module}')"]
            if subprocess.run(looked, capture_output=True, check=False).returncode != 0:
                return f"{self.needs} finds no {self.module} (NODE_PATH)"
        return None

    @contextmanager
    def running(self, folder: Path) -> Iterator[Running]:
        folder.mkdir()
        log, port = folder / "understood", unused_port()
        environment = {**os.environ, "HUNT_LOG": str(log), "PYTHONPATH": str(HERE)}
        with listening(self.argv(folder, port, log), environment, port, folder / "output"):
            yield Running(self.name, port, log)


def _program(name: str) -> str:
    return shutil.which(name) or shutil.which(name, path=_PATH) or name


def _nginx(folder: Path, port: int, log: Path) -> Argv:
    values = (
        '{"method":"$request_method","target":"$request_uri","mark":"$http_x_mark"',
        '"key":"$http_authorization"}',
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr crit; events {{}}\n"
        f"http {{ log_format understood escape=json '{','.join(values)}'; access_log {log} understood;\n"
        f"client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;\n"
        f"uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{ add_header X-Answer $http_x_mark always;\n"
        "return 200 $http_x_mark; } } }\n"
    )
    return [_program("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def _apache(folder: Path, port: int, log: Path) -> Argv:
    modules = Path("/usr/lib/apache2/modules")
    values = {"method": "%m", "target": "%U%q", "mark": "%{X-Mark}i", "key": "%{Authorization}i"}
    logged = json.dumps(values).replace('"', '\\"')
    names = ("mpm_event", "authz_core", "headers", "alias")
    loads = "\n".join(f"LoadModule {name}_module {modules}/mod_{name}.so" for name in names)
    (folder / "page").write_text("page")
    (folder / "apache.conf").write_text(
        f"{loads}\nServerRoot {folder}\nServerName hunt\nPidFile {folder}/pid\nListen 127.0.0.1:{port}\n"
        f'ErrorLog {folder}/errors\nLogFormat "{logged}" understood\nCustomLog {log} understood\n'
        f'AliasMatch "^/.*" "{folder}/page"\n<Directory "{folder}">\nRequire all granted\n</Directory>\n'
        'Header always set X-Answer "expr=%{HTTP:X-Mark}"\n'
    )
    return [_program("apache2"), "-f", str(folder / "apache.conf"), "-X"]  # one process, which ends with it


def _haproxy(folder: Path, port: int, log: Path) -> Argv:
    logged = '{"method":"%HM","target":"%HU","mark":"%[capture.req.hdr(0)]","key":"%[capture.req.hdr(1)]"}'
    (folder / "haproxy.cfg").write_text(
        "global\n log stdout format raw local0\n"
        "defaults\n mode http\n timeout client 30s\n timeout server 30s\n timeout connect 5s\n"
        f"frontend hunt\n bind 127.0.0.1:{port}\n log global\n"
        " declare capture request len 64\n declare capture request len 256\n"
        " http-request capture req.hdr(x-mark) id 0\n http-request capture req.hdr(authorization) id 1\n"
        f" log-format '{logged}'\n"
        " http-request return status 200 hdr X-Answer %[capture.req.hdr(0)] lf-string %[capture.req.hdr(0)]"
        " content-type text/plain\n"
    )
    return ["sh", "-c", f"exec {_program('haproxy')} -f {folder}/haproxy.cfg > {log}"]


def _go(folder: Path, port: int, log: Path) -> Argv:
    built = folder / "server"
    environment = {
        **os.environ,
        "GOCACHE": str(folder / "cache"),
        "GOFLAGS": "-mod=mod",
        "GO111MODULE": "off",
    }
    argv = [_program("go"), "build", "-o", str(built), str(HERE / "server.go")]
    subprocess.run(argv, env=environment, check=True, capture_output=True)
    return [str(built), str(port), str(log)]


def _node(*more: str) -> Callable[[Path, int, Path], Argv]:
    return lambda folder, port, log: ["node", str(HERE / "node_server.js"), str(port), str(log), *more]


SERVERS = (
    Real(
        "http.server",
        sys.executable,
        lambda folder, port, log: [sys.executable, str(HERE / "stdlib_server.py"), str(port), str(log)],
    ),
    Real("nginx", "nginx", _nginx),
    Real("Node", "node", _node()),
    Real("Express", "node", _node("express"), is_quick=False, module="express"),
    Real("Apache", "apache2", _apache, is_quick=False),
    Real("HAProxy", "haproxy", _haproxy, is_quick=False),
    Real("Go", "go", _go, is_quick=False),
    Real(
        "Java",
        "java",
        lambda folder, port, log: ["java", str(HERE / "Server.java"), str(port), str(log)],
        is_quick=False,
    ),
    Real(
        "gunicorn",
        "gunicorn",
        lambda folder, port, log: [
            *("gunicorn", "--threads=8", "--keep-alive=30", f"--bind=127.0.0.1:{port}", "web_apps:wsgi")
        ],
        is_quick=False,
    ),
    Real(
        "uvicorn",
        "uvicorn",
        lambda folder, port, log: ["uvicorn", "--log-level=critical", f"--port={port}", "web_apps:asgi"],
        is_quick=False,
    ),
)
