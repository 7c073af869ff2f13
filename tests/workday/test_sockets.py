"""What listens and connects in a day's work does so inside as outside: servers, agents, managers, JVMs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from support.nono_run import NO_NAMESPACES, NonoRun, nono_run

PROFILE: Mapping[str, object] = {"extends": "node-dev"}
WAYS = {"namespaces": (), "none": (NO_NAMESPACES,), "netns": ("--sandbox-policy=netns",)}

HTTP_SERVER = """
python3 -u -m http.server 0 >log 2>&1 & server=$!
for _ in $(seq 200); do grep -q 'port [0-9]' log && break; sleep 0.05; done
port=$(sed -n 's/.*port \\([0-9]*\\) .*/\\1/p' log)
for host in localhost 127.0.0.1; do curl -sS -o /dev/null -w '%{http_code} ' "http://$host:$port/"; done
kill $server
"""
WAITED_FOR = """
retries='--retry 40 --retry-delay 1 --retry-connrefused'
curl -sS -o /dev/null -w '%{http_code}' $retries http://127.0.0.1:PORT/ &
sleep 0.3
python3 -m http.server PORT --bind 127.0.0.1 >/dev/null 2>&1 & server=$!
wait %1; kill $server
"""
NODE_SERVER = """
const http = require("http");
const server = http.createServer((_, answer) => answer.end("served")).listen(0, async () => {
  const answer = await fetch(`http://localhost:${server.address().port}/`);
  console.log(await answer.text());
  server.close();
});
"""
NODE_SOCKET = """
const net = require("net");
const server = net.createServer(client => client.end("served")).listen("./own.sock", () =>
  net.connect("./own.sock").on("data", data => { console.log(String(data)); server.close(); }));
"""
ASYNC_SERVER = """
import asyncio
async def main():
    async def serve(reader, writer):
        writer.write(b"served"); await writer.drain(); writer.close()
    server = await asyncio.start_server(serve, "localhost", 0)
    port = server.sockets[0].getsockname()[1]
    print(*await asyncio.gather(*(ask(port) for _ in range(40))))
    server.close()
async def ask(port):
    reader, writer = await asyncio.open_connection("localhost", port)
    try: return (await reader.read()).decode()
    finally: writer.close()
asyncio.run(main())
"""
MANAGER = """
import multiprocessing
if __name__ == "__main__":
    with multiprocessing.Manager() as manager:
        shared = manager.dict()
        shared["a"] = 1
        print(dict(shared))
"""
SSH_AGENT = """
eval "$(ssh-agent)" >/dev/null
ssh-add -l
kill "$SSH_AGENT_PID"
"""
GPG_AGENT = """
export GNUPGHOME="$PWD/.g"; rm -rf .g; mkdir -m 700 .g
gpg -q --batch --passphrase '' --quick-gen-key a@b.example default default never 2>/dev/null
echo text | gpg -q --batch --clearsign -u a@b.example 2>/dev/null | head -1
gpgconf --kill all
"""
TMUX = """
tmux -S ./tmux.sock new-session -d 'echo $((6 * 7)) > answer; sleep 5' || exit
for _ in $(seq 200); do [ -s answer ] && break; sleep 0.05; done
cat answer
tmux -S ./tmux.sock kill-server
"""
SOCAT = """
socat -u TCP-LISTEN:PORT,bind=127.0.0.1 CREATE:said & server=$!
echo served | socat -u - TCP:127.0.0.1:PORT,retry=40,interval=0.1
wait $server; cat said
"""
# libxcb tries the abstract name first, and the path only if nobody listens on that name (_xcb_open).
X_CLIENT = """
import errno, os, socket, threading
path = os.path.join(os.getcwd(), "X0")
listeners = []
for name in ("\\0" + path, path):
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(name); listener.listen()
    except PermissionError:
        continue  # as the X server, which goes on with the other
    listeners.append(listener)
    serve = lambda own=listener: own.accept()[0].sendall(b"served")
    threading.Thread(target=serve, daemon=True).start()
client = socket.socket(socket.AF_UNIX)
try:
    client.connect("\\0" + path)
except OSError as error:
    if error.errno not in (errno.ENOENT, errno.ECONNREFUSED): raise
    client.connect(path)
print(client.recv(9).decode())
"""
UNIX_DATAGRAMS = "its server has a pair of Unix datagram sockets, which could send past the judge of connects"
INTERFACES = 'console.log(Object.keys(require("os").networkInterfaces()).sort().join())'


@dataclass(frozen=True)
class Case:
    argv: tuple[str, ...]
    says: str  # what standard output has to hold; "" for what it says outside
    not_on: Mapping[str, str] = ()  # type: ignore[assignment]  # ways by which it fails, and why

    @property
    def program(self) -> str:
        return self.argv[0]


def shell(script: str) -> tuple[str, ...]:
    return ("bash", "-c", script)


CASES = {
    "http.server and curl": Case(shell(HTTP_SERVER), "200 200"),
    "a server that is waited for": Case(shell(WAITED_FOR), "200"),
    "node, listen and fetch": Case(("node", "-e", NODE_SERVER), "served"),
    "node, a Unix socket": Case(("node", "-e", NODE_SOCKET), "served"),
    "asyncio, many clients": Case(("python3", "-c", ASYNC_SERVER), " ".join(["served"] * 40)),
    "multiprocessing.Manager": Case(("python3", "-c", MANAGER), "{'a': 1}"),
    "ssh-agent": Case(shell(SSH_AGENT), "The agent has no identities"),
    "gpg-agent": Case(shell(GPG_AGENT), "BEGIN PGP SIGNED MESSAGE"),
    "a client of X11": Case(("python3", "-c", X_CLIENT), "served"),
    "tmux": Case(shell(TMUX), "42", {"none": "a terminal of its own takes namespaces"}),
    "socat": Case(shell(SOCAT), "served", {"namespaces": UNIX_DATAGRAMS, "none": UNIX_DATAGRAMS}),
    "node, interfaces": Case(("node", "-e", INTERFACES), "lo"),
}
NEEDED = {"ssh-agent": "ssh-agent", "gpg-agent": "gpg", "tmux": "tmux", "socat": "socat"}


@pytest.fixture(scope="module", name="person")
def _person() -> Iterator[NonoRun]:
    with nono_run() as person:
        yield person


@pytest.fixture(name="case", params=CASES)
def _case(request: pytest.FixtureRequest) -> Case:
    case = CASES[request.param]
    program = NEEDED.get(request.param, case.program)
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    return case


def emptied(person: NonoRun) -> None:
    for left in person.project.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def command(case: Case) -> list[str]:
    from support.ports import unused_port

    return [word.replace("PORT", str(unused_port())) if "PORT" in word else word for word in case.argv]


def test_it_works_outside(person: NonoRun, case: Case) -> None:
    emptied(person)
    ended = person.bare(command(case))
    assert case.says in ended.stdout, ended.stderr


@pytest.mark.parametrize("way", WAYS)
def test_it_works_inside(person: NonoRun, case: Case, way: str) -> None:
    emptied(person)
    ended = person.run(command(case), profile=PROFILE, flags=WAYS[way])
    if way in dict(case.not_on):
        pytest.xfail(dict(case.not_on)[way])
    assert case.says in ended.stdout, ended.stderr


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.skipif(shutil.which("java") is None, reason="java is not installed")
def test_a_jvm_is_let_into_the_proxy_without_a_token(person: NonoRun, way: str) -> None:
    """The answer to a host that is not granted is the proxy's 403, and not its question for a token."""
    emptied(person)
    source = person.project / "Fetch.java"
    source.write_text(
        "import java.net.*;\n"
        "public class Fetch { public static void main(String[] a) throws Exception {\n"
        '  ((HttpURLConnection) new URL("https://denied.example/").openConnection()).getResponseCode(); } }\n'
    )
    person.give(source)
    flags = [*WAYS[way], "--read=/etc/java-17-openjdk"]
    ended = person.run(["java", "Fetch.java"], profile={"extends": "java-dev"}, flags=flags)
    assert "403 Forbidden: host denied.example" in ended.stderr
    assert [event["target"] for event in ended.denied if event["port"]] == ["denied.example"]


def test_a_profile_with_a_network_runs_without_it(person: NonoRun) -> None:
    ended = person.run(["sh", "-c", "echo runs"], profile=PROFILE, flags=["--block-net"])
    assert (ended.exit_code, ended.stdout) == (0, "runs\n")
