"""What the sandbox costs a coding agent: a turn of it."""

from __future__ import annotations

import json
import platform
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.budget import Row, at_most
from benchmarks.commands import Round, check, in_directory, in_turn, seconds_to_exit
from benchmarks.machine import PROGRAMS
from benchmarks.peers import Peers, node_package
from benchmarks.samples import Absent, CannotRunError
from benchmarks.settings import Settings
from benchmarks.stage import NONO, Stage, base_environ
from nono.proxy.tls.trust_bundle import trusted_roots

COMMAND = "echo $((6 * 7))"
PROMPT = "Do it."
# srt has clients reach what is called localhost directly, where nothing is.
HOST, SECOND = "localhost", "127.0.0.2"
START_S = 20.0
ARCHITECTURE = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
CODEX_CONFIG = """
model_provider = "api"
[model_providers.api]
name = "API"
env_key = "CODEX_API_KEY"
wire_api = "responses"
"""


@dataclass(frozen=True, slots=True)
class Agent:
    """service: whose key it holds, in which variable, and which variable names its API."""

    name: str
    argv: tuple[str, ...]  # {host}: the API's
    program: Path
    profile: str
    service: str
    key: str
    base_url: str
    port: int
    path: str = ""  # of the API

    def command(self, host: str) -> list[str]:
        return [word.replace("{host}", host) for word in self.argv]

    def environ(self, stage: Stage, host: str) -> dict[str, str]:
        """Return the environment of a person who has neither nono nor another sandbox."""
        home = stage.folder / "home"
        (home / "codex/config.toml").write_text(CODEX_CONFIG)
        authority = _authority(stage)
        return base_environ(stage.folder) | {
            self.key: "sk-a-key-of-the-benchmark",
            self.base_url: f"https://{host}:{self.port}{self.path}",
            "NODE_EXTRA_CA_CERTS": authority,
            "SSL_CERT_FILE": _roots(stage),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
        }


def agent_rows(stage: Stage, peers: Peers, settings: Settings) -> list[Row]:
    project = stage.folder / "project"
    project.mkdir(exist_ok=True)
    rows: list[Row] = []
    with _models(stage) as (of_claude, of_codex):
        finders: Mapping[str, Callable[[], Agent]] = {
            "Claude Code": lambda: _claude(of_claude),
            "Codex": lambda: _codex(peers, of_codex),
        }
        for name, find in finders.items():
            try:
                rows += _turn_rows(stage, peers, settings, find(), project)
            except CannotRunError as error:
                rows.append(Row(f"a turn of {name}", "s", Absent(str(error))))
    return rows


def _claude(port: int) -> Agent:
    modules = node_package(f"@anthropic-ai/claude-code-linux-{ARCHITECTURE}", "2.1.332")
    program = modules / f"@anthropic-ai/claude-code-linux-{ARCHITECTURE}/claude"
    argv = (str(program), "--print", PROMPT, "--allowedTools", "Bash")
    return Agent(
        *("Claude Code", argv, program.parent, "claude-code", "anthropic"),
        *("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", port),
    )


def _codex(peers: Peers, port: int) -> Agent:
    if isinstance(peers.codex, Absent):
        raise CannotRunError(peers.codex.reason)
    program = Path(peers.codex.command[0])
    flags = ("--dangerously-bypass-approvals-and-sandbox", "--skip-git-repo-check")
    url = f'model_providers.api.base_url="https://{{host}}:{port}/v1"'
    argv = (str(program), "exec", "--config", url, *flags, PROMPT)
    return Agent(
        *("Codex", argv, program.parents[2], "codex", "openai"),
        *("CODEX_API_KEY", "OPENAI_BASE_URL", port, "/v1"),
    )


def _turn_rows(stage: Stage, peers: Peers, settings: Settings, agent: Agent, project: Path) -> list[Row]:
    """Time an agent from its start to its end, with two requests to its model and a command between them."""
    environ = agent.environ(stage, HOST)
    writable = f"{project}:{stage.folder / 'home'}"
    places: dict[str, Sequence[str] | Absent] = {
        "bare": (),
        "nono": _nono(stage, agent),
        "srt": _srt(stage, peers, agent, project),
        "sandlock": _sandlock(stage, peers, agent, writable),
    }
    took = in_turn(
        settings.rounds,
        {
            name: _round(prefix, agent.command(SECOND if name == "srt" else HOST), environ, project)
            for name, prefix in places.items()
        },
    )
    what = f"a turn of {agent.name}"
    budgets = {"bare": at_most(1.15)}
    others = ("bare", "srt", "sandlock")
    return [Row(what, "s", took["nono"], other, took[other], budgets.get(other)) for other in others]


def _round(
    prefix: Sequence[str] | Absent, argv: Sequence[str], environ: Mapping[str, str], at: Path
) -> Round:
    checked = False

    def measure() -> float:
        nonlocal checked
        if isinstance(prefix, Absent):
            raise CannotRunError(prefix.reason)
        whole = in_directory(at, *prefix, *argv)
        if not checked:
            check(whole, environ)
            checked = True
        return seconds_to_exit(whole, environ)

    return measure


def _nono(stage: Stage, agent: Agent) -> list[str]:
    """Return the command that runs the agent under its profile, with its service at the fake."""
    service = {
        "upstream": f"https://{HOST}:{agent.port}{agent.path}",
        "credential_key": f"env://{agent.key}",
        "env_var": agent.key,
        "base_url_env_var": agent.base_url,
        "tls_ca": _authority(stage),
        **({"inject_header": "x-api-key", "credential_format": "{}"} if agent.service == "anthropic" else {}),
    }
    network = {"credentials": [agent.service], "custom_credentials": {agent.service: service}}
    file = stage.folder / f"{agent.profile}.json"
    file.write_text(json.dumps({"extends": agent.profile, "network": network}))
    flags = (f"--allow={stage.folder / 'home/codex'}",) if agent.profile == "codex" else ()
    return [
        NONO,
        "--silent",
        "run",
        f"--profile={file}",
        "--allow-cwd",
        f"--read={agent.program}",
        *flags,
        "--",
    ]


def _srt(stage: Stage, peers: Peers, agent: Agent, project: Path) -> list[str] | Absent:
    if isinstance(peers.srt, Absent):
        return peers.srt
    settings = stage.folder / f"srt-{agent.profile}.json"
    network = {"allowedDomains": [f"{SECOND}:{agent.port}"]}
    files = {
        "denyRead": [],
        "allowWrite": ["/tmp", str(project), str(stage.folder / "home")],
        "denyWrite": [],
    }
    settings.write_text(json.dumps({"network": {**network, "deniedDomains": []}, "filesystem": files}))
    command = [word if word != str(peers.srt.command[-1]) else str(settings) for word in peers.srt.command]
    second = [f"{agent.base_url}=https://{SECOND}:{agent.port}{agent.path}"]
    return [*command, "env", *second]


def _sandlock(stage: Stage, peers: Peers, agent: Agent, writable: str) -> list[str] | Absent:
    if isinstance(peers.sandlock, Absent):
        return peers.sandlock
    readable = f"{agent.program}:{Path(_authority(stage)).parent}"
    script = str(PROGRAMS / "sandlock_agent.py")
    return [*peers.sandlock.command, script, str(agent.port), writable, readable]


def _authority(stage: Stage) -> str:
    return str(stage.folder / "models/ca.pem")


def _roots(stage: Stage) -> str:
    """Return the system's roots and the authority, as a person has them: an agent parses them for 40 ms."""
    file = stage.folder / "models/roots.pem"
    if not file.exists():
        authority = Path(_authority(stage)).read_bytes().strip()
        file.write_bytes(b"\n".join([*trusted_roots(None).blocks, authority, b""]))
    return str(file)


@contextmanager
def _models(stage: Stage) -> Iterator[tuple[int, int]]:
    """Return the ports of the fakes of Anthropic and OpenAI."""
    (stage.folder / "models").mkdir(exist_ok=True)
    argv = [sys.executable, "-I", str(PROGRAMS / "model.py"), _authority(stage), COMMAND]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            if not select.select([server.stdout], [], [], START_S)[0]:
                raise CannotRunError("the models do not start")
            anthropic, openai = json.loads(server.stdout.readline())
            yield anthropic, openai
        finally:
            server.stdin.close()
