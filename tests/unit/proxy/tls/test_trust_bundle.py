"""nono.proxy.tls.trust_bundle: nothing that was trusted is lost, and nothing but certificates gets inside."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from nono.proxy.child_env import trust_env
from nono.proxy.tls.session_ca import SessionCa
from nono.proxy.tls.trust_bundle import (
    ADDED,
    BUNDLE,
    TRUSTSTORE,
    WGETRC,
    RootPlaces,
    TrustBundle,
    clients_bundles,
    system_places,
    trust_bundle,
    trusted_roots,
    wants_truststore,
)
from support.ordinary_user import ordinary_user
from support.running.builds import Builds
from support.servers.http1 import upstream

SESSION = SessionCa.create()
SYSTEM = [trustme.CA().cert_pem.bytes().strip() for _ in range(3)]
OWN = [trustme.CA().cert_pem.bytes().strip() for _ in range(2)]
NO_PLACES = RootPlaces((), ())


def blocks_of(path: str | Path) -> list[bytes]:
    content = Path(path).read_bytes()
    return re.findall(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", content, re.DOTALL)


@pytest.fixture
def places(tmp_path: Path) -> RootPlaces:
    """Return a system with three roots in one file."""
    (tmp_path / "roots.crt").write_bytes(b"\n".join(SYSTEM) + b"\n")
    return RootPlaces((str(tmp_path / "absent.crt"), str(tmp_path / "roots.crt")), ())


def contents(
    tmp_path: Path, places: RootPlaces, *, inherited: str | None = None
) -> tuple[list[bytes], tuple[str, ...]]:
    """Return the certificates of a bundle in their order, and its warnings."""
    with trust_bundle(
        str(tmp_path / "d"), SESSION.certificate_pem, inherited=inherited, places=places
    ) as bundle:
        return blocks_of(bundle.pem), bundle.warnings


# What is in it


def test_the_bundle_is_user_file_then_system_roots_then_session(tmp_path: Path, places: RootPlaces) -> None:
    (tmp_path / "own.pem").write_bytes(b"# mine\n" + b"\n".join(OWN))  # no line end at the end
    certificates, warnings = contents(tmp_path, places, inherited=str(tmp_path / "own.pem"))
    assert certificates == [*OWN, *SYSTEM, SESSION.certificate_pem.strip()]
    assert warnings == ()


def test_the_files_of_single_clients_come_after_the_systems_roots(tmp_path: Path, places: RootPlaces) -> None:
    """A company's proxy may be trusted by Requests alone, whose variable leads to the bundle inside."""
    (tmp_path / "corp.pem").write_bytes(b"\n".join([SYSTEM[0], OWN[0]]))
    files = {
        "REQUESTS_CA_BUNDLE": "corp.pem",
        "PIP_CERT": "corp.pem",
        "CURL_CA_BUNDLE": "gone",
        "HOME": "corp.pem",
    }
    named = {name: str(tmp_path / file) for name, file in files.items()} | {"AWS_CA_BUNDLE": "corp.pem"}
    clients = clients_bundles(named)
    assert clients == [str(tmp_path / "corp.pem"), str(tmp_path / "gone")]
    roots = trusted_roots(None, clients=[*clients, str(tmp_path)], places=places)
    assert (list(roots.blocks), roots.added, roots.warnings) == ([*SYSTEM, OWN[0]], (), ())


def added_to(
    tmp_path: Path, places: RootPlaces, inherited: str | None = None, extra: str | None = None
) -> list[bytes]:
    """Return the certificates for clients that bring roots of their own."""
    directory, pem = str(tmp_path / "d"), SESSION.certificate_pem
    with trust_bundle(directory, pem, inherited=inherited, extra=extra, places=places) as bundle:
        return blocks_of(bundle.added)


def test_a_client_with_roots_of_its_own_parses_none_of_the_systems(
    tmp_path: Path, places: RootPlaces
) -> None:
    assert added_to(tmp_path, places) == [SESSION.certificate_pem.strip()]


@pytest.mark.parametrize("variable", ["inherited", "extra"])
def test_a_client_with_roots_of_its_own_gets_what_the_person_added(
    tmp_path: Path, places: RootPlaces, variable: str
) -> None:
    (tmp_path / "own.pem").write_bytes(b"\n".join(OWN))
    added = added_to(tmp_path, places, **{variable: str(tmp_path / "own.pem")})
    assert added == [*OWN, SESSION.certificate_pem.strip()]


def test_the_systems_own_file_adds_nothing(tmp_path: Path, places: RootPlaces) -> None:
    assert added_to(tmp_path, places, inherited=places.files[1]) == [SESSION.certificate_pem.strip()]


def test_a_client_with_roots_of_its_own_gets_what_the_administrator_added(
    tmp_path: Path, places: RootPlaces
) -> None:
    (tmp_path / "admin/corp").mkdir(parents=True)
    (tmp_path / "admin/corp/ca.crt").write_bytes(SYSTEM[1].replace(b"\n", b"\r\n"))
    (tmp_path / "admin/not-yet.crt").write_bytes(OWN[0])  # update-ca-certificates(8) has not run since
    added = added_to(tmp_path, places._replace(admins=(str(tmp_path / "admin"), "/nonexistent")))
    assert [block.replace(b"\r", b"") for block in added] == [SYSTEM[1], SESSION.certificate_pem.strip()]


def test_a_missing_file_of_extra_roots_is_as_if_there_were_none(tmp_path: Path, places: RootPlaces) -> None:
    assert added_to(tmp_path, places, extra="/nonexistent") == [SESSION.certificate_pem.strip()]


def test_openssl_takes_every_certificate_of_the_bundle(tmp_path: Path, places: RootPlaces) -> None:
    (tmp_path / "own.pem").write_bytes(b"\r\n".join(OWN))
    with trust_bundle(
        str(tmp_path / "d"),
        SESSION.certificate_pem,
        inherited=str(tmp_path / "own.pem"),
        places=places,
    ) as bundle:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(bundle.pem)
    assert context.cert_store_stats()["x509_ca"] == 6


def test_a_certificate_that_is_in_both_files_is_there_once(tmp_path: Path, places: RootPlaces) -> None:
    certificates, _ = contents(tmp_path, places, inherited=places.files[1])
    assert certificates == [*SYSTEM, SESSION.certificate_pem.strip()]


def test_a_key_in_the_persons_file_does_not_get_inside(tmp_path: Path, places: RootPlaces) -> None:
    issued = trustme.CA().issue_cert("a.test").private_key_and_cert_chain_pem.bytes()
    assert b"PRIVATE KEY" in issued
    (tmp_path / "own.pem").write_bytes(issued)
    with trust_bundle(
        str(tmp_path / "d"),
        SESSION.certificate_pem,
        inherited=str(tmp_path / "own.pem"),
        places=places,
    ) as bundle:
        assert b"PRIVATE" not in Path(bundle.pem).read_bytes()
        assert len(blocks_of(bundle.pem)) == 5  # its certificate was taken


def nothing_there(path: Path) -> None: ...


def a_directory(path: Path) -> None:
    path.mkdir()


def der(path: Path) -> None:
    path.write_bytes(ssl.PEM_cert_to_DER_cert(OWN[0].decode()))


def cut_off(path: Path) -> None:
    path.write_bytes(OWN[0][:-20])


def damaged(path: Path) -> None:
    path.write_bytes(OWN[0].replace(b"M", b"\xff"))


def larger_than_any(path: Path) -> None:
    with path.open("wb") as file:
        file.write(OWN[0])
        file.truncate(1 << 30)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (nothing_there, "cannot be read"),
        (a_directory, "cannot be read"),
        (os.mkfifo, "cannot be read"),
        (larger_than_any, "cannot be read"),
        (der, "holds no certificate"),
        (cut_off, "holds no certificate"),
        (damaged, "holds no certificate"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_bad_file_of_the_persons_is_left_out_with_a_warning(
    tmp_path: Path, places: RootPlaces, make: Callable[[Path], None], reason: str
) -> None:
    make(tmp_path / "own.pem")
    certificates, warnings = contents(tmp_path, places, inherited=str(tmp_path / "own.pem"))
    assert certificates == [*SYSTEM, SESSION.certificate_pem.strip()]
    assert len(warnings) == 1
    assert reason in warnings[0]
    assert "own.pem" in warnings[0]


def test_a_warning_cannot_write_to_the_terminal(tmp_path: Path, places: RootPlaces) -> None:
    _, warnings = contents(tmp_path, places, inherited="/absent\x1b[2J\n")
    assert warnings[0].isprintable()


def test_roots_are_found_in_a_hashed_directory_when_no_file_has_any(tmp_path: Path) -> None:
    directory = tmp_path / "certs"
    directory.mkdir()
    (directory / "12345678.0").write_bytes(SYSTEM[0])
    (directory / "12345678.1").write_bytes(SYSTEM[1])
    (directory / "12345678.2").symlink_to(directory / "12345678.0")
    (directory / "87654321.0").symlink_to("dangling")
    (directory / "ssl-cert-snakeoil.pem").write_bytes(SYSTEM[2])  # not hashed, so not trusted
    (tmp_path / "empty.crt").write_bytes(b"")
    places = RootPlaces((str(tmp_path / "empty.crt"),), (str(tmp_path / "absent"), str(directory)))
    certificates, _ = contents(tmp_path, places)
    assert certificates == [*SYSTEM[:2], SESSION.certificate_pem.strip()]


def test_a_bundle_that_would_take_all_other_trust_away_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="root certificates"):
        contents(tmp_path, NO_PLACES)
    assert not (tmp_path / "d").exists()


def test_the_persons_file_alone_is_enough(tmp_path: Path) -> None:
    (tmp_path / "own.pem").write_bytes(OWN[0])
    certificates, _ = contents(tmp_path, NO_PLACES, inherited=str(tmp_path / "own.pem"))
    assert certificates == [OWN[0], SESSION.certificate_pem.strip()]


def test_the_environment_does_not_move_the_system_roots(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = system_places()
    (tmp_path / "own.pem").write_bytes(OWN[0])
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert system_places() == before


# The files


def modes(bundle: TrustBundle) -> list[int]:
    paths = [os.path.dirname(bundle.pem), *bundle.files]
    return [stat.S_IMODE(os.stat(path).st_mode) for path in paths]


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_the_files_are_read_only_in_a_directory_of_this_user_alone(
    tmp_path: Path, places: RootPlaces, umask: int
) -> None:
    before = os.umask(umask)
    try:
        with trust_bundle(
            str(tmp_path / "d"), SESSION.certificate_pem, inherited=None, java=True, places=places
        ) as bundle:
            assert modes(bundle) == [0o700, 0o400, 0o400, 0o400, 0o400]
    finally:
        os.umask(before)


@pytest.mark.parametrize("java", [False, True])
def test_nothing_is_left_when_the_block_is_left(tmp_path: Path, places: RootPlaces, java: bool) -> None:
    def run() -> None:
        with trust_bundle(
            str(tmp_path / "d"), SESSION.certificate_pem, inherited=None, java=java, places=places
        ) as bundle:
            made = {BUNDLE, ADDED, WGETRC} | ({TRUSTSTORE} if java else set())
            assert {*os.listdir(tmp_path / "d")} == made
            assert (bundle.truststore is not None) is java
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert not (tmp_path / "d").exists()


def test_what_else_is_in_the_directory_stays(tmp_path: Path, places: RootPlaces) -> None:
    (tmp_path / "d").mkdir(mode=0o700)
    (tmp_path / "d" / "other").write_text("kept")
    contents(tmp_path, places)
    assert os.listdir(tmp_path / "d") == ["other"]


def a_link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def a_hard_link(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def a_fifo(path: Path, _victim: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("plant", [a_link, a_hard_link, a_fifo])
def test_a_leftover_at_the_bundle_path_is_replaced(
    tmp_path: Path, places: RootPlaces, plant: Callable[[Path, Path], None]
) -> None:
    (tmp_path / "d").mkdir(mode=0o700)
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    plant(tmp_path / "d" / BUNDLE, victim)
    with trust_bundle(str(tmp_path / "d"), SESSION.certificate_pem, inherited=None, places=places) as bundle:
        assert stat.S_ISREG(os.lstat(bundle.pem).st_mode)
        assert len(blocks_of(bundle.pem)) == 4
    assert victim.read_text() == "untouched"


@pytest.mark.parametrize(("mode", "refused"), [(0o777, True), (0o770, True), (0o700, False)])
def test_a_directory_that_others_may_write_to_is_refused(
    tmp_path: Path, places: RootPlaces, mode: int, refused: bool
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d").chmod(mode)
    if not refused:
        assert contents(tmp_path, places)[1] == ()
        return
    with pytest.raises(PermissionError):
        contents(tmp_path, places)
    assert os.listdir(tmp_path / "d") == []


def test_a_directory_that_is_a_symbolic_link_is_refused(tmp_path: Path, places: RootPlaces) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "d").symlink_to("elsewhere")
    with pytest.raises(OSError, match="d"):
        contents(tmp_path, places)
    assert os.listdir(tmp_path / "elsewhere") == []


def test_another_user_cannot_read_the_bundle(places: RootPlaces) -> None:
    if os.geteuid() != 0:
        pytest.skip("there is no other user to be")
    with ordinary_user() as user:
        directory = user.home.parent / f"nono-trust-{os.getpid()}"
        with trust_bundle(str(directory), SESSION.certificate_pem, inherited=None, places=places) as bundle:
            assert user.run(["cat", bundle.pem]).returncode != 0


# Java


def test_a_truststore_is_written_where_java_is(tmp_path: Path, places: RootPlaces) -> None:
    directory = str(tmp_path / "d")
    with trust_bundle(directory, SESSION.certificate_pem, inherited=None, java=True, places=places) as bundle:
        assert bundle.truststore is not None
        content = Path(bundle.truststore).read_bytes()
    assert ssl.PEM_cert_to_DER_cert(SESSION.certificate_pem.decode()) in content


def test_a_truststore_is_wanted_where_java_is(tmp_path: Path) -> None:
    assert not wants_truststore({"PATH": str(tmp_path)})
    assert not wants_truststore({})
    assert wants_truststore({"PATH": str(tmp_path), "JAVA_HOME": "/opt/jdk"})
    (tmp_path / "java").write_text("")
    (tmp_path / "java").chmod(0o755)
    assert wants_truststore({"PATH": str(tmp_path)})


# Clients that people use

# Each asks for the URLs in its arguments, and prints for each whether it came to an answer.
PYTHON = """
import sys, MODULE
for url in sys.argv[1:]:
    try:
        GET
    except ERROR:
        print("refused")
    else:
        print("answered")
"""
NODE = """(async () => {
    for (const url of process.argv.slice(1)) {
        const answered = await fetch(url).then(r => r.text()).then(() => true, () => false);
        console.log(answered ? "answered" : "refused");
    }
})()"""
JAVA = """
public class Fetch {
    public static void main(String[] urls) throws Exception {
        for (var url : urls) {
            try {
                new java.net.URL(url).openStream().readAllBytes();
                System.out.println("answered");
            } catch (javax.net.ssl.SSLException untrusted) {
                System.out.println("refused");
            }
        }
    }
}
"""
QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")  # compiling more is not worth it for two requests
CURL = """for url in "$@"; do curl -sS "$url" > body && echo answered || echo refused; done"""


def in_python(module: str, get: str, error: str) -> tuple[str, ...]:
    code = PYTHON.replace("MODULE", module).replace("GET", get).replace("ERROR", error)
    return (sys.executable, "-c", code)


CLIENTS = {
    "urllib": in_python("urllib.request", "urllib.request.urlopen(url).read()", "urllib.error.URLError"),
    "requests": in_python("requests", "requests.get(url).raise_for_status()", "requests.exceptions.SSLError"),
    "httpx": in_python("httpx", "httpx.get(url).raise_for_status()", "httpx.ConnectError"),
    "curl": ("sh", "-c", CURL, "curl"),
    "node": ("node", "-e", NODE),
    "java": ("java", *QUICK, "Fetch"),
}


def compile_java(classes: Path) -> None:
    """Compile once what is run twice: the compiler takes most of the time of a source that is run."""
    classes.mkdir()
    (classes / "Fetch.java").write_text(JAVA)
    quick = [f"-J{each}" for each in QUICK]
    subprocess.run(["javac", *quick, "Fetch.java"], cwd=classes, check=True, timeout=120)


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_trusts_the_session_only_with_these_variables(
    tmp_path: Path, places: RootPlaces, name: str, builds: Builds
) -> None:
    """It asks for a host by its name and by its address, in one start: most of its time is that."""
    for program in {"curl": ("curl",), "node": ("node",), "java": ("java", "javac")}.get(name, ()):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not here")
    plain = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    hosts = ["localhost", "127.0.0.1"]
    if name == "java":
        plain["CLASSPATH"] = str(builds.get("fetch", compile_java))
        (tmp_path / "hosts").write_text("127.0.0.1 site.test\n")
        plain["JAVA_TOOL_OPTIONS"] = "-Djdk.net.hosts.file=hosts"
        hosts[0] = "site.test"  # Java names no host without a dot to the server
    directory = tmp_path / "it's a \"directory"
    with (
        trust_bundle(
            str(directory), SESSION.certificate_pem, inherited=None, java=name == "java", places=places
        ) as bundle,
        upstream(tls=SESSION.server_context(hosts[0])) as by_name,
        upstream(tls=SESSION.server_context(hosts[1])) as by_address,
    ):
        servers = [by_name, by_address]
        urls = [f"https://{host}:{server.port}/" for host, server in zip(hosts, servers, strict=True)]

        def answers(environment: dict[str, str]) -> list[str]:
            done = subprocess.run(
                [*CLIENTS[name], *urls],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            return done.stdout.split()

        assert answers(plain) == ["refused", "refused"]
        assert [len(server.requests) for server in servers] == [0, 0]
        trusting = plain | trust_env(bundle.pem, bundle.added, bundle.truststore, [], plain)
        assert answers(trusting) == ["answered", "answered"]
        assert [len(server.requests) for server in servers] == [1, 1]
