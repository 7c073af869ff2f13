"""Run each client in a `nono run` of its own, against a server on loopback."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from nono import paths
from nono.cli.doctor.client_table import Client
from nono.cli.doctor.clients import Tried, judge
from nono.cli.doctor.finding import Finding
from nono.cli.doctor.server import Server, serving
from nono.errors import NonoError, in_words

_DOMAIN = "doctor.nono.invalid"  # reserved so that it never resolves (RFC 6761)
_LIMIT_S = 60.0
_GRACE_S = 10.0


def try_clients(
    clients: Iterable[Client], environ: Mapping[str, str]
) -> Iterator[tuple[str, Finding | None]]:
    """Yield the finding of each client by name; None if it is not installed.

    Everything created for this is removed when the iterator ends. Raises NonoError if nothing can be tried.
    """
    # Not in /tmp, where commands without namespaces may write: nono would not trust a CA there.
    cache = Path(paths.xdg(environ, "XDG_CACHE_HOME", ".cache"), "nono")
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = tempfile.TemporaryDirectory(prefix="doctor-", dir=cache, ignore_cleanup_errors=True)
        with made as name, serving() as server:
            (Path(name) / "ca.pem").write_bytes(server.ca_pem)
            for number, client in enumerate(clients):
                if not all(shutil.which(program, path=environ.get("PATH")) for program in client.programs):
                    yield client.name, None
                    continue
                yield client.name, judge(client, _tried(client, number, Path(name), server, environ))
    except OSError as error:
        raise NonoError(f"the clients cannot be tried: {in_words(error)}") from error


def _tried(client: Client, number: int, base: Path, server: Server, environ: Mapping[str, str]) -> Tried:
    place, work, host = base / f"{number}", base / f"{number}/work", f"c{number}.{_DOMAIN}"
    work.mkdir(parents=True)
    for name, text in client.files.items():
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).write_text(text, encoding="utf-8")
    reads = {flag for each in client.programs for flag in _environment_of(each, environ)}
    argv = _argv(client, host, work, server.port, sorted(reads))
    status, said = _ended(argv, work, _environment(environ, place, base / "ca.pem"))
    hosts = (host, f"ssh.{host}")
    events = [event for event in _events(place / "state") if event.get("target") in hosts]
    denied = [event for event in events if event.get("decision") == "deny"]
    reasons = tuple(str(event.get("reason")) for event in denied)
    return Tried(
        status,
        said,
        tuple(request for each in hosts for request in server.asked(each)),
        reached_proxy=bool(events),
        denied=reasons,
        distrusts=any(event.get("denial_category") == "intercept_handshake_failed" for event in denied),
    )


def _environment_of(program: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the grant of the virtual environment that a program belongs to, if any.

    Nothing named by a file in it is granted, nor a home directory that somebody made look like an
    environment.
    """
    prefix = Path(shutil.which(program, path=environ.get("PATH")) or "/").parent.parent
    if not Path(paths.home(environ)).is_relative_to(prefix) and (prefix / "pyvenv.cfg").is_file():
        yield f"--read={prefix}"


def _argv(client: Client, host: str, work: Path, port: int, grants: Sequence[str]) -> list[str]:
    # -P: nothing is imported from the directory in which it starts.
    return [
        *(sys.executable, "-P", "-m", "nono", "run", "--silent", "--no-diagnostics"),
        *("--profile", client.profile, "--allow", str(work), *grants),
        *("--allow-domain", f"https://{host}/**", "--allow-domain", f"ssh.{host}"),
        *("--upstream-proxy", f"127.0.0.1:{port}"),
        *("--", "env", f"URL=https://{host}", f"HOST={host}", "sh", "-c", client.script),
    ]


def _environment(environ: Mapping[str, str], place: Path, ca: Path) -> dict[str, str]:
    """Return the person's environment, with the server's CA and places for what nono writes."""
    kept = {name: value for name, value in environ.items() if not name.startswith("NONO_")}
    own = {"XDG_STATE_HOME": str(place / "state"), "XDG_CACHE_HOME": str(place / "cache")}
    return kept | own | {"SSL_CERT_FILE": str(ca)}


def _ended(argv: list[str], cwd: Path, environment: dict[str, str]) -> tuple[int | None, str]:
    """Run a command to its end. Returns its stderr and its status, which is None if it took too long."""
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            _, said = process.communicate(timeout=_LIMIT_S)
            return process.returncode, said.decode(errors="replace")
        except subprocess.TimeoutExpired:
            return None, _stopped(process)
        except BaseException:  # Ctrl-C: the run must not continue in a directory that is about to be removed
            _stopped(process)
            raise


def _stopped(process: subprocess.Popen[bytes]) -> str:
    """End a run, and return what it printed on stderr."""
    process.terminate()  # nono ends the command too
    try:
        _, said = process.communicate(timeout=_GRACE_S)
        return said.decode(errors="replace")
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return ""


def _events(state: Path) -> Iterator[dict[str, object]]:
    """Yield what nono recorded about the network."""
    for log in sorted((state / "nono/audit").glob("*/audit-events.ndjson")):
        for line in log.read_text(encoding="utf-8").splitlines():
            event = json.loads(json.loads(line)["event_json"])
            if event["type"] == "network":
                yield event["event"]
