"""A command that starts before what serves it is imported is judged, answered and ended like any other."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import trustme

from support.nono_run import NONO, SANDBOX_POLICIES, TIMEOUT_S, AuditEvent, NonoRun
from support.ports import unused_port
from support.servers.http1 import upstream
from support.sessions.records import leftovers

pytestmark = pytest.mark.any_user

# nono, with something that happens when it imports the first module that only a served command needs.
PROGRAM = """
import sys
from importlib.machinery import PathFinder
hook = sys.argv.pop(1)
class Hook:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "nono.launch.supervised":
            return None
        spec = PathFinder.find_spec(name, path)
        load = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (exec(hook), load(module))
        return spec
sys.meta_path.insert(0, Hook)
from nono.__main__ import main
main()
"""
NOTHING: Mapping[str, str] = {}
LEAVE_A_MARK = "import os; os.close(os.open({!r}, os.O_CREAT))"
WAIT = "import os; os.read(os.open({!r}, os.O_RDONLY), 1)"
FAIL = "raise ImportError('the file is gone')"
POLICIES = pytest.mark.parametrize("policy", SANDBOX_POLICIES)
# Its first system calls beyond the interpreter's are those of the connection.
ATTEMPTS = 20
AT_ONCE = """
import _socket, os, sys
made = _socket.socket()
made.connect(("127.0.0.1", int(os.environ["HTTP_PROXY"].rpartition(":")[2])))
token = os.environ["NONO_PROXY_TOKEN"]
import base64
login = base64.b64encode(f"nono:{token}".encode()).decode()
head = f"GET http://{sys.argv[1]}/ HTTP/1.1\\r\\nHost: {sys.argv[1]}\\r\\nProxy-Authorization: Basic {login}"
made.send(f"{head}\\r\\n\\r\\n".encode())
print(made.recv(99).split()[1].decode())
"""


def hooked(sandbox: NonoRun, hook: str, command: Sequence[str], **options: object) -> list[str]:
    argv = sandbox.argv(command, **options)  # type: ignore[arg-type]  # handed on
    index = argv.index("-m", argv.index(NONO[0]))
    return [*argv[:index], "-c", PROGRAM, hook, *argv[index + 2 :]]


def ended(
    sandbox: NonoRun, argv: Sequence[str], environment: Mapping[str, str] = NOTHING
) -> tuple[int, str, str, tuple[AuditEvent, ...]]:
    before = set(sandbox.logs())
    with sandbox.begun(argv, environment) as process:
        out, err = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, out, err, sandbox.events_since(before)


@pytest.fixture
def fifo(sandbox: NonoRun) -> Iterator[Path]:
    path = sandbox.project / "fifo"
    os.mkfifo(path)
    sandbox.give(path)
    yield path
    path.unlink()


@pytest.fixture
def mark(sandbox: NonoRun) -> Iterator[Path]:
    path = sandbox.project / "mark"
    yield path
    path.unlink(missing_ok=True)


@POLICIES
def test_a_command_starts_before_what_serves_it_is_imported(
    policy: str, sandbox: NonoRun, fifo: Path
) -> None:
    """Else this import would wait for the command, which would wait for it."""
    with upstream() as server:
        host = f"localhost:{server.port}"
        command = [sys.executable, "-I", "-S", "-c", f"open({str(fifo)!r}, 'w').write('x')\n{AT_ONCE}", host]
        argv = hooked(
            sandbox,
            WAIT.format(str(fifo)),
            command,
            profile={"network": {"allow_domain": [host]}},
            flags=[f"--sandbox-policy={policy}"],
        )
        code, out, err, _ = ended(sandbox, argv)
    assert (code, out) == (0, "200\n"), err


@POLICIES
def test_what_a_command_asks_for_at_once_is_refused_like_any_other(policy: str, sandbox: NonoRun) -> None:
    with upstream() as server:
        host = f"localhost:{server.port}"
        for target, status in ((host, "200"), ("127.0.0.2:9", "403")):
            run = sandbox.run(
                [sys.executable, "-I", "-S", "-c", AT_ONCE, target],
                profile={"network": {"allow_domain": [host]}},
                flags=[f"--sandbox-policy={policy}"],
            )
            assert run.stdout == f"{status}\n", run.stderr
            assert [event["target"] for event in run.denied] == ([] if status == "200" else ["127.0.0.2"])
    assert len(server.requests) == 1


def test_what_serves_is_imported_for_a_command_that_stays(sandbox: NonoRun, mark: Path) -> None:
    stays = "while [ ! -e mark ]; do sleep 0.01; done; exit 7"
    code, _, err, events = ended(
        sandbox, hooked(sandbox, LEAVE_A_MARK.format(str(mark)), ["sh", "-c", stays])
    )
    assert (code, mark.exists()) == (7, True), err
    assert events[-1] == events[-1] | {"type": "session_ended", "exit_code": 7}
    assert leftovers(sandbox.user) == []


def test_what_serves_is_not_imported_for_a_command_that_ends_at_once(sandbox: NonoRun, mark: Path) -> None:
    """On a busy machine the command may take longer to begin than it is waited for."""
    for _ in range(ATTEMPTS):
        argv = hooked(sandbox, LEAVE_A_MARK.format(str(mark)), ["sh", "-c", "exit 7"])
        code, _, err, events = ended(sandbox, argv)
        assert code == 7, err
        assert events[-1] == events[-1] | {"type": "session_ended", "exit_code": 7}
        if not mark.exists():
            return
        mark.unlink()
    pytest.fail(f"imported in each of {ATTEMPTS} attempts")


def test_a_command_begins_before_what_serves_it_is_imported(sandbox: NonoRun, mark: Path) -> None:
    """On a busy machine the command may take longer to begin than the import."""
    for _ in range(ATTEMPTS):
        argv = hooked(sandbox, LEAVE_A_MARK.format(str(mark)), ["test", "-e", str(mark)])
        code, _, err, _ = ended(sandbox, argv)
        if code == 1:
            return
        assert code == 0, err
        mark.unlink()
    pytest.fail(f"imported first in each of {ATTEMPTS} attempts")


@pytest.mark.needs("listener")
@pytest.mark.parametrize(
    "flags",
    [
        pytest.param(["--explain"], id="watched"),
        pytest.param([f"--listen-port={unused_port()}", "--sandbox-policy=netns"], id="relayed"),
    ],
)
def test_what_a_command_must_not_outrun_is_imported_first(
    flags: list[str], sandbox: NonoRun, mark: Path
) -> None:
    hook = LEAVE_A_MARK.format(str(mark))
    code, _, err, _ = ended(sandbox, hooked(sandbox, hook, ["test", "-e", str(mark)], flags=flags))
    assert code == 0, err


def with_a_ca(sandbox: NonoRun, ca: Path) -> dict[str, object]:
    """Return a profile with a service whose upstream is known by the CA at this path."""
    (sandbox.user.home / "ca.pem").write_bytes(trustme.CA().cert_pem.bytes())
    sandbox.give(sandbox.user.home / "ca.pem")
    service = {
        "upstream": "https://a.test",
        "credential_key": "env://REAL_KEY",
        "env_var": "A_KEY",
        "tls_ca": str(ca),
    }
    return {"network": {"credentials": ["a"], "custom_credentials": {"a": service}}}


def test_a_command_starts_before_a_service_with_a_ca_of_its_own_is_served(
    sandbox: NonoRun, mark: Path
) -> None:
    profile = with_a_ca(sandbox, sandbox.user.home / "ca.pem")
    for _ in range(ATTEMPTS):
        argv = hooked(sandbox, LEAVE_A_MARK.format(str(mark)), ["test", "-e", str(mark)], profile=profile)
        code, _, err, _ = ended(sandbox, argv, {"REAL_KEY": "of-this-test"})
        if code == 1:
            return
        assert code == 0, err
        mark.unlink()
    pytest.fail(f"imported first in each of {ATTEMPTS} attempts")


def test_a_run_ends_in_order_if_what_serves_it_cannot_be_imported(sandbox: NonoRun) -> None:
    code, out, err, events = ended(sandbox, hooked(sandbox, FAIL, ["sleep", "60"]))
    assert (code, out) == (1, "")
    assert "nono cannot load what serves it: the file is gone" in err
    assert events[-1] == events[-1] | {"type": "session_ended", "exit_code": 1}
    assert leftovers(sandbox.user) == []


def test_a_signal_that_comes_during_the_import_reaches_the_command(sandbox: NonoRun, fifo: Path) -> None:
    command = ["sh", "-c", "trap 'echo told; exit 3' TERM; echo ready; while :; do sleep 0.05; done"]
    with sandbox.begun(hooked(sandbox, WAIT.format(str(fifo)), command)) as nono:
        assert nono.stdout is not None
        assert nono.stdout.readline() == "ready\n"
        with open(fifo, "w") as release:  # once the import waits
            nono.send_signal(signal.SIGTERM)
            release.write("x")
        assert nono.stdout.read() == "told\n"
        assert nono.wait(TIMEOUT_S) == 3
