"""Set up the place where a real coding agent works under a shipped profile: a home and a fake provider.

The agent is started as a person would start it, with `nono run --profile NAME --allow-cwd -- AGENT`. Neither
the profile nor its services are changed for the test: the provider has its real name and port, in a network
namespace that belongs to the test. The user of the agent finds the name in /etc/hosts and trusts its
certificate authority through SSL_CERT_FILE.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support import private_mounts
from support.agents.editor import Editor, editor
from support.agents.screen import Screen, screen
from support.nono_run import NONO, Ended, NonoRun, nono_run
from support.private_network import PRIVATE_ADDRESS, private_network
from support.running import fork_server
from support.servers.http1 import Authority, Handler, HttpUpstream, upstream

TIMEOUT_S = 300.0
NODE = shutil.which("node24") or shutil.which("node")
LOGIN = "canary-of-a-secret-file"
# What the model tells the agent to do: print what it holds, write where it may, and try where it may not.
TASK = """
cd "$PROJECT" || exit
env > environment; echo made > made
for secret in .ssh/id $LOGIN; do grep -h . "$HOME/$secret" 2>/dev/null && echo "read $secret"; done
{ echo > "$HOME/outside"; } 2>/dev/null
echo tried
"""


@dataclass(frozen=True, slots=True)
class AgentStage:
    """A person with a project. host is the name of the provider."""

    runner: NonoRun
    provider: HttpUpstream
    prefix: Sequence[str]
    login: str

    @property
    def home(self) -> Path:
        return self.runner.user.home

    @property
    def project(self) -> Path:
        return self.runner.project

    def files_with(self, text: str) -> set[str]:
        """Return the files below the home that hold this text, as paths below it."""
        files = [path for path in self.home.rglob("*") if path.is_file() and not path.is_symlink()]
        return {str(path.relative_to(self.home)) for path in files if text.encode() in path.read_bytes()}

    def directory(self, path: str) -> Path:
        """Create a directory below the home, and its parents, as the person."""
        return _directories(self.runner, path)

    def furnish(self, files: Mapping[str, str]) -> None:
        """Write files of the person at paths below the home."""
        for path, content in files.items():
            file = self.directory(str(Path(path).parent)) / Path(path).name
            file.write_text(content)
            self.runner.give(file)

    @property
    def outside(self) -> Path:
        """Return the path that the task tries to write."""
        return self.home / "outside"

    def install(self, name: str, program: Path) -> None:
        """Make the command name run a program below the home."""
        link = self.directory(".local/bin") / name
        link.unlink(missing_ok=True)
        link.symlink_to(self.home / program)

    def nono(self, *arguments: str, stdin: str = "") -> None:
        """Run a nono command that must succeed."""
        ended = self.person([*NONO, *arguments], stdin=stdin)
        assert ended.returncode == 0, ended.stderr

    def run(
        self,
        profile: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        stdin: str = "",
    ) -> Ended:
        """Run `nono run --profile ... -- command` to its end."""
        before = set(self.runner.logs())
        nono = (*NONO, "run", "--profile", profile, "--allow-cwd", "--")
        ended = self.person([*nono, *command], environment=environment, stdin=stdin)
        return Ended(ended.returncode, ended.stdout, ended.stderr, self.runner.events_since(before))

    def person(
        self, argv: Sequence[str], *, environment: Mapping[str, str] | None = None, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Return the command as the person runs it, with nothing of the suite's environment."""
        return fork_server.run(
            [*self.prefix, *self.runner.user.command(argv)],
            env={**self._environment(), **(environment or {})},
            cwd=self.project,
            input=stdin,
            timeout=TIMEOUT_S,
        )

    @contextmanager
    def edited(self, argv: Sequence[str], environment: Mapping[str, str]) -> Iterator[Editor]:
        """Run a command as the person's editor does."""
        command = [*self.prefix, *self.runner.user.command(argv)]
        with editor(command, {**self._environment(), **environment}, self.project) as seen:
            yield seen

    @contextmanager
    def on_screen(
        self, argv: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> Iterator[Screen]:
        """Run a command as the person at a terminal."""
        command = [*self.prefix, *self.runner.user.command(argv)]
        own = {**self._environment(), "TERM": "xterm-256color", **(environment or {})}
        with screen(command, own, self.project) as seen:
            yield seen

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.home}/.local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "USER": "person",
            "SHELL": "/bin/bash",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "LOGIN": self.login,
            "PROJECT": str(self.project),
            "SSL_CERT_FILE": str(self.home / "ca.pem"),
        }


@contextmanager
def agent_stage(
    hosts: Sequence[str], handler: Handler, *, mounts: Mapping[str, Path], login: str
) -> Iterator[AgentStage]:
    """Yield a stage that is removed with all its files when the block is left. Needs root to name a host.

    hosts: The names of the provider.
    mounts: What appears at paths below the home, like installed programs.
    login: A file below the home that holds a login.
    """
    with nono_run(homes="/home") as runner, private_network():
        home = runner.user.home
        authority = Authority(str(home / "ca.pem"))
        ids = f"{runner.user.uid}:{runner.user.gid}"
        files = {
            "hosts": f"127.0.0.1 localhost\n{PRIVATE_ADDRESS} {' '.join(hosts)}\n",
            "resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",  # nobody listens there
            "passwd": f"root:x:0:0::/root:/bin/sh\nperson:x:{ids}::{home}:/bin/bash\n",
        }
        sources: dict[str | Path, Path] = {"/tmp": home / "tmp"}
        for name, content in files.items():
            sources[f"/etc/{name}"] = home / name
            (home / name).write_text(content)
            (home / name).chmod(0o644)
        if NODE is not None:
            (_directories(runner, ".local/bin") / "node").symlink_to(NODE)
        for target, source in mounts.items():
            sources[_directories(runner, target)] = source
        for secret in (Path(".ssh/id"), Path(login)):
            file = _directories(runner, str(secret.parent)) / secret.name
            file.write_text(f"{LOGIN}\n")
            runner.give(file)
        with upstream(handler, authority.server_context(*hosts), (PRIVATE_ADDRESS, 443)) as provider:
            yield AgentStage(runner, provider, private_mounts.stage(sources), login)


def _directories(runner: NonoRun, path: str) -> Path:
    """Create a directory below the home, and its parents, as the person."""
    made = runner.user.home
    for part in Path(path).parts:
        made = made / part
        made.mkdir(exist_ok=True)
        runner.give(made)
    return made
