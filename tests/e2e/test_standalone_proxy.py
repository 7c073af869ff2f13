"""`nono proxy`: the same proxy as that of a run, for programs that a person starts."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from nono.proxy.tls.session_ca import SessionCa
from nono.supervisor import abort
from support.clients.run import Stage, service, stage
from support.nono_run import NONO, AuditEvent
from support.ordinary_user import become
from support.outward.collector import collector
from support.proxy.thread import Client, wait_until
from support.running import fork_server
from support.servers.connect_proxy import connect_proxy
from support.servers.http1 import Received, upstream
from support.servers.webhook import saying, webhook_server

TIMEOUT_S = 30.0
REAL_KEY = "sk-canary-of-alpha"


@pytest.fixture(scope="module")
def made() -> Iterator[Stage]:
    with stage() as made:
        yield made


@dataclass
class Standalone:
    """A running `nono proxy`. lines is what it printed when it was ready."""

    process: subprocess.Popen[str]
    lines: list[str]

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.lines[0].removeprefix("nono proxy listening on ").rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def port(self) -> int:
        return self.address[1]

    @property
    def file(self) -> Path:
        return Path(next(line for line in self.lines if line.startswith("  . ")).split()[1])

    def variables(self) -> dict[str, str]:
        script = f". {self.file}; env"
        shown = subprocess.run(["env", "-i", "sh", "-c", script], capture_output=True, text=True, check=True)
        return dict(line.split("=", 1) for line in shown.stdout.splitlines())

    def end(self) -> str:
        """End it by its signal. Returns what it had written to stderr."""
        self.process.terminate()
        said = self.process.communicate(timeout=TIMEOUT_S)[1]
        assert self.process.returncode == 0, said
        return said

    def token(self) -> str:
        return self.variables()["NONO_PROXY_TOKEN"]


def argv_of(made: Stage, flags: Sequence[str], profile: Mapping[str, object] | None) -> list[str]:
    words = [*NONO, "proxy", *flags]
    if profile is not None:
        file = made.runner.user.home / "profile.json"
        file.write_text(json.dumps(profile))
        words.append(f"--profile={file}")
    return made.runner.user.command(words)


@contextmanager
def running(
    made: Stage,
    *flags: str,
    network: Mapping[str, object] | None = None,
    security: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Standalone]:
    """Yield a proxy, ended with the block unless a test did it before."""
    profile = None if network is None else {"network": network, "security": security or {}}
    process = fork_server.start(
        argv_of(made, flags, profile),
        env=made.runner.user.environment(environment),
        cwd=made.project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            lines: list[str] = []
            while "Press Ctrl-C to stop." not in lines:
                line = process.stdout.readline()
                assert line, process.communicate()[1]
                lines.append(line.rstrip("\n"))
            standalone = Standalone(process, lines)
            yield standalone
            if process.returncode is None:
                standalone.end()
        finally:
            process.kill()


def refused_start(made: Stage, *flags: str, **environment: str) -> str:
    """Return the message when it did not start; nothing is on stdout."""
    ended = fork_server.run(
        argv_of(made, flags, None),
        env=made.runner.user.environment(environment),
        cwd=made.project,
        timeout=TIMEOUT_S,
    )
    assert ended.returncode != 0
    assert ended.stdout == ""
    return ended.stderr


def basic(password: str) -> bytes:
    return b"Proxy-Authorization: Basic " + base64.b64encode(f"nono:{password}".encode()) + b"\r\n"


def connect(port: int, authorization: bytes = b"") -> bytes:
    target = b"localhost:%d" % port
    return b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (target, target, authorization)


def absolute(port: int, authorization: bytes = b"") -> bytes:
    target = b"localhost:%d" % port
    return b"GET http://%b/ HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (target, target, authorization)


def status_of(standalone: Standalone, request: bytes) -> int:
    with Client(standalone.port) as client:
        client.send(request)
        return client.head()[0]


def events_after(made: Stage, before: set[Path]) -> list[AuditEvent]:
    return [event["event"] for event in made.runner.events_since(before) if event["type"] == "network"]


def test_a_silent_proxy_still_says_where_it_listens(made: Stage) -> None:
    """Its port and token are what was asked for, as --json is elsewhere."""
    with running(made, "--silent", network={"allow_domain": ["x.test"]}) as silent:
        host, port = silent.address
        assert (host, port > 0, "NONO_PROXY_TOKEN" in silent.variables()) == ("127.0.0.1", True, True)
        assert silent.end() == ""


def test_beside_the_name_of_its_file_it_says_nothing_longer(made: Stage) -> None:
    with running(made, "--allow-domain", "a.test") as proxy:
        assert f"  . {proxy.file}" in proxy.lines
        assert all(len(line) <= 80 for line in proxy.lines if str(proxy.file) not in line)


def test_its_memory_is_closed_to_other_programs_of_the_user(made: Stage) -> None:
    with running(made, "--allow-domain", "a.test") as proxy:
        # proc_pid_environ(5): the files of a process that is not dumpable belong to root.
        owner = Path(f"/proc/{proxy.process.pid}/environ").stat().st_uid
        limits = Path(f"/proc/{proxy.process.pid}/limits").read_text()
        other = Path(f"/proc/{os.getpid()}/environ").stat().st_uid
    line = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert (owner, line.split()[4:6], other) == (0, ["0", "0"], os.getuid())


# -- who may use it


def test_the_password_is_asked_for_on_every_path_that_leads_out(made: Stage) -> None:
    with upstream() as server, running(made, "--allow-domain", f"localhost:{server.port}") as ours:
        token = basic(ours.token())
        assert status_of(ours, connect(server.port)) == 407
        assert status_of(ours, absolute(server.port)) == 407
        assert status_of(ours, absolute(server.port, basic("wrong"))) == 407
        assert status_of(ours, connect(server.port, token)) == 200
        assert status_of(ours, absolute(server.port, token)) == 200


def test_without_a_password_both_paths_are_held_by_the_filter_alone(made: Stage) -> None:
    with upstream() as server, running(made, "--no-auth", f"--allow-domain=localhost:{server.port}") as ours:
        assert status_of(ours, connect(server.port)) == 200
        assert status_of(ours, absolute(server.port)) == 200
        assert status_of(ours, connect(1)) == 403
        assert status_of(ours, absolute(1)) == 403
        assert f"proxy URL: http://127.0.0.1:{ours.port}" in ours.lines
        assert "NONO_PROXY_TOKEN" not in ours.variables()
        assert "every program on this machine may use this proxy" in ours.end()


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.7", "2001:db8::7"])
def test_it_is_open_to_nobody_but_this_machine(made: Stage, address: str) -> None:
    assert "--no-auth is for loopback only" in refused_start(made, "--no-auth", "--listen", address)


def test_a_password_of_ones_own_is_the_password(made: Stage) -> None:
    own = {"NONO_PROXY_PASS": "my p@ss:word"}
    with (
        upstream() as server,
        running(made, f"--allow-domain=localhost:{server.port}", environment=own) as ours,
    ):
        assert status_of(ours, absolute(server.port, basic("my p@ss:word"))) == 200
        assert status_of(ours, absolute(server.port, basic("my p@ss"))) == 407
        assert "my%20p%40ss%3Aword@" in ours.variables()["HTTPS_PROXY"]


@pytest.mark.parametrize(
    ("flags", "environment", "said"),
    [
        pytest.param((), {"NONO_PROXY_PASS": ""}, "NONO_PROXY_PASS: its value is empty", id="empty variable"),
        pytest.param(("--pass", ""), {}, "--pass: its value is empty", id="empty flag"),
        pytest.param(("--pass", "a\nb"), {}, "control characters", id="two lines"),
        pytest.param(("--pass", "x", "--no-auth"), {}, "contradictory", id="both"),
        pytest.param(("--listen", "example.com"), {}, "an IP address is expected", id="a name"),
        pytest.param(("--port", "65536"), {}, "--port '65536'", id="no port"),
        pytest.param(("--port", "+1"), {}, "--port '+1'", id="a sign"),
        pytest.param(("--max-connections", "many"), {}, "--max-connections 'many'", id="no number"),
        pytest.param((), {"NONO_PROXY_MAX_CONNECTIONS": "-1"}, "--max-connections '-1'", id="negative"),
        pytest.param(("--drain", "1.5"), {}, "--drain '1.5'", id="no whole seconds"),
        pytest.param((), {"NONO_PROXY_DRAIN": "3601"}, "--drain '3601'", id="more than an hour"),
        pytest.param(("--upstream-bypass", "a.b"), {}, "needs an upstream proxy", id="bypass"),
        pytest.param(("--allow-endpoint", "a:GET:/"), {}, "needs a credential service", id="endpoint"),
        pytest.param(("--extends", "x"), {}, "--extends needs --profile.", id="extends without profile"),
        pytest.param(("--proxy-ca-cert", "x"), {}, "must be given together", id="half a CA"),
        pytest.param(("words",), {}, "nono proxy runs no command", id="a command"),
    ],
)
def test_what_makes_no_sense_is_refused_at_the_start(
    made: Stage, flags: Sequence[str], environment: Mapping[str, str], said: str
) -> None:
    assert said in refused_start(made, *flags, **environment)


def test_a_port_that_is_taken_is_named(made: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"Proxy bind failed on 127.0.0.1:{port}" in refused_start(made, "--port", str(port))


# -- what it prints


def test_the_password_is_not_printed_where_stdout_may_be_a_log(made: Stage) -> None:
    with running(made) as ours:
        token = ours.token()
        assert token not in "\n".join(ours.lines)
        assert stat.S_IMODE(ours.file.stat().st_mode) == 0o600
        assert ours.file.stat().st_uid == made.runner.user.uid
        assert f"token: in {ours.file}" in ours.lines
    assert not ours.file.exists()


def test_it_is_printed_where_that_is_asked_for(made: Stage) -> None:
    with running(made, "--print-token") as ours:
        url = f"http://nono:{ours.token()}@127.0.0.1:{ours.port}"
        expected = [f"proxy URL: {url}", f"token: {ours.token()}", f"  export HTTPS_PROXY={url}"]
        assert [line for line in expected if line in ours.lines] == expected


def test_it_says_loudly_that_it_lets_everything_through(made: Stage) -> None:
    for flags, warns in (((), True), (("--allow-domain", "example.com"), False)):
        with running(made, *flags) as ours:
            assert ("no allow list" in ours.end()) is warns


@pytest.mark.parametrize("mode", [0o666, 0o644], ids="{:o}".format)
def test_a_profile_that_others_could_change_is_told_although_it_is_silent(made: Stage, mode: int) -> None:
    file = made.runner.user.home / "shared.json"
    file.write_text("{}")
    file.chmod(mode)
    no_address_of_ours = "--listen=192.0.2.1"
    said = refused_start(made, "--silent", no_address_of_ours, f"--profile={file}")
    assert ("somebody else could change the profile" in said) is (mode == 0o666)


# -- credentials


def test_its_audit_log_is_sent_to_a_collector_meanwhile(made: Stage) -> None:
    before = set(made.runner.logs())
    with collector() as sink, upstream() as server:
        with running(made, "--no-auth", "--audit-otlp", sink.url, "--allow-domain", "localhost") as ours:
            assert status_of(ours, connect(server.port)) == 200
            sink.wait(lambda: any(each["event_name"] == "nono.audit.network" for each in sink.records))
            ours.end()
        (log,) = set(made.runner.logs()) - before
        assert sink.numbers(log.parent.name) == [*range(len(log.read_text().splitlines()))]


def alpha(made: Stage, port: int, **more: object) -> dict[str, object]:
    """Return a network section with one service."""
    entry = {**service(port, "REAL", made.authority, env_var="ALPHA_KEY"), **more}
    return {"credentials": ["alpha"], "custom_credentials": {"alpha": entry}}


def reverse(phantom: str, *fields: str) -> bytes:
    lines = ["GET /alpha/x HTTP/1.1", *(fields or ("Host: 127.0.0.1",)), f"Authorization: Bearer {phantom}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


@pytest.mark.parametrize("flags", [(), ("--no-auth",)], ids=["password", "no password"])
def test_a_key_is_for_who_holds_the_phantom(made: Stage, flags: Sequence[str]) -> None:
    with (
        upstream(tls=made.authority.server_context("localhost")) as server,
        running(made, *flags, network=alpha(made, server.port), environment={"REAL": REAL_KEY}) as ours,
    ):
        phantom = ours.variables()["ALPHA_KEY"]
        assert status_of(ours, reverse(phantom)) == 200
        assert status_of(ours, reverse("sk-guessed")) == 401
        assert status_of(ours, b"GET /alpha/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") == 401
        assert [request.value(b"authorization") for request in server.requests] == [
            f"Bearer {REAL_KEY}".encode()
        ]
        assert REAL_KEY not in ours.file.read_text() + "\n".join(ours.lines)


@pytest.mark.parametrize(("word", "status"), [("grant", 200), ("deny", 403)])
def test_somebody_is_asked_about_what_needs_approval(made: Stage, word: str, status: int) -> None:
    policy = {"approve": [{"method": "GET", "path": "/x"}]}
    with (
        upstream(tls=made.authority.server_context("localhost")) as server,
        webhook_server(saying(word), made.project) as webhook,
        running(
            made,
            network=alpha(made, server.port, endpoint_policy=policy),
            security={"approval_backends": {"phone": {"type": "webhook", "url": webhook.url}}},
            environment={"REAL": REAL_KEY, "SSL_CERT_FILE": str(webhook.ca_file)},
        ) as ours,
    ):
        assert status_of(ours, reverse(ours.variables()["ALPHA_KEY"])) == status
    assert [question["request"]["path"] for question in webhook.asked] == ["/alpha/x"]
    assert len(server.requests) == (1 if word == "grant" else 0)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        pytest.param(("Host: 127.0.0.1",), 200, id="a program"),
        pytest.param(("Host: localhost:1",), 200, id="by name"),
        pytest.param(("Host: evil.example",), 403, id="DNS rebinding"),
        pytest.param(("Host: 127.0.0.1.nip.io",), 403, id="a name that looks like an address"),
        pytest.param(("Host: 127.0.0.1", "Origin: https://evil.example"), 403, id="a web page"),
        pytest.param(("Host: 127.0.0.1", "Origin: null"), 403, id="a page without an origin"),
        pytest.param(("Host: 127.0.0.1", "Sec-Fetch-Site: cross-site"), 403, id="an image of a page"),
        pytest.param(("Host: 127.0.0.1", "Sec-Fetch-Site: none"), 200, id="typed by a person"),
    ],
)
def test_no_web_page_reaches_a_route(made: Stage, fields: Sequence[str], status: int) -> None:
    """Not even one that came to know the phantom."""
    with (
        upstream(tls=made.authority.server_context("localhost")) as server,
        running(made, network=alpha(made, server.port), environment={"REAL": REAL_KEY}) as ours,
    ):
        assert status_of(ours, reverse(ours.variables()["ALPHA_KEY"], *fields)) == status
        assert len(server.requests) == (1 if status == 200 else 0)


def curl(ours: Standalone, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run curl with the variables of the proxy and nothing else."""
    environment = {"PATH": os.defpath, **ours.variables(), "NO_PROXY": "", "no_proxy": ""}
    words = ["curl", "-sS", *arguments]
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_client_that_takes_its_variables_is_intercepted(made: Stage) -> None:
    network = {
        **alpha(made, 0),
        "tls_intercept": {"ca_env_vars": ["MY_OWN_CA"], "ca_validity": "1h", "leaf_validity": "10m"},
    }
    with upstream(tls=made.authority.server_context("localhost")) as server:
        network |= alpha(made, server.port)
        with running(made, network=network, environment={"REAL": REAL_KEY}) as ours:
            variables = ours.variables()
            assert variables["MY_OWN_CA"] == variables["SSL_CERT_FILE"]
            assert f"trust bundle: {variables['SSL_CERT_FILE']}" in ours.lines
            key = f"Authorization: Bearer {variables['ALPHA_KEY']}"
            ended = curl(ours, "-H", key, f"https://localhost:{server.port}/x")
            assert (ended.returncode, ended.stdout) == (0, "ok"), ended.stderr
            assert server.requests[0].value(b"authorization") == f"Bearer {REAL_KEY}".encode()
            ended = curl(
                ours, "--proxy", "", "--cacert", made.authority.ca_file, f"https://localhost:{server.port}/"
            )
            assert ended.stdout == "ok"
            assert server.requests[1].value(b"authorization") is None


def own_ca(made: Stage) -> tuple[Path, Path]:
    """Return a root and its key, as a person would keep them."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "A root of my own")])
    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    root = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, key_file = made.runner.user.home / "root.pem", made.runner.user.home / "root.key"
    certificate.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    for file in (certificate, key_file):
        made.runner.give(file)
    return certificate, key_file


def test_a_ca_of_ones_own_signs_what_clients_see(made: Stage) -> None:
    certificate, key = own_ca(made)
    with (
        upstream(tls=made.authority.server_context("localhost")) as server,
        running(
            made,
            f"--proxy-ca-cert={certificate}",
            f"--proxy-ca-key={key}",
            network=alpha(made, server.port),
            environment={"REAL": REAL_KEY},
        ) as ours,
    ):
        phantom = f"Authorization: Bearer {ours.variables()['ALPHA_KEY']}"
        url = f"https://localhost:{server.port}/x"
        ended = curl(ours, "--cacert", str(certificate), "-H", phantom, url)
        assert (ended.returncode, ended.stdout) == (0, "ok"), ended.stderr
        assert curl(ours, "--cacert", made.authority.ca_file, "-H", phantom, url).returncode == 60


def test_a_ca_that_does_not_fit_never_gives_way_to_another(made: Stage) -> None:
    certificate, key = own_ca(made)
    other = made.runner.user.home / "other.pem"
    other.write_bytes(SessionCa.create().certificate_pem)
    made.runner.give(other)
    pair = (f"--proxy-ca-cert={other}", f"--proxy-ca-key={key}")
    assert "do not belong together" in refused_start(made, *pair)
    pair = (f"--proxy-ca-cert={certificate}", "--proxy-ca-key=/nowhere/key.pem")
    assert "'/nowhere/key.pem' cannot be read: No such file" in refused_start(made, *pair)
    pair = (f"--proxy-ca-cert={certificate}", f"--proxy-ca-key={key}")
    assert "--proxy-ca-validity is for a CA that nono makes" in refused_start(
        made, *pair, "--proxy-ca-validity=3"
    )
    os.mkfifo(made.project / "pipe")
    pair = (f"--proxy-ca-cert={certificate}", f"--proxy-ca-key={made.project / 'pipe'}")
    assert "--proxy-ca-key" in refused_start(made, *pair)


# -- the same builder as that of a run


def test_a_strict_profile_is_strict_here_too(made: Stage) -> None:
    with running(made, "--no-auth", network={"block": True, "deny_domain": ["x.example"]}) as ours:
        assert status_of(ours, connect(1)) == 403


def test_a_profile_that_blocks_the_network_has_nothing_to_serve(made: Stage) -> None:
    file = made.runner.user.home / "blocked.json"
    file.write_text(json.dumps({"network": {"block": True}}))
    assert "blocks the network" in refused_start(made, f"--profile={file}")


def test_no_proxy_and_the_upstream_proxy_of_a_profile_hold(made: Stage) -> None:
    with (
        upstream() as server,
        connect_proxy({f"far.test:{server.port}": server.port}) as behind,
        running(
            made,
            "--no-auth",
            network={"no_proxy": ["*.corp.example"], "upstream_proxy": f"127.0.0.1:{behind.port}"},
        ) as ours,
    ):
        assert ours.variables()["NO_PROXY"] == "localhost,127.0.0.1,::1,.corp.example"
        assert ours.variables()["NONO_NO_PROXY"] == "localhost,127.0.0.1,::1,*.corp.example"
        far = b"far.test:%d" % server.port
        assert status_of(ours, b"GET http://%b/ HTTP/1.1\r\nHost: %b\r\n\r\n" % (far, far)) == 200
        assert behind.targets == [far.decode()]


def test_it_is_recorded_like_a_run(made: Stage) -> None:
    before = set(made.runner.logs())
    with upstream() as server, running(made, f"--allow-domain=localhost:{server.port}") as ours:
        status_of(ours, absolute(server.port, basic(ours.token())))
        status_of(ours, absolute(1, basic(ours.token())))
        token = ours.token()
    events = events_after(made, before)
    assert [(event["decision"], event["port"]) for event in events] == [("allow", server.port), ("deny", 1)]
    assert token not in json.dumps(events)
    assert made.runner.events_since(before)[-1]["type"] == "session_ended"


def test_the_limit_of_connections_is_the_one_that_was_given(made: Stage) -> None:
    with (
        upstream() as server,
        running(made, "--max-connections=1", f"--allow-domain=localhost:{server.port}", "--no-auth") as ours,
        Client(ours.port) as first,
    ):
        first.send(absolute(server.port))
        assert first.response().status == 200
        assert status_of(ours, absolute(server.port)) == 503


IDLE = """
import socket, sys
held = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(256)]
print("there", flush=True)
sys.stdin.read()
"""


@pytest.mark.root
def test_another_user_cannot_shut_it(made: Stage) -> None:
    other = [*become(62001), sys.executable, "-I", "-S", "-c", IDLE]
    curl = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} "]
    with (
        upstream() as server,
        running(made, "--no-auth", f"--allow-domain=localhost:{server.port}") as ours,
        subprocess.Popen(
            [*other, str(ours.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as stranger,
    ):
        assert stranger.stdout is not None
        assert stranger.stdin is not None
        assert stranger.stdout.readline() == "there\n"
        asked = [*curl, "-x", f"http://127.0.0.1:{ours.port}", *[f"http://localhost:{server.port}/"] * 10]
        by_user = made.runner.user.command(asked)
        environment = made.runner.user.environment()
        for command in (by_user, asked):  # the owner's own programs, and root's
            ended = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
            assert ended.stdout.count("200 ") == 10, ended.stderr
        stranger.stdin.close()


@pytest.mark.root
@pytest.mark.parametrize(("listen", "status"), [("127.0.0.1", "403"), ("0.0.0.0", "200")])
def test_another_user_is_refused_although_it_has_the_password(made: Stage, listen: str, status: str) -> None:
    own = {"NONO_PROXY_PASS": "known"}
    flags = (f"--listen={listen}",)
    with (
        upstream() as server,
        running(made, f"--allow-domain=localhost:{server.port}", *flags, environment=own) as ours,
    ):
        curl = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"http://localhost:{server.port}/"]
        proxied = [*become(62001), *curl, "-x", f"http://nono:known@127.0.0.1:{ours.port}"]
        ended = subprocess.run(proxied, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        assert ended.stdout == status, ended.stderr
        assert len(server.requests) == (status == "200")


def test_a_password_in_the_arguments_is_warned_about(made: Stage) -> None:
    shown = "NONO_PROXY_PASS keeps it from them"
    with running(made, "--pass=secret") as ours:
        ours.process.terminate()
        assert shown in ours.process.communicate(timeout=TIMEOUT_S)[1]
    with running(made, environment={"NONO_PROXY_PASS": "secret"}) as ours:
        ours.process.terminate()
        assert shown not in ours.process.communicate(timeout=TIMEOUT_S)[1]


def test_where_libuv_gives_up_it_ends_in_order(made: Stage) -> None:
    before = {*made.runner.logs()}
    sessions = made.runner.user.home / ".local/state/nono/sessions"
    with running(made) as ours:
        assert ours.file.exists()
        ours.process.send_signal(signal.SIGABRT)  # what abort(3) sends
        assert abort.REASON_OF_A_PROXY in ours.process.communicate(timeout=TIMEOUT_S)[1]
        assert ours.process.returncode == abort.EXIT_CODE
    assert [*sessions.iterdir()] == []
    assert made.runner.events_since(before)[-1]["type"] == "session_ended"


def test_a_signal_ends_it_soon_whatever_is_under_way(made: Stage) -> None:
    over = threading.Event()

    def never(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nbeg")
        over.wait(TIMEOUT_S)

    with (
        upstream(never) as server,
        running(made, "--no-auth", f"--allow-domain=localhost:{server.port}") as ours,
        Client(ours.port) as client,
    ):
        client.send(absolute(server.port))
        assert client.head()[0] == 200
        began = time.monotonic()
        ours.process.terminate()
        assert ours.process.wait(TIMEOUT_S) == 0
        assert time.monotonic() - began < 10  # a second of grace, on a machine that may stand still
        over.set()


def test_another_address_of_this_machine_is_listened_on(made: Stage) -> None:
    with running(made, "--listen=127.0.0.2") as ours:
        assert ours.address[0] == "127.0.0.2"
        assert f"@127.0.0.2:{ours.port}" in ours.variables()["HTTP_PROXY"]


# -- its end


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_response_under_way_ends_before_it_does(made: Stage, number: signal.Signals) -> None:
    arrived, goes_on = threading.Event(), threading.Event()

    def slow(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nbeg")
        arrived.set()
        goes_on.wait(TIMEOUT_S)
        request.connection.send(b"end")

    with (
        upstream(slow) as server,
        running(made, "--no-auth", f"--allow-domain=localhost:{server.port}") as ours,
        Client(ours.port) as client,
    ):
        client.send(absolute(server.port))
        assert client.head()[0] == 200
        assert arrived.wait(TIMEOUT_S)
        ours.process.send_signal(number)
        # Its file goes first, so this is when the signal has been heard.
        wait_until(lambda: not ours.file.exists())
        goes_on.set()
        assert client.read_exactly(6) == b"begend"
        assert ours.process.wait(TIMEOUT_S) == 0


@pytest.mark.parametrize(
    ("flags", "environment", "read"),
    [
        ((), {"NONO_PROXY_DRAIN": "600"}, b"begend"),
        (("--drain=600",), {}, b"begend"),
        (("--drain=0",), {"NONO_PROXY_DRAIN": "600"}, b"beg"),
    ],
)
def test_a_response_may_take_the_time_that_was_given(
    made: Stage, flags: Sequence[str], environment: Mapping[str, str], read: bytes
) -> None:
    """The upstream goes on 2 s after the signal, twice the usual time."""
    begun, over = threading.Event(), threading.Event()

    def slow(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nbeg")
        assert begun.wait(TIMEOUT_S)
        over.wait(2)
        with suppress(OSError):
            request.connection.send(b"end")

    flags = ("--no-auth", *flags)
    with (
        upstream(slow) as server,
        running(made, *flags, f"--allow-domain=localhost:{server.port}", environment=environment) as ours,
        Client(ours.port) as client,
    ):
        client.send(absolute(server.port))
        assert client.head()[0] == 200
        ours.process.terminate()
        wait_until(lambda: not ours.file.exists())
        begun.set()
        assert client.rest() == read
        assert ours.process.wait(TIMEOUT_S) == 0


def test_a_second_signal_waits_for_nobody(made: Stage) -> None:
    over = threading.Event()

    def never(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nbeg")
        over.wait(TIMEOUT_S)

    with (
        upstream(never) as server,
        running(made, "--no-auth", f"--allow-domain=localhost:{server.port}") as ours,
        Client(ours.port) as client,
    ):
        client.send(absolute(server.port))
        assert client.head()[0] == 200
        ours.process.terminate()
        wait_until(lambda: not ours.file.exists())
        ours.process.terminate()
        assert ours.process.wait(TIMEOUT_S) == -signal.SIGTERM
        over.set()
