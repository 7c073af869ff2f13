"""Clients that know of no proxy look names up and connect themselves, and reach the hosts that are granted.

The run sees a network, a resolv.conf and a DNS server of its own, which only root can set up.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support import private_mounts
from support.nono_run import NO_NAMESPACES, Ended, NonoRun
from support.private_network import PRIVATE_ADDRESS, can_be_made, private_network
from support.running.builds import Builds
from support.running.needs import has_datagrams
from support.servers.dns import Questions, dns_server
from support.servers.http1 import Authority, HttpUpstream, Received, upstream

pytestmark = [
    pytest.mark.needs("listener"),
    pytest.mark.root,
    pytest.mark.skipif(not can_be_made(), reason="a network of one's own, with a port 53, is root's to make"),
]

KEY, NAME = "canary-of-the-real-key", "api.granted.test"
HOSTS = (NAME, "other.test", "api.deep.granted.test")
LISTED = "listed.test"
HOSTS_FILE = f"127.0.0.1 localhost\n{PRIVATE_ADDRESS} {LISTED}\n"

# Takes no variable of the environment into account but the one that names whom to trust.
ASKS = """
import http.client, os, socket, ssl, sys
host, port, *fields = sys.argv[1:]
trust = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
kind = http.client.HTTPConnection if port == "80" else http.client.HTTPSConnection
client = kind(host, int(port), timeout=60, **({} if port == "80" else {"context": trust}))
try:
    client.request("GET", "/path", headers=dict(each.split(": ", 1) for each in fields))
    answer = client.getresponse()
    print(answer.status, answer.read().decode())
except OSError as error:
    print(type(error).__name__, error)
"""


BY_UDP, BY_TCP, NETNS = "by UDP", "by TCP", "on netns"
WAYS: dict[str, list[str]] = {BY_UDP: [], BY_TCP: [NO_NAMESPACES], NETNS: ["--sandbox-policy=netns"]}


@dataclass(frozen=True)
class Place:
    """A network with a name server, in which every host is one server of HTTPS."""

    sandbox: NonoRun
    server: HttpUpstream
    questions: Questions
    stage: list[str]
    ca_file: str
    way: str

    @property
    def has_udp(self) -> bool:
        return self.way != BY_TCP

    def run(self, command: list[str], network: dict[str, Any], **more: Any) -> Ended:
        environment = {"SSL_CERT_FILE": self.ca_file, **more.pop("environment", {})}
        flags = [f"--read-file={self.ca_file}", *WAYS[self.way]]
        return self.sandbox.run(
            command,
            profile={"network": network},
            flags=flags,
            stage=self.stage,
            environment=environment,
            **more,
        )

    def asks(self, host: str, port: int, network: dict[str, Any], *fields: str, **more: Any) -> Ended:
        return self.run(["/usr/bin/python3", "-c", ASKS, host, str(port), *fields], network, **more)


def answer(request: Received) -> None:
    request.read_body()
    request.connection.respond(200, b"reached")


def echo(listener: socket.socket) -> None:
    """Send each client back what it gets, until the listener is closed."""
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                while piece := connection.recv(4096):
                    connection.sendall(piece)


@pytest.fixture(params=[*WAYS])
def place(sandbox: NonoRun, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """Yield a place for a run with namespaces, for one without, which has no UDP, and for one on netns."""
    if request.param == BY_UDP and not has_datagrams(sandbox.user.uid):
        pytest.skip("no network of its own here")
    files = {"/etc/hosts": HOSTS_FILE, "/etc/resolv.conf": f"nameserver {PRIVATE_ADDRESS}\n"}
    sources: dict[str | Path, Path] = {}
    for target, content in files.items():
        sources[target] = tmp_path / Path(target).name
        sources[target].write_text(content)
    ca_file = sandbox.user.home / "ca.pem"
    authority = Authority(str(ca_file))
    with (
        private_network(),
        dns_server({name: [[PRIVATE_ADDRESS]] for name in HOSTS}, PRIVATE_ADDRESS) as questions,
        upstream(answer, authority.server_context(*HOSTS, LISTED), (PRIVATE_ADDRESS, 443)) as server,
    ):
        yield Place(sandbox, server, questions, private_mounts.stage(sources), str(ca_file), request.param)


def test_a_granted_host_is_reached_and_another_has_no_address(place: Place) -> None:
    reached = place.asks(NAME, 443, {"allow_domain": [NAME]})
    assert reached.stdout == "200 reached\n", reached.stderr
    assert [request.value(b"host") for request in place.server.requests] == [NAME.encode()]
    assert reached.denied == []
    refused = place.asks("other.test", 443, {"allow_domain": [NAME]})
    assert refused.stdout.startswith("gaierror"), refused.stderr
    assert place.questions.names() == {NAME}
    assert len(place.server.connections) == 1
    (event,) = refused.denied
    assert (event["target"], event["hint"]) == ("other.test", "--allow-domain other.test")
    assert "fix: --allow-domain other.test" in refused.stderr


@pytest.mark.parametrize(("rule", "is_reached"), [(f"{NAME}:443", True), (f"{NAME}:444", False)])
def test_a_grant_of_one_port_opens_no_other(rule: str, is_reached: bool, place: Place) -> None:
    """The name has an address either way: a look-up names no port."""
    run = place.asks(NAME, 443, {"allow_domain": [rule]})
    assert run.stdout.startswith("200 reached" if is_reached else "ConnectionResetError"), run.stderr
    assert len(place.server.connections) == int(is_reached)
    refused = [(event["target"], event["port"], event["reason"]) for event in run.denied]
    assert refused == ([] if is_reached else [(NAME, 443, f"host {NAME} is not in the allowlist")])


@pytest.mark.parametrize(("allowed", "is_reached"), [("*", True), ("other.test", False)])
def test_a_search_domain_is_not_in_the_way_of_a_whole_name(
    allowed: str, is_reached: bool, place: Place, tmp_path: Path
) -> None:
    """Kubernetes has resolvers ask for the name with each search domain first."""
    if place.has_udp:
        pytest.skip("by UDP resolvers go by resolv.conf alone")
    with (tmp_path / "resolv.conf").open("a") as resolv_conf:
        resolv_conf.write("search ns.svc.cluster.local svc.cluster.local\noptions ndots:5\n")
    run = place.asks(NAME, 443, {"allow_domain": [allowed]})
    assert run.stdout.startswith("200 reached" if is_reached else "gaierror"), run.stderr
    assert [event["target"] for event in run.denied] == ([] if is_reached else [NAME])


SAYS_ALL_AT_ONCE = f"""
import socket
for _ in range(20):
    with socket.create_connection(("{NAME}", 7), 60) as own:
        own.sendall(b"all")
        own.shutdown(socket.SHUT_WR)
        print(own.recv(9).decode(), end=" ")
"""


@pytest.mark.parametrize("tunnels", [[f"{NAME}:7"], [f"{NAME}:8"]], ids=["its own", "another"])
def test_a_client_may_end_its_half_before_it_has_an_answer(tunnels: list[str], place: Place) -> None:
    """The proxy accepts the connection after the client has said all, as `nc -N` does."""
    with socket.create_server((PRIVATE_ADDRESS, 7)) as listener:
        threading.Thread(target=echo, args=[listener], daemon=True).start()
        network = {"allow_domain": [NAME], "raw_tunnels": tunnels}
        run = place.run(["/usr/bin/python3", "-c", SAYS_ALL_AT_ONCE], network)
        listener.shutdown(socket.SHUT_RDWR)
    if tunnels == [f"{NAME}:7"]:
        assert run.stdout == "all " * 20, run.stderr
        assert run.denied == []
    else:
        assert "all" not in run.stdout
        # On netns nobody listens at a port that no rule names.
        refused = {(event["target"], event["port"]) for event in run.denied}
        assert refused == (set() if place.way == NETNS else {(NAME, 7)})


SERVICE = {
    "upstream": f"https://{NAME}",
    "credential_key": "env://REAL_KEY",
    "env_var": "SERVICE_KEY",
}
SENDS = f"""
exec /usr/bin/python3 -c "$1" {NAME} 443 "Authorization: Bearer $SERVICE_KEY"
"""


@pytest.mark.parametrize("phantom", ["its own", "another"])
def test_a_key_is_written_into_a_request_of_such_a_client(phantom: str, place: Place) -> None:
    network = {
        "allow_domain": [],
        "credentials": ["service"],
        "custom_credentials": {"service": SERVICE | {"tls_ca": place.ca_file}},
    }
    script = SENDS if phantom == "its own" else SENDS.replace("Bearer ", "Bearer x")
    run = place.run(
        ["sh", "-c", "SSL_CERT_FILE=${REQUESTS_CA_BUNDLE:?}" + script, "sh", ASKS],
        network,
        environment={"REAL_KEY": KEY},
    )
    assert KEY not in run.stdout + run.stderr
    arrived = [request.value(b"authorization") for request in place.server.requests]
    if phantom == "its own":
        assert run.stdout == "200 reached\n", run.stderr
        assert arrived == [f"Bearer {KEY}".encode()]
        assert run.denied == []
    else:
        assert run.stdout.startswith("401"), run.stderr
        assert arrived == []
        assert [event["target"] for event in run.denied] == [NAME]


@pytest.mark.parametrize("host", [NAME, "other.test"], ids=["its own", "another"])
def test_plain_http_reaches_the_host_that_it_names(host: str, place: Place) -> None:
    """A request that names another host than the one that was looked up is no request to that."""
    with upstream(answer, address=(PRIVATE_ADDRESS, 80)) as plain:
        run = place.asks(NAME, 80, {"allow_domain": [NAME, "other.test"]}, f"Host: {host}")
        arrived = [request.value(b"host") for request in plain.requests]
    if host == NAME:
        assert run.stdout == "200 reached\n", run.stderr
        assert arrived == [NAME.encode()]
        assert run.denied == []
    else:
        assert run.stdout.startswith("400 "), run.stderr
        assert "another host" in run.stdout
        assert arrived == []


# Each takes two hosts, one after the other in one start, and prints a line about each.
CURL = """
for host; do echo $(curl -sSw " %{http_code}" --noproxy "*" "https://$host/path" 2>&1); done
"""
GO = """
package main
import ("crypto/tls"; "crypto/x509"; "fmt"; "io"; "net/http"; "os")
func main() {
    roots := x509.NewCertPool()
    pem, _ := os.ReadFile(os.Getenv("SSL_CERT_FILE"))
    roots.AppendCertsFromPEM(pem)
    own := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
    for _, host := range os.Args[1:] {
        answer, err := (&http.Client{Transport: own}).Get("https://" + host + "/path")
        if err != nil { fmt.Println(err); continue }
        body, _ := io.ReadAll(answer.Body)
        fmt.Println(answer.StatusCode, string(body))
    }
}
"""
JAVA = """
class Get {
    public static void main(String[] words) throws Exception {
        for (var host : words) {
            var from = new java.net.URI("http://" + host + "/path").toURL();
            try (var body = from.openStream()) {
                System.out.println("200 " + new String(body.readAllBytes()));
            } catch (java.io.IOException error) { System.out.println(error); }
        }
    }
}
"""
NODE = """
const options = {ca: require('fs').readFileSync(process.env.SSL_CERT_FILE)};
const ask = ([host, ...left]) => host && require('https').get(`https://${host}/path`, options, answer => {
    answer.on('data', piece => console.log(answer.statusCode, String(piece))).on('end', () => ask(left));
}).on('error', error => { console.log(error.message); ask(left); });
ask(process.argv.slice(1));
"""
# c-ares, which asks the name servers itself.
C_ARES = """
const ask = ([host, ...left]) => host && require('dns').resolve4(host, error => {
    console.log(error ? error.code : '200 reached');
    ask(left);
});
ask(process.argv.slice(1));
"""
AIOHTTP = """
import aiohttp, asyncio, os, ssl, sys
async def main():
    trust = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    for host in sys.argv[1:]:
        try:
            async with aiohttp.ClientSession() as own, own.get(f"https://{host}/path", ssl=trust) as got:
                print(got.status, await got.text())
        except aiohttp.ClientError as error:
            print(error)
asyncio.run(main())
"""
# Each with what it says of a name that has no address.
CLIENTS = {
    "curl": (["sh", "-c", CURL, "sh"], "Could not resolve host"),
    "node": (["node", "-e", NODE], "ENOTFOUND"),
    "c-ares": (["node", "-e", C_ARES], "ENOTFOUND"),
    "aiohttp": ([sys.executable, "-c", AIOHTTP], "Name or service not known"),
    "go": (["./get"], "no such host"),
    "java": (["env", "-u", "JAVA_TOOL_OPTIONS", "java", "-Xint", "-cp", ".", "Get"], "UnknownHostException"),
}


def build_java(classes: Path) -> None:
    """Compile the client, which takes ten times as long as its requests."""
    source = classes.with_name("Get.java")
    source.write_text(JAVA)
    subprocess.run(["javac", "-d", str(classes), str(source)], check=True, timeout=120)


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[pytest.mark.slow] if each == "go" else []) for each in CLIENTS]
)
def test_clients_that_heed_no_proxy_reach_what_is_granted(name: str, place: Place, builds: Builds) -> None:
    if name in ("c-ares", "go") and not place.has_udp:
        pytest.skip("its own resolver takes UDP")
    command, refused = CLIENTS[name]
    project = place.sandbox.project
    if name == "go":
        (project / "get.go").write_text(GO)
        build = {**os.environ, "GOCACHE": str(project.parent / "go-cache"), "CGO_ENABLED": "0"}
        subprocess.run(["go", "build", "get.go"], cwd=project, env=build, check=True, timeout=300)
    if name == "java":
        shutil.copytree(builds.get("heeds_no_proxy_java", build_java), project, dirs_exist_ok=True)
    with upstream(answer, address=(PRIVATE_ADDRESS, 80)):
        run = place.run([*command, NAME, "other.test"], {"allow_domain": [NAME]})
    of_the_granted, of_the_other = run.stdout.splitlines()
    assert "reached" in of_the_granted, run
    assert "200" in of_the_granted
    assert refused in of_the_other, run
    assert place.questions.names() <= {NAME}
    assert "other.test" in {event["target"] for event in run.denied}  # curl tries UDP sockets as well


LISTENS = f"""
import errno, socket
socket.gethostbyname("{NAME}")
for host in ("127.0.0.1", "0.0.0.0"):
    try:
        socket.create_server((host, 8443)).close()
        print(host)
    except OSError as error:
        print(errno.errorcode[error.errno])
"""


@pytest.mark.parametrize("named", [8443, 8444])
def test_a_server_of_the_commands_own_has_every_port_of_127_0_0_1(named: int, place: Place) -> None:
    """On all addresses it meets who listens for a host on netns, if a rule names its port (ADR 121)."""
    run = place.run(["/usr/bin/python3", "-c", LISTENS], {"allow_domain": [f"{NAME}:{named}"]})
    is_taken = place.way == NETNS and named == 8443
    assert run.stdout.split() == ["127.0.0.1", "EADDRINUSE" if is_taken else "0.0.0.0"], run.stderr
    assert run.denied == []


@pytest.mark.parametrize("granted", [LISTED, NAME])
def test_a_granted_host_of_the_hosts_file_is_reached_by_its_address(granted: str, place: Place) -> None:
    if place.way == NETNS:
        pytest.skip("no connect is trapped there, and the address is nobody's")
    run = place.asks(LISTED, 443, {"allow_domain": [granted]})
    if granted == LISTED:
        assert run.stdout == "200 reached\n", run.stderr
        assert [request.value(b"host") for request in place.server.requests] == [LISTED.encode()]
        assert run.denied == []
    else:
        assert run.stdout.startswith("PermissionError"), run.stderr
        assert place.server.connections == []
        assert [(event["target"], event["port"]) for event in run.denied] == [(PRIVATE_ADDRESS, 443)]
