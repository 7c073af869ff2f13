"""A recording opens in mitmproxy, is for this user alone, and holds no credential."""

from __future__ import annotations

import gzip
import os
import resource
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.io import FlowReader

from nono.proxy.flows import recorder as recorder_module
from nono.proxy.flows.flow import Flow
from nono.proxy.flows.recorder import FlowRecorder
from nono.proxy.flows.redact import BEYOND_BYTES, MAX_BODY_BYTES
from nono.proxy.http.message import Header

PHANTOM = b"sk-proj-phantom-0123456789"
SECRET = b"sk-proj-real-9876543210"
JSON = (b"Content-Type", b"application/json")


def _mask(text: bytes) -> bytes:
    return text.replace(PHANTOM, b"[REDACTED]").replace(SECRET, b"[REDACTED]")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return tmp_path / "flows.mitm"


def _begin(
    recorder: FlowRecorder,
    *headers: Header,
    target: bytes = b"/v1/chat",
    scheme: str = "https",
    version: bytes = b"1.1",
) -> Flow:
    return recorder.begin(
        method=b"POST",
        scheme=scheme,
        host="api.example.com",
        port=443,
        target=target,
        version=version,
        headers=[(b"Host", b"api.example.com"), *headers],
    )


def _record(
    recording: Path,
    *,
    target: bytes = b"/v1/chat",
    request: tuple[list[Header], bytes] = ([], b""),
    response: tuple[list[Header], bytes] = ([], b""),
    secret_headers: frozenset[bytes] = frozenset(),
) -> http.HTTPFlow:
    with FlowRecorder(str(recording), _mask, secret_headers) as recorder:
        flow = _begin(recorder, *request[0], target=target)
        flow.request_piece(request[1])
        flow.response(200, b"OK", response[0])
        flow.response_piece(response[1])
        flow.finish()
    assert recorder.problem is None
    (read,) = _read(recording)
    return read


def _read(recording: Path) -> list[http.HTTPFlow]:
    with recording.open("rb") as file:
        flows = list(FlowReader(file).stream())
    assert all(isinstance(flow, http.HTTPFlow) for flow in flows)
    return [flow for flow in flows if isinstance(flow, http.HTTPFlow)]


def test_mitmdump_opens_a_recording(recording: Path, tmp_path: Path) -> None:
    with FlowRecorder(str(recording), _mask) as recorder:
        for version in (b"1.1", b"2.0"):
            flow = _begin(recorder, JSON, version=version, target=b"/v1/" + version)
            flow.request_piece(b'{"model": ')
            flow.request_piece(b'"m"}')
            flow.response(201, b"Created", [JSON])
            flow.response_piece(b'{"said": ')
            flow.response_piece(b'"hello"}')
            flow.finish()
        _begin(recorder, target=b"/v1/refused", scheme="http").failed("connection refused")
    mitmdump = [sys.executable, "-c", "from mitmproxy.tools.main import mitmdump; mitmdump()"]
    options = ["--set", f"confdir={tmp_path}/conf", "--set", "flow_detail=3", "-n", "-r", str(recording)]
    shown = subprocess.run([*mitmdump, *options], capture_output=True, text=True, timeout=60, check=True)
    for expected in ("POST https://api.example.com/v1/1.1", "/v1/2.0", "201 Created", "hello", "refused"):
        assert expected in shown.stdout
    assert "rror" not in shown.stderr


def test_an_exchange_is_read_back_as_it_was(recording: Path) -> None:
    flow = _record(
        recording,
        target=b"/v1/chat?page=2&sort=up",
        request=([JSON, (b"X-Odd", b"caf\xe9"), (b"A", b"1"), (b"A", b"2")], b'{"token": "hello", "n": 1}'),
        response=([JSON, (b"X-Request-Id", b"r1")], b'{"logprobs": [{"token": "hi"}]}'),
    )
    assert flow.request.method == "POST"
    assert flow.request.url == "https://api.example.com/v1/chat?page=2&sort=up"
    assert flow.request.headers.fields == (
        (b"Host", b"api.example.com"), JSON, (b"X-Odd", b"caf\xe9"), (b"A", b"1"), (b"A", b"2"),
    )  # fmt: skip
    assert flow.request.content == b'{"token": "hello", "n": 1}'
    assert flow.response is not None
    assert flow.response.status_code == 200
    assert flow.response.content == b'{"logprobs": [{"token": "hi"}]}'
    assert flow.comment == ""
    assert flow.error is None
    assert flow.request.timestamp_start <= (flow.response.timestamp_end or 0)


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "proxy-authorization",
        "X-API-Key",
        "x-goog-api-key",
        "api-key",
        "PRIVATE-TOKEN",
        "Cookie",
        "X-Injected",
    ],
)
def test_credential_headers_are_masked_on_both_sides(recording: Path, name: str) -> None:
    headers = [(name.encode(), b"Bearer anything"), (b"X-Other", b"Bearer anything")]
    flow = _record(
        recording, request=(headers, b""), response=(headers, b""), secret_headers=frozenset((b"x-injected",))
    )
    assert flow.response is not None
    for message in (flow.request, flow.response):
        assert message.headers[name] == "[REDACTED]"
        assert message.headers["X-Other"] == "Bearer anything"


def test_set_cookie_is_masked(recording: Path) -> None:
    flow = _record(recording, response=([(b"Set-Cookie", b"session=abc")], b""))
    assert flow.response is not None
    assert flow.response.headers["Set-Cookie"] == "[REDACTED]"


@pytest.mark.parametrize(
    ("target", "recorded"),
    [
        (b"/m?key=abc&alt=sse", "/m?key=[REDACTED]&alt=sse"),
        (b"/m?%6bey=abc", "/m?%6bey=[REDACTED]"),
        (b"/m?a=1;Access_Token=abc", "/m?a=1;Access_Token=[REDACTED]"),
        (b"/m?X-Amz-Signature=abc&X-Amz-Date=1", "/m?X-Amz-Signature=[REDACTED]&X-Amz-Date=1"),
        (b"/m?to=/&x#id_token=abc", "/m?to=/&x#id_token=[REDACTED]"),
        (b"/#access_token=abc", "/#access_token=[REDACTED]"),
        (b"/m?keyboard=abc", "/m?keyboard=abc"),
        (b"/bot" + PHANTOM + b"/send?x=" + PHANTOM, "/bot[REDACTED]/send?x=[REDACTED]"),
    ],
)
def test_only_secrets_in_a_target_are_masked(tmp_path: Path, target: bytes, recorded: str) -> None:
    assert _record(tmp_path / "one", target=target).request.path == recorded
    location = [(b"Location", b"https://api.example.com" + target)]
    response = _record(tmp_path / "two", response=(location, b"")).response
    assert response is not None
    assert response.headers["Location"] == "https://api.example.com" + recorded


def test_no_known_secret_is_anywhere_in_the_file(recording: Path) -> None:
    leaking = [(b"X-Echo", b"your key " + SECRET), (b"X-" + SECRET, b"1"), JSON]
    body = b'{"key": "' + SECRET + b'", "phantom": "' + PHANTOM + b'"}'
    with FlowRecorder(str(recording), _mask) as recorder:
        flow = _begin(recorder, *leaking, target=b"/?q=" + SECRET)
        for octet in body:
            flow.request_piece(bytes([octet]))
        flow.response(400, b"no " + PHANTOM, [*leaking, (b"Content-Encoding", b"gzip")])
        flow.response_piece(gzip.compress(body))
        flow.failed("sent " + SECRET.decode())
    content = recording.read_bytes()
    assert SECRET not in content
    assert PHANTOM not in content
    (read,) = _read(recording)
    assert read.response is not None
    assert read.response.content == b'{"key": "[REDACTED]", "phantom": "[REDACTED]"}'
    assert "decoded" in read.comment


@pytest.mark.parametrize(
    ("content_type", "body", "recorded"),
    [
        (
            b"application/json",
            b'{"access_token": "a\\"b", "expires_in": 5, "refresh_token":"c"}',
            b'{"access_token": "[REDACTED]", "expires_in": 5, "refresh_token":"[REDACTED]"}',
        ),
        (
            b"application/x-www-form-urlencoded",
            b"grant_type=refresh_token&client_secret=abc&scope=a",
            b"grant_type=refresh_token&client_secret=[REDACTED]&scope=a",
        ),
        (
            b"application/json",
            b'{"authorization_code": "a", "code_challenge": "b", "code_verifier": "c", "device_code": "d"}',
            b'{"authorization_code": "[REDACTED]", "code_challenge": "b", "code_verifier": "[REDACTED]", '
            b'"device_code": "[REDACTED]"}',
        ),
        (
            b"application/X-WWW-Form-Urlencoded; charset=utf-8",
            b"device_code=a&user_code=b",
            b"device_code=[REDACTED]&user_code=b",
        ),
        (b"text/plain", b"client_secret=abc", b"client_secret=abc"),
    ],
)
def test_tokens_of_an_oauth_exchange_are_masked(
    recording: Path, content_type: bytes, body: bytes, recorded: bytes
) -> None:
    flow = _record(recording, request=([(b"content-type", content_type)], body))
    assert flow.request.content == recorded


@pytest.mark.parametrize("coding", [b"gzip, br", b"x-unknown"])
def test_a_body_that_cannot_be_searched_is_left_out_with_a_comment(recording: Path, coding: bytes) -> None:
    flow = _record(recording, response=([(b"Content-Encoding", coding)], b"whatever"))
    assert flow.response is not None
    assert flow.response.content == b""
    assert "response body of 8 bytes left out" in flow.comment


def test_a_body_of_no_gzip_under_that_name_is_left_out(recording: Path) -> None:
    flow = _record(recording, response=([(b"Content-Encoding", b"gzip")], SECRET))
    assert flow.response is not None
    assert flow.response.content == b""


def test_a_body_coded_in_two_fields_is_left_out(recording: Path) -> None:
    headers = [(b"Content-Encoding", b"gzip"), (b"content-encoding", b"identity")]
    flow = _record(recording, response=(headers, gzip.compress(SECRET)))
    assert flow.response is not None
    assert flow.response.content == b""


@pytest.mark.parametrize("body", [b"a", b"=", b"&", b"key=", b'"password":"', b'"password":"\\', b"?"])
def test_masking_takes_time_in_proportion_to_the_body(recording: Path, body: bytes) -> None:
    form = [(b"Content-Type", b"application/x-www-form-urlencoded")]
    flow = _record(recording, request=(form, (body * MAX_BODY_BYTES)[:MAX_BODY_BYTES]))
    assert flow.request.content


def test_an_exchange_that_cannot_be_written_is_told_without_its_text(recording: Path) -> None:
    def failing(text: bytes) -> bytes:
        raise ValueError(text)

    with FlowRecorder(str(recording), failing) as recorder:
        _begin(recorder, target=b"/" + SECRET).finish()
    assert recorder.problem is not None
    assert "ValueError" in recorder.problem
    assert SECRET.decode() not in recorder.problem


@pytest.mark.parametrize("excess", [0, 1, 5 * 1024 * 1024])
def test_a_long_body_is_cut_with_a_comment(recording: Path, excess: int) -> None:
    flow = _record(recording, request=([], b"x" * (MAX_BODY_BYTES + excess)))
    assert flow.request.content == b"x" * MAX_BODY_BYTES
    assert flow.comment == (
        f"request body of {MAX_BODY_BYTES + excess:,} bytes cut after 1,048,576 bytes" if excess else ""
    )


def test_a_secret_across_the_cut_does_not_leave_its_beginning(recording: Path) -> None:
    flow = _record(recording, response=([], b"x" * (MAX_BODY_BYTES - 10) + SECRET + b"y" * 100))
    assert flow.response is not None
    assert flow.response.content == b"x" * (MAX_BODY_BYTES - 10) + b"[REDACTED]"


def test_a_bomb_is_recorded_up_to_the_limit(recording: Path) -> None:
    bomb = gzip.compress(bytes(256 * 1024 * 1024), 9)
    flow = _record(recording, response=([(b"Content-Encoding", b"gzip")], bomb))
    assert flow.response is not None
    assert flow.response.content == bytes(MAX_BODY_BYTES)
    assert "cut after" in flow.comment


def test_the_file_is_for_this_user_alone(recording: Path) -> None:
    with FlowRecorder(str(recording), _mask):
        assert stat.S_IMODE(recording.stat().st_mode) == 0o600


@pytest.mark.parametrize("what", ["file", "link", "dangling link"])
def test_nothing_that_is_there_is_written_over(recording: Path, tmp_path: Path, what: str) -> None:
    if what != "file":
        recording.symlink_to(tmp_path / "target")
    if what != "dangling link":
        recording.write_bytes(b"precious")
    with pytest.raises(FileExistsError), FlowRecorder(str(recording), _mask):
        pass
    assert what == "dangling link" or recording.read_bytes() == b"precious"


def test_what_is_open_at_the_end_is_written_with_the_reason(recording: Path) -> None:
    with FlowRecorder(str(recording), _mask) as recorder:
        for number in range(40):
            flow = _begin(recorder, target=b"/%d" % number)
            flow.response(200, b"OK", [])
            flow.response_piece(b"so far")
    flows = _read(recording)
    assert [flow.request.path for flow in flows] == [f"/{number}" for number in range(40)]
    assert all(flow.error is not None and "ended before" in flow.error.msg for flow in flows)


def test_only_the_first_end_counts(recording: Path) -> None:
    with FlowRecorder(str(recording), _mask) as recorder:
        flow = _begin(recorder)
        flow.response(200, b"OK", [])
        flow.finish()
        flow.failed("late")
        flow.response_piece(b"late")
    (read,) = _read(recording)
    assert read.error is None
    assert read.response is not None
    assert read.response.content == b""


def test_a_full_disk_leaves_whole_flows_with_a_warning(recording: Path) -> None:
    program = f"""
import resource, signal
from nono.proxy.flows.recorder import FlowRecorder
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
with FlowRecorder({str(recording)!r}, bytes) as recorder:
    for _ in range(50):
        flow = recorder.begin(
            method=b"POST", scheme="http", host="h", port=80, target=b"/", version=b"1.1", headers=[]
        )
        flow.request_piece(b"x" * 5000)
        flow.finish()
print(recorder.problem)
"""
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True, env=_env()
    )
    assert "not every exchange was recorded" in shown.stdout
    assert "File too large" in shown.stdout
    assert 1 <= len(_read(recording)) <= 3


def _env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}


def test_a_killed_process_leaves_the_flows_that_had_ended(recording: Path) -> None:
    program = f"""
import os, signal, time
from nono.proxy.flows.recorder import FlowRecorder
with FlowRecorder({str(recording)!r}, bytes) as recorder:
    flow = recorder.begin(
        method=b"GET", scheme="http", host="h", port=80, target=b"/", version=b"1.1", headers=[]
    )
    flow.finish()
    while os.stat({str(recording)!r}).st_size == 0:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", program], timeout=60, check=False, env=_env())
    assert ended.returncode == -9
    assert len(_read(recording)) == 1


def test_recording_keeps_little_memory_of_a_long_body(recording: Path) -> None:
    with FlowRecorder(str(recording), _mask) as recorder:
        flow = _begin(recorder)
        flow.response(200, b"OK", [])
        piece = bytes(256 * 1024)
        flow.response_piece(piece)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(1024):
            flow.response_piece(piece)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024
        flow.finish()


def test_all_recordings_together_keep_little(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "MAX_KEPT_IN_ALL_BYTES", 300_000)
    with FlowRecorder(str(recording), _mask) as recorder:
        flows = [_begin(recorder) for _ in range(8)]
        for flow in flows:
            flow.request_piece(b"a" * 100_000)
        assert recorder.kept.free == 0
        assert sum(len(flow._request_body.kept) for flow in flows) == 300_000
        for flow in flows:
            flow.finish()
    assert recorder.kept.free == 300_000
    comments = [flow.comment for flow in _read(recording)]
    cut = "request body of 100,000 bytes cut short, because other exchanges took the memory for recordings"
    assert comments == [""] * 3 + [cut] * 5


@pytest.mark.parametrize("room", [BEYOND_BYTES + 10, BEYOND_BYTES - 2])
def test_a_secret_where_memory_ended_does_not_leave_its_beginning(
    recording: Path, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "MAX_KEPT_IN_ALL_BYTES", room)
    with FlowRecorder(str(recording), _mask) as recorder:
        flow = _begin(recorder)
        flow.request_piece(b"." * (room - 10) + SECRET)
        recorder.kept.give_back(100)  # another exchange has ended: nothing goes on behind the gap
        flow.request_piece(b"after")
        flow.finish()
    assert SECRET[:4] not in recording.read_bytes()
    assert b"after" not in recording.read_bytes()
    assert (b".........." in recording.read_bytes()) is (room > BEYOND_BYTES)


def test_the_loop_does_not_wait_for_the_disk(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "MAX_WAITING_FLOWS", 3)
    goes_on = threading.Event()

    def slow(text: bytes) -> bytes:
        goes_on.wait(20)
        return text

    with FlowRecorder(str(recording), slow) as recorder:
        for _ in range(8):
            flow = _begin(recorder)
            flow.request_piece(b"kept")
            flow.finish()
        assert recorder.problem is not None
        assert "the disk is too slow" in recorder.problem
        goes_on.set()
    assert 3 <= len(_read(recording)) <= 5
    assert recorder.kept.free == recorder_module.MAX_KEPT_IN_ALL_BYTES


def test_the_end_of_a_run_does_not_wait_for_the_disk(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "_ENDING_S", -1.0)
    with FlowRecorder(str(recording), _mask) as recorder:
        flows = [_begin(recorder) for _ in range(2)]
        flows[0].request_piece(b"kept")
    assert recorder.problem == f"{recording}: not every exchange was recorded: the disk is too slow"
    assert _read(recording) == []
    assert recorder.kept.free == recorder_module.MAX_KEPT_IN_ALL_BYTES
