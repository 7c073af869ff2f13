"""Which Unix sockets are granted, by what, and what beats the grants."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.errors import NonoError, SandboxError
from nono.policy.capability import Access, Grant
from nono.policy.environment.inheritance import child_environment
from nono.policy.files.unix_sockets import UnixSocketRules, shown
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.path_expansion import Filesystem
from nono.policy.request import RunRequest
from nono.policy.resolve import Resolved, resolve
from nono.policy.schema.profile import Filesystem as Files
from nono.policy.schema.profile import Profile
from nono.policy.socket_grant import SocketDirectory, SocketGrant, SocketScope, united
from nono.supervisor.verdict.adjudicator import PerformUnix, Refuse, judge_unix
from support.profiles.questions import why_socket

Resolve = Callable[..., Resolved]
MakeFilesystem = Callable[..., Filesystem]
HOME = "/home/ada"
WORK = f"{HOME}/work"


@pytest.fixture
def fs(make_fs: MakeFilesystem) -> Filesystem:
    return make_fs(
        directories=("/run/one/two", f"{WORK}/sub", "/run/empty"),
        files=("/run/one/a.sock", "/run/one/plain", f"{HOME}/.ssh/agent.sock", "/run/docker.sock"),
        links={"/var/run": "/run", "/run/dangling": "/run/nothing", "/run/one/link.sock": "/run/one/a.sock"},
    )


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        (SocketScope.FILE, {"/a"}),
        (SocketScope.DIR_CHILDREN, {"/a/b"}),
        (SocketScope.DIR_SUBTREE, {"/a/b", "/a/b/c"}),
    ],
)
def test_a_scope_covers_what_its_name_says(scope: SocketScope, covered: set[str]) -> None:
    grant = SocketGrant("/a", scope, False, "user", "/a")
    paths = ("/a", "/a/b", "/a/b/c", "/ab", "/", "/b", "/a2/b")
    assert {path for path in paths if grant.covers(path)} == covered


def test_grants_name_what_links_lead_to(run: Resolve) -> None:
    resolved = run(allow_unix_socket=("/var/run/docker.sock", "/run/one/link.sock"))
    assert [grant.path for grant in resolved.capabilities.sockets] == ["/run/docker.sock", "/run/one/a.sock"]
    assert resolved.unix_sockets.judge("/run/docker.sock", binds=False).is_allowed
    assert not resolved.unix_sockets.judge("/var/run/docker.sock", binds=False).is_allowed


def test_a_grant_to_bind_includes_connecting(run: Resolve) -> None:
    rules = run(
        allow_unix_socket=("/run/one/a.sock",), allow_unix_socket_bind=("/run/new.sock",)
    ).unix_sockets
    assert rules.judge("/run/new.sock", binds=True).is_allowed
    assert rules.judge("/run/new.sock", binds=False).is_allowed
    refused = rules.judge("/run/one/a.sock", binds=True)
    assert refused.reason == "no matching unix_socket_bind capability"
    assert refused.hint == "--allow-unix-socket-bind /run/one/a.sock"


@pytest.mark.parametrize(
    ("granted", "path", "inherits"),
    [
        pytest.param("/run/one/a.sock", "/run/one/a.sock", True, id="its socket"),
        pytest.param("/run/one/a.sock", "/run/one/link.sock", True, id="a link to it"),
        pytest.param("/run/docker.sock", "/run/one/a.sock", False, id="another socket"),
        pytest.param("/run/one/a.sock", "one/a.sock", False, id="a path that depends on the directory"),
    ],
)
def test_where_the_ssh_agent_is_can_be_inherited_if_its_socket_is_granted(
    run: Resolve, granted: str, path: str, inherits: bool
) -> None:
    environ = {"SSH_AUTH_SOCK": path}
    resolved = run(environ=environ, allow_unix_socket=(granted,))
    assert child_environment(environ, resolved.environment) == (environ if inherits else {})


def test_modes_of_one_path_and_scope_are_united() -> None:
    connect = SocketGrant("/a", SocketScope.FILE, False, "profile", "/a")
    both = united([connect, connect._replace(binds=True, source="user"), connect])
    assert both == (connect._replace(binds=True),)


def test_profile_and_flags_add_up(run: Resolve) -> None:
    profile = Profile(filesystem=Files(unix_socket=("$AGENT", "$UNSET"), unix_socket_dir=("/run/one",)))
    resolved = run(
        profile, environ={"AGENT": "/run/one/a.sock"}, allow_unix_socket_subtree_bind=("/run/empty",)
    )
    assert [(grant.path, grant.scope, grant.binds) for grant in resolved.capabilities.sockets] == [
        ("/run/one/a.sock", SocketScope.FILE, False),
        ("/run/one", SocketScope.DIR_CHILDREN, False),
        ("/run/empty", SocketScope.DIR_SUBTREE, True),
    ]
    assert any("$UNSET" in text for text in resolved.skipped)


@pytest.mark.parametrize(
    ("flag", "path", "said"),
    [
        ("allow_unix_socket", "/run/one/plain", "Expected a pathname Unix socket"),
        ("allow_unix_socket", "/run/one", "Expected a pathname Unix socket"),
        ("allow_unix_socket_bind", "/run/one/plain", "Expected a pathname Unix socket"),
        ("allow_unix_socket_bind", "/run/dangling", "a link to what does not exist"),
        ("allow_unix_socket_dir", "/run/one/a.sock", "Expected a directory but got a file"),
        ("allow_unix_socket_subtree", "/", "every Unix socket below '/'"),
    ],
)
def test_a_path_of_the_wrong_kind_is_an_error(run: Resolve, flag: str, path: str, said: str) -> None:
    with pytest.raises(NonoError, match=said):
        run(**{flag: (path,)})


@pytest.mark.parametrize(
    ("flag", "path"),
    [
        ("allow_unix_socket", "/run/missing.sock"),
        ("allow_unix_socket_bind", "/nowhere/missing.sock"),
        ("allow_unix_socket_dir_bind", "/run/missing"),
    ],
)
def test_a_missing_path_is_listed_as_skipped(run: Resolve, flag: str, path: str) -> None:
    resolved = run(**{flag: (path,)})
    assert resolved.capabilities.sockets == ()
    assert resolved.skipped == (path,)


@pytest.mark.parametrize(
    ("flag", "path", "said", "hint"),
    [
        (
            "allow_unix_socket",
            "/run/missing.sock",
            "'/run/missing.sock' does not exist",
            "start what listens there",
        ),
        (
            "allow_unix_socket_bind",
            "/nowhere/a.sock",
            "the directory '/nowhere' does not exist",
            "mkdir -p /nowhere,",
        ),
        ("allow_unix_socket_bind", "/run/one/plain/a.sock", "no socket can have that name", None),
        ("allow_unix_socket_dir", "/run/missing", "'/run/missing' does not exist", "mkdir -p /run/missing,"),
        ("allow_unix_socket_subtree_bind", "/run/gone", "'/run/gone' does not exist", "mkdir -p /run/gone,"),
    ],
)
def test_what_is_missing_of_a_socket_is_named_with_what_makes_it(
    run: Resolve, flag: str, path: str, said: str, hint: str | None
) -> None:
    with pytest.raises(NonoError) as refused:
        run(**{flag: (path,)}, refuses_missing=True)
    assert said in str(refused.value)
    assert (refused.value.hint or "").startswith(hint or "")
    assert (refused.value.hint is None) == (hint is None)


def test_a_socket_to_bind_needs_only_its_directory(run: Resolve) -> None:
    (grant,) = run(allow_unix_socket_bind=("/run/one/new.sock",), refuses_missing=True).capabilities.sockets
    assert grant.path == "/run/one/new.sock"


def test_only_a_bypass_by_name_lifts_the_denial_of_a_socket(run: Resolve) -> None:
    agent = f"{HOME}/.ssh/agent.sock"
    with pytest.raises(SandboxError, match="Refusing to grant what a deny rule protects"):
        run(allow_unix_socket=(agent,))
    lifted = run(allow_unix_socket=(agent,), bypass_protection=(agent,))
    assert lifted.unix_sockets.judge(agent, binds=False).is_allowed


def test_protected_sockets_beat_the_grant_of_a_directory_above(run: Resolve) -> None:
    rules = run(allow_unix_socket_subtree_bind=(HOME,)).unix_sockets
    assert rules.judge(f"{WORK}/a.sock", binds=True).is_allowed
    for path in (f"{HOME}/.ssh/agent.sock", f"{HOME}/.local/state/nono/control.sock"):
        assert not rules.judge(path, binds=False).is_allowed
    with pytest.raises(NonoError, match="protected nono state root"):
        run(allow_unix_socket_bind=(f"{HOME}/.nono/x.sock",))


def test_landlock_learns_of_narrow_socket_directories_only(
    run: Resolve,
) -> None:
    binds = run(
        allow_unix_socket=("/run/docker.sock",),
        allow_unix_socket_dir=("/run/one",),
        allow_unix_socket_bind=("/run/empty/new.sock", f"{HOME}/new.sock", "/new.sock"),
        allow_unix_socket_subtree_bind=(HOME, f"{WORK}/sub"),
    )
    assert binds.capabilities.socket_directories == (
        SocketDirectory("/run/empty", makes=True),
        SocketDirectory("/run/one", makes=False),
        SocketDirectory(f"{WORK}/sub", makes=True),
    )


@given(st.binary(max_size=20))
def test_what_is_shown_can_be_printed_whatever_the_path_holds(path: bytes) -> None:
    assert shown(path.decode("utf-8", "surrogateescape")).isprintable()


def test_a_usual_path_is_shown_as_it_is() -> None:
    assert shown("/run/user/1000/bus") == "/run/user/1000/bus"
    assert shown("/tmp/\x1b[31m\n\udcff") == "/tmp/\\x1b[31m\\n\\xff"


@pytest.mark.parametrize("is_mediated", [True, False])
def test_whoever_connects_to_nobody_hears_it_from_the_kernel(is_mediated: bool) -> None:
    rules = UnixSocketRules(files=None if is_mediated else ())
    assert isinstance(judge_unix("/run/gone.sock", rules, binds=False, is_dead=True), PerformUnix)
    assert isinstance(judge_unix("/run/gone.sock", rules, binds=True, is_dead=True), Refuse)


def test_where_files_may_be_written_only_its_own_sockets_are_reached() -> None:
    rules = UnixSocketRules(written=(Grant(WORK, Access.READWRITE, True, "user", WORK),))
    inside, beside = f"{WORK}/a.sock", f"{HOME}/a.sock"
    assert not rules.judge(inside, binds=False).is_allowed
    assert rules.judge(inside, binds=False, is_own=True).is_allowed
    assert rules.judge(inside, binds=False, is_resolved=False).is_allowed  # nobody is there
    assert rules.judge(inside, binds=True).is_allowed
    assert rules.judge(beside, binds=False, is_own=True).is_allowed
    assert not rules.judge(beside, binds=False, is_resolved=False).is_allowed
    assert not rules.judge(beside, binds=True, is_own=True).is_allowed
    assert not rules._replace(state_roots=(HOME,)).judge(inside, binds=False, is_own=True).is_allowed


def test_a_denial_says_nothing_of_who_is_there(run: Resolve) -> None:
    rules = run().unix_sockets
    assert isinstance(judge_unix(f"{HOME}/.ssh/gone.sock", rules, binds=False, is_dead=True), Refuse)


def test_why_says_what_the_supervisor_would(run: Resolve, fs: Filesystem) -> None:
    proxied = run(allow_domain=("x.example",), allow_unix_socket=("/run/docker.sock",))
    allowed = why_socket(proxied, "/var/run/docker.sock", fs, binds=False)
    assert (allowed.reason, allowed.access) == ("granted_unix_socket", "connect")
    assert allowed.granted_path == "/run/docker.sock"
    binds = run(allow_domain=("x.example",), allow_unix_socket_bind=("/run/docker.sock",))
    assert why_socket(binds, "/run/docker.sock", fs, binds=False).access == "connect+bind"
    denied = why_socket(proxied, "/run/docker.sock", fs, binds=True)
    assert (denied.status, denied.suggested_flag) == (
        "denied",
        "--allow-unix-socket-bind /run/docker.sock",
    )
    assert why_socket(run(), "/run/docker.sock", fs, binds=True).reason == "unix_socket_not_mediated"


def test_why_says_which_sockets_mounts_hide(run: Resolve, make_fs: MakeFilesystem) -> None:
    fs = make_fs(files=("/run/docker.sock", "/run/user/7/shown.sock"))
    granted = run(allow_unix_socket=("/run/user/7/shown.sock",), fs=fs)
    kept = granted.capabilities._replace(runtime_dir="/run/user/7", closed_sockets=("/run/docker.sock",))
    hiding = granted._replace(capabilities=kept)
    for path in ("/run/user/7/bus", "/run/docker.sock"):
        answer = why_socket(hiding, path, fs, binds=False)
        assert (answer.status, answer.reason) == ("denied", "unix_socket_hidden")
        assert answer.suggested_flag == f"--allow-unix-socket {path}"
        assert why_socket(granted, path, fs, binds=False).status == "allowed"
    for path in ("/run/user/7/shown.sock", "/run/user/8/bus", "/run/docker.sock.other"):
        assert why_socket(hiding, path, fs, binds=False).status == "allowed"
    assert why_socket(hiding, "/run/user/7/own", fs, binds=True).status == "allowed"


@given(st.sampled_from(["/run/docker.sock", "/run/one/a.sock", "/run/one/two/b.sock"]), st.booleans())
def test_why_and_the_adjudicator_agree_about_sockets(path: str, binds: bool) -> None:
    request = RunRequest(allow_domain=("x.example",), allow_unix_socket_dir=("/run",))
    resolved = resolve(request, None, environ={"HOME": "/root"}, cwd="/", fs=HostFilesystem())
    verdict = judge_unix(path, resolved.unix_sockets, binds=binds)
    answer = why_socket(resolved, path, HostFilesystem(), binds=binds)
    assert (answer.status == "allowed") == isinstance(verdict, PerformUnix)
    if isinstance(verdict, Refuse):
        assert (answer.details, answer.suggested_flag) == (verdict.reason, verdict.hint)


def test_the_agent_variable_passes_only_with_its_socket(run: Resolve) -> None:
    environ = {"SSH_AUTH_SOCK": "/run/one/link.sock"}
    granted = run(environ=environ, allow_unix_socket_dir=("/run/one",)).environment
    assert child_environment(environ, granted) == environ
    assert child_environment(environ, run(environ=environ).environment) == {}
    beside = run(environ=environ, allow_unix_socket=("/run/docker.sock",)).environment
    assert child_environment(environ, beside) == {}
