"""Keys are found as botocore finds them, renewed in time, and shown to nobody."""

from __future__ import annotations

import datetime
import json
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from nono.credentials.aws import credential as aws
from nono.credentials.aws import process
from nono.credentials.aws.credential import AwsCredential
from nono.credentials.aws.process import CheckProgram
from nono.credentials.aws.signature import SigV4Injection
from nono.credentials.values.credential import detectors
from nono.credentials.values.errors import CredentialUnavailable
from nono.errors import ConfigError
from nono.policy.schema.route_rules import AwsAuth
from nono.policy.suggestions import install_command
from support.credentials.sigv4 import (
    ACCESS_KEY,
    FACTS,
    SECRET_KEY,
    TOKEN,
    Arrived,
    arrival,
    authorization,
    outgoing,
    signature_of,
)
from support.fake_keyring import CANARY


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of profiles; nothing else of this machine is asked for keys."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "config"


def run(work: Callable[[], Coroutine[object, object, None]]) -> None:
    anyio.run(work, backend_options={"use_uvloop": True})


# One that no project holds: those of an activated environment are not run.
PYTHON = os.path.realpath(sys.executable)


def from_profile(profile: str | None = None, clock: Callable[[], float] = time.monotonic) -> AwsCredential:
    return AwsCredential(AwsAuth(profile=profile), dict(os.environ), lambda command: None, clock=clock)


def program(config: Path, text: str, profile: str = "work") -> None:
    """Write a profile whose keys a program prints."""
    source = config.parent / "process"
    source.write_text(f"import sys\nprint('x', file=open({str(config.parent / 'ran')!r}, 'a'))\n{text}\n")
    config.write_text(f"[profile {profile}]\ncredential_process = {PYTHON} {source}\n")


def printing(**members: object) -> str:
    keys = {"Version": 1, "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, **members}
    return f"print({json.dumps(keys)!r})"


def times_run(config: Path) -> int:
    return len((config.parent / "ran").read_text().splitlines())


async def sign(credential: AwsCredential) -> Arrived:
    injection = await credential.acquire(FACTS)
    assert isinstance(injection, SigV4Injection)
    return arrival(outgoing(b"/model/a:0/invoke", [], b"{}", method=b"POST"), injection)


def test_keys_of_the_environment_sign(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)

    async def main() -> None:
        credential = from_profile()
        assert credential.at_hand(FACTS) is None
        arrived = await sign(credential)
        assert authorization(arrived) == signature_of(arrived, "bedrock", "eu-west-1")
        assert (b"x-amz-security-token", TOKEN.encode()) in arrived.fields
        assert credential.at_hand(FACTS) is not None
        detector = credential.unsent()
        assert detector is not None
        assert detector.mask_text(SECRET_KEY.encode()) is not None
        assert detector.mask_text(f"{ACCESS_KEY} {TOKEN}".encode()) is None

    run(main)


def test_the_secret_key_is_not_watched_for_in_answers(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No request carries it; what an answer shows of the search would be all that tells it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)

    async def main() -> None:
        credential = from_profile()
        await sign(credential)
        assert credential.tripwire() is None
        assert [each.occurs_in(SECRET_KEY.encode()) for each in detectors(credential)] == [True]

    run(main)


def test_keys_are_not_used_for_a_host_that_names_no_service(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below a wildcard the child chooses the host; what at_hand raised ended its connection unrecorded."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)

    async def main() -> None:
        credential = from_profile()
        await sign(credential)
        elsewhere = FACTS._replace(host="other.amazonaws.com")
        assert credential.at_hand(elsewhere) is None
        with pytest.raises(CredentialUnavailable, match="service"):
            await credential.acquire(elsewhere)

    run(main)


def test_only_the_named_profile_is_used(config: Path) -> None:
    (config.parent / "credentials").write_text(
        f"[default]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = other\n"
        f"[work]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    )

    async def main() -> None:
        arrived = await sign(from_profile("work"))
        assert authorization(arrived) == signature_of(arrived, "bedrock", "eu-west-1")
        assert "AKIDOTHER" in authorization(await sign(from_profile()))

    run(main)


def test_fifty_requests_at_once_ask_for_keys_once(config: Path) -> None:
    program(config, printing())

    async def main() -> None:
        credential = from_profile("work")
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(sign, credential)

    run(main)
    assert times_run(config) == 1


def test_keys_that_are_about_to_end_are_fetched_again(config: Path) -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=5)
    program(config, printing(Expiration=soon.isoformat(), SessionToken=TOKEN))
    now = 0.0

    async def main() -> None:
        nonlocal now
        credential = from_profile("work", clock=lambda: now)
        await sign(credential)
        before = times_run(config)
        await sign(credential)
        assert times_run(config) == before
        now = 61.0
        assert credential.at_hand(FACTS) is None
        await sign(credential)
        assert times_run(config) == before + 1

    run(main)


def process_is_run(config: Path, command: str, check: CheckProgram, **environ: str) -> str:
    """Return why there are no keys by a process; "" if there are some."""
    config.write_text(f"[profile work]\ncredential_process = {command}\n")
    problem = ""

    async def main() -> None:
        nonlocal problem
        try:
            await AwsCredential(AwsAuth(profile="work"), {**os.environ, **environ}, check).acquire(FACTS)
        except CredentialUnavailable as error:
            problem = error.message

    run(main)
    return problem


def unchecked(_: Sequence[str]) -> None: ...


def script(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


KEYS = f"""echo '{{"Version": 1, "AccessKeyId": "{ACCESS_KEY}", "SecretAccessKey": "{SECRET_KEY}"}}'"""


def test_a_process_of_the_project_is_not_run(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An activated environment puts its directory first."""
    project, own = config.parent / "project", config.parent / "own"
    script(project / "vend", f"touch {project}/ran; {KEYS}")
    monkeypatch.chdir(project)
    assert "'vend' is in" in process_is_run(config, "vend", unchecked, PATH=f"{project}:/usr/bin:/bin")
    script(own / "vend", KEYS)
    path = f"{project}:{own}:/usr/bin:/bin"
    assert process_is_run(config, "vend", unchecked, PATH=path) == ""
    assert not (project / "ran").exists()


def test_a_process_has_neither_the_place_nor_the_variables_of_the_project(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, seen = config.parent / "own", config.parent / "seen"
    script(own / "vend", f'echo "$PWD $PYTHONPATH $AWS_VAULT $1" > {seen}; {KEYS}')
    monkeypatch.chdir(config.parent)
    beside = {"PYTHONPATH": str(config.parent), "AWS_VAULT": "set"}
    assert process_is_run(config, f"{own}/vend 'a b'", unchecked, **beside) == ""
    assert seen.read_text() == "/  set a b\n"


def test_a_process_that_the_command_could_change_is_not_run(config: Path) -> None:
    own, asked = config.parent / "own", list[Sequence[str]]()

    def check(command: Sequence[str]) -> None:
        asked.append(command)
        if str(own / "data") in command:
            raise ConfigError("it is granted")

    script(own / "vend", KEYS)
    assert process_is_run(config, f"{own}/vend", check) == ""
    assert process_is_run(config, f"{own}/vend {own}/data", check) == "it is granted"
    assert asked == [[f"{own}/vend"], [f"{own}/vend", f"{own}/data"]]


def test_so_is_that_of_a_profile_from_which_another_gets_its_keys(config: Path) -> None:
    own = config.parent / "own"
    script(own / "vend", f"touch {own}/ran; {KEYS}")
    more = "[profile role]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = work\n"
    config.write_text(f"[profile work]\ncredential_process = {own}/vend\n{more}")

    def check(command: Sequence[str]) -> None:
        raise ConfigError("it is granted")

    async def main() -> None:
        with pytest.raises(CredentialUnavailable, match="it is granted"):
            await AwsCredential(AwsAuth(profile="role"), os.environ, check).acquire(FACTS)

    run(main)
    assert not (own / "ran").exists()


def test_a_process_that_does_not_end_is_ended(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "TIMEOUT_S", 0.2)
    script(config.parent / "own/vend", "exec sleep 60")
    problem = process_is_run(config, f"{config.parent}/own/vend", unchecked)
    assert "did not answer within 0.2 s and was stopped" in problem


def test_after_a_refusal_the_file_is_read_again(config: Path) -> None:
    def write(key: str) -> None:
        (config.parent / "credentials").write_text(
            f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {SECRET_KEY}\n"
        )

    async def main() -> None:
        write("AKIDOLD")
        credential = from_profile()
        assert "AKIDOLD" in authorization(await sign(credential))
        write("AKIDNEW")
        assert "AKIDOLD" in authorization(await sign(credential))
        credential.rejected(FACTS)
        assert "AKIDNEW" in authorization(await sign(credential))

    run(main)


@pytest.mark.parametrize(
    ("profile", "text", "message"),
    [
        pytest.param(None, "", "AWS default credentials: found no keys", id="no keys anywhere"),
        pytest.param("none", "", "AWS profile 'none': could not be read (ProfileNotFound)", id="no profile"),
        pytest.param(
            "work",
            f"sys.exit({CANARY!r})",
            "AWS profile 'work': could not be read (CredentialRetrievalError)",
            id="program fails and says why",
        ),
        pytest.param("work", f"print({CANARY!r})", "could not be read (JSONDecodeError)", id="no JSON"),
        pytest.param(
            "work",
            printing(SecretAccessKey=f"{CANARY}\n"),
            "not a pair of AWS keys",
            id="line end in the key",
        ),
        pytest.param("work", printing(SecretAccessKey=""), "not a pair of AWS keys", id="empty key"),
        pytest.param(
            "work", printing(AccessKeyId="AKID, Signature=x"), "not a pair of AWS keys", id="comma and blank"
        ),
        pytest.param(
            "work",
            printing(SessionToken=f"{CANARY}\r\nX: y"),
            "not a pair of AWS keys",
            id="line end in the token",
        ),
        pytest.param(
            "work", printing(SessionToken=f"{CANARY}é"), "not a pair of AWS keys", id="token not ASCII"
        ),
    ],
)
def test_a_source_without_usable_keys_is_unavailable_in_words_of_nono(
    config: Path,
    profile: str | None,
    text: str,
    message: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    program(config, text)

    async def main() -> None:
        credential = from_profile(profile)
        for _ in range(2):
            with pytest.raises(CredentialUnavailable) as caught:
                await credential.acquire(FACTS)
            error = caught.value
            assert message in error.message
            assert error.hint is not None
            shown = "".join(traceback.format_exception(error)) + f"{error!r} {error.message} {error.hint}"
            chained: BaseException | None = error.__context__
            while chained is not None:
                shown += repr(chained) + repr(vars(chained))
                chained = chained.__context__
            captured = capfd.readouterr()
            assert CANARY not in shown + caplog.text + captured.out + captured.err

    run(main)


def test_signing_logs_nothing_of_the_keys(
    config: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY + "-key")
    monkeypatch.setenv("AWS_SESSION_TOKEN", CANARY)
    caplog.set_level(logging.DEBUG)

    async def main() -> None:
        credential = from_profile()
        injection = await credential.acquire(FACTS)
        injection.inject(outgoing())
        assert CANARY not in caplog.text + repr(injection) + repr(vars(credential))

    run(main)


def test_without_botocore_the_package_to_install_is_named(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    monkeypatch.setitem(sys.modules, "botocore.session", None)

    async def main() -> None:
        with pytest.raises(CredentialUnavailable, match="botocore") as caught:
            await from_profile().acquire(FACTS)
        assert caught.value.hint == install_command("aws")

    run(main)


@dataclass
class Frozen:
    access_key: str = ACCESS_KEY
    secret_key: str = field(default=SECRET_KEY, repr=False)
    token: str | None = None


class Stuck:
    """A source that answers when it is released."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.released = threading.Event()
        self.asked = 0

    def get_frozen_credentials(self) -> Frozen:
        self.asked += 1
        self.entered.set()
        self.released.wait(20)
        return Frozen()


def test_a_source_that_hangs_holds_one_thread_only(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "LOAD_TIMEOUT_S", 0.05)
    now = 0.0
    stuck = Stuck()

    async def main() -> None:
        nonlocal now
        credential = from_profile(clock=lambda: now)
        monkeypatch.setattr(credential, "_source", stuck)
        for _ in range(5):
            with pytest.raises(CredentialUnavailable, match="no answer within"):
                await credential.acquire(FACTS)
            now += 100
            assert await anyio.to_thread.run_sync(stuck.entered.wait, 20)
        assert stuck.asked == 1
        stuck.released.set()
        monkeypatch.setattr(aws, "LOAD_TIMEOUT_S", 20)
        assert isinstance(await credential.acquire(FACTS), SigV4Injection)

    try:
        run(main)
    finally:
        stuck.released.set()


def test_keys_serve_for_their_time_where_no_thread_can_be_started(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    now = 0.0

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        nonlocal now
        credential = from_profile(clock=lambda: now)
        await sign(credential)
        monkeypatch.setattr(threading.Thread, "start", start)
        now = 300.0  # not fresh any more, and valid
        await sign(credential)
        now = 400.0
        with pytest.raises(CredentialUnavailable, match="no thread can be started"):
            await credential.acquire(FACTS)

    run(main)


def test_a_request_that_goes_away_leaves_the_keys_to_the_next(config: Path) -> None:
    stuck = Stuck()

    async def main() -> None:
        credential = from_profile()
        credential._source = stuck
        async with anyio.create_task_group() as group:
            group.start_soon(credential.acquire, FACTS)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        stuck.released.set()
        assert isinstance(await credential.acquire(FACTS), SigV4Injection)

    run(main)
