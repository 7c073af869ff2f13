"""From flags and profile to the policy of a run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.errors import ConfigError, NonoError, SandboxError, UsageError
from nono.policy.capability import Access, Grant, NetworkMode
from nono.policy.files.grants import accesses, united
from nono.policy.hosts.host_filter import Allow, HostFilter, Refuse
from nono.policy.path_expansion import Filesystem
from nono.policy.resolve import Resolved, RunRequest, asked_for, resolve
from nono.policy.schema.profile import (
    Environment,
    Groups,
    Meta,
    Network,
    Profile,
    Security,
    Workdir,
)
from nono.policy.schema.profile import Filesystem as Files
from nono.policy.schema.routes import (
    CustomCredential,
    ProviderEntry,
    ProviderRoute,
    ResponseFieldEntry,
    TokenEndpointEntry,
)

HOME = "/home/ada"
WORK = f"{HOME}/work"

Resolve = Callable[..., Resolved]
MakeFilesystem = Callable[..., Filesystem]


def access_to(resolved: Resolved, path: str) -> Access | None:
    return accesses(resolved.capabilities.grants, path)


def grant_on(resolved: Resolved, path: str) -> Grant:
    return next(grant for grant in resolved.capabilities.grants if grant.path == path)


def hosts(resolved: Resolved) -> HostFilter:
    assert resolved.host_filter is not None
    return resolved.host_filter


def files(**lists: tuple[str, ...]) -> Profile:
    return Profile(meta=Meta(name="web"), filesystem=Files(**lists))


# Grants


def test_nothing_but_the_default_groups_is_granted_unasked(run: Resolve) -> None:
    resolved = run()
    assert {grant.source.partition(":")[0] for grant in resolved.capabilities.grants} == {"group"}
    assert access_to(resolved, "/usr/lib/x") is Access.READ
    assert access_to(resolved, WORK) is None
    assert access_to(resolved, "/etc/shadow") is None


@pytest.mark.parametrize(
    ("flag", "path", "access"),
    [
        ("allow", WORK, Access.READWRITE),
        ("read", WORK, Access.READ),
        ("write", WORK, Access.WRITE),
        ("allow_file", f"{WORK}/main.py", Access.READWRITE),
        ("read_file", f"{WORK}/main.py", Access.READ),
        ("write_file", f"{WORK}/main.py", Access.WRITE),
    ],
)
def test_each_flag_grants_only_its_access(run: Resolve, flag: str, path: str, access: Access) -> None:
    resolved = run(**{flag: (path,)})
    assert access_to(resolved, path) is access
    assert access_to(resolved, f"{path}x") is None


@pytest.mark.parametrize("spelling", [".", "~/work", "../work", WORK, f"{WORK}/"])
def test_a_flag_is_read_from_the_cwd_and_the_home_directory(run: Resolve, spelling: str) -> None:
    assert grant_on(run(read=(spelling,)), WORK).source == "user"


@pytest.mark.parametrize("spelling", [".", "~/work", "$HOME/work", "$WORKDIR", "$ELSEWHERE/work"])
def test_a_profiles_path_expands_its_variables(run: Resolve, spelling: str) -> None:
    resolved = run(files(read=(spelling,)), {"ELSEWHERE": HOME})
    assert grant_on(resolved, WORK).source == "profile"


def test_the_environment_does_not_redirect_a_built_in_variable(run: Resolve) -> None:
    resolved = run(files(read=("$WORKDIR",)), {"WORKDIR": "/etc"})
    assert access_to(resolved, WORK) is Access.READ
    assert access_to(resolved, "/etc/shadow") is None


def test_a_grant_through_a_symlink_remembers_its_name(run: Resolve, make_fs: MakeFilesystem) -> None:
    fs = make_fs(links={f"{HOME}/link": "/data/vault"})
    grant = grant_on(run(fs=fs, read=("~/link",)), "/data/vault")
    assert grant.original == f"{HOME}/link"


def test_the_user_database_is_readable_unless_excluded(run: Resolve, make_fs: MakeFilesystem) -> None:
    fs = make_fs(files=("/etc/passwd", "/etc/group"))
    for path in ("/etc/passwd", "/etc/group"):
        assert access_to(run(fs=fs), path) is Access.READ
        assert access_to(run(Profile(groups=Groups(exclude=("system_identity",))), fs=fs), path) is None
    assert access_to(run(fs=fs), "/etc/shadow") is None


def test_a_missing_state_directory_is_made_to_be_granted(run: Resolve) -> None:
    resolved = run(files(state_dir=("~/.agent/tmp", "~/.agent", "~/work", "/tmp/agent", "$UNSET/x")))
    for path in (f"{HOME}/.agent/tmp/file", f"{WORK}/file"):
        assert access_to(resolved, path) is Access.READWRITE
    assert access_to(resolved, f"{HOME}/.agents") is None
    made = [f"{HOME}/.agent", f"{HOME}/.agent/tmp", "/tmp/agent", WORK]
    assert [grant.path for grant in resolved.state_directories] == sorted(made)
    assert resolved.skipped == ("$UNSET/x ($UNSET is not set)",)
    assert run(files(allow=("~/.agent",))).state_directories == ()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("~/work/main.py", "is not a directory"),
        ("~/.local/state/nono/agent", "overlaps protected nono state root"),
        ("~/.ssh/agent", "deny_credentials"),
        ("~/.aws", "deny_credentials"),
    ],
)
def test_a_state_directory_may_not_be_where_no_grant_may(run: Resolve, path: str, reason: str) -> None:
    with pytest.raises(NonoError, match=reason):
        run(files(state_dir=(path,)))


def test_what_does_not_exist_is_reported_as_skipped(run: Resolve) -> None:
    resolved = run(files(read=("~/gone", "$UNSET/x")), read=("missing",))
    assert set(resolved.skipped) == {f"{HOME}/gone", f"{WORK}/missing", "$UNSET/x ($UNSET is not set)"}


def test_a_file_for_a_directory_flag_is_an_error(run: Resolve) -> None:
    with pytest.raises(ConfigError) as error:
        run(allow=("main.py",))
    assert error.value.message == (f"'{WORK}/main.py' is a file, and this option takes a directory.")
    assert error.value.hint == f"--allow-file {WORK}/main.py"


@pytest.mark.parametrize("option", ["allow", "read"])
def test_a_socket_for_a_directory_flag_is_told_its_own_option(
    run: Resolve, make_fs: MakeFilesystem, option: str
) -> None:
    with pytest.raises(ConfigError) as error:
        run(fs=make_fs(files=(f"{WORK}/a.sock",)), **{option: ("a.sock",)})
    assert error.value.message == f"'{WORK}/a.sock' is a Unix socket, and this option takes a directory."
    assert error.value.hint == f"--allow-unix-socket {WORK}/a.sock lets the command connect to it"


def test_a_file_for_a_directory_of_a_profile_is_a_file_grant(run: Resolve) -> None:
    assert not grant_on(run(files(allow=("main.py",))), f"{WORK}/main.py").is_dir


def test_a_directory_for_a_file_flag_is_an_error(run: Resolve) -> None:
    with pytest.raises(NonoError, match=r"is a directory, and this option takes a file\.$"):
        run(read_file=(".",))
    with pytest.raises(NonoError, match=r"is a directory, and this option takes a file\.$"):
        run(files(read_file=(".",)))


def test_a_users_grant_unites_with_the_groups_on_the_same_path(run: Resolve) -> None:
    assert access_to(run(), "/tmp") is Access.WRITE
    grant = grant_on(run(read=("/tmp",)), "/tmp")
    assert grant.access is Access.READWRITE
    assert grant.source == "user"


def test_what_names_the_opening_process_keeps_its_spelling(run: Resolve) -> None:
    for path in ("/proc/self", "/dev/fd", "/dev/stdin"):
        grant = grant_on(run(), path)
        assert grant.original == path
    assert grant_on(run(read_file=("/proc/self/status",)), "/proc/self/status").source == "user"


def test_a_magic_link_out_of_proc_self_is_followed(run: Resolve) -> None:
    with pytest.raises(NonoError, match="Refusing to grant '/' "):
        run(read=("/proc/self/root",))


# Denials


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param({"read": ("~/.ssh",)}, id="the denied path"),
        pytest.param({"read_file": ("~/.ssh/id_rsa",)}, id="below it"),
    ],
)
def test_a_grant_at_or_below_a_denied_path_is_refused(
    run: Resolve, flags: dict[str, tuple[str, ...]]
) -> None:
    with pytest.raises(SandboxError) as error:
        run(**flags)
    path = next(iter(flags.values()))[0].replace("~", HOME)
    assert f"'{path}' (source: user)" in error.value.message
    assert "(group:deny_credentials)" in error.value.message
    assert f"--bypass-protection {path}" in error.value.message
    run(**flags, bypass_protection=(path,))


def test_a_name_that_only_begins_like_a_denied_one_is_granted(run: Resolve, make_fs: MakeFilesystem) -> None:
    assert access_to(run(fs=make_fs((f"{HOME}/.sshx",)), read=("~/.sshx",)), f"{HOME}/.sshx") is Access.READ


def test_one_bypass_lifts_a_denied_symlink_with_its_target(run: Resolve, make_fs: MakeFilesystem) -> None:
    fs = make_fs(links={f"{HOME}/.aws": "/data/vault"})
    for path in ("/data/vault", "~/.aws"):
        with pytest.raises(SandboxError):
            run(fs=fs, read=(path,))
    resolved = run(fs=fs, read=("~/.aws",), bypass_protection=("~/.aws",))
    assert access_to(resolved, "/data/vault") is Access.READ


def test_a_denied_name_is_denied_where_its_target_is_not(run: Resolve, make_fs: MakeFilesystem) -> None:
    fs = make_fs(files=("/nix/store/a-npmrc",), links={f"{HOME}/.npmrc": "/nix/store/a-npmrc"})
    with pytest.raises(SandboxError, match="deny_credentials"):
        run(fs=fs, read_file=("~/.npmrc",))
    assert access_to(run(fs=fs, read=("/nix/store",)), "/nix/store/a-npmrc") is Access.READ


def test_a_symlink_to_a_denied_path_is_denied(run: Resolve, make_fs: MakeFilesystem) -> None:
    with pytest.raises(SandboxError):
        run(fs=make_fs(links={f"{WORK}/keys": f"{HOME}/.ssh"}), read=("keys",))


def test_a_bypass_lifts_a_denial_for_one_path_only(run: Resolve) -> None:
    resolved = run(read_file=("~/.ssh/known_hosts",), bypass_protection=("~/.ssh/known_hosts",))
    assert access_to(resolved, f"{HOME}/.ssh/known_hosts") is Access.READ
    assert resolved.deny_rules.covering(f"{HOME}/.ssh/id_rsa") is not None
    with pytest.raises(SandboxError, match="id_rsa"):
        run(read_file=("~/.ssh/known_hosts", "~/.ssh/id_rsa"), bypass_protection=("~/.ssh/known_hosts",))


def test_a_bypass_without_a_grant_is_an_error(run: Resolve) -> None:
    with pytest.raises(SandboxError, match="has no matching grant"):
        run(bypass_protection=("~/.ssh",))


@pytest.mark.parametrize(
    ("granted", "warned"),
    [
        pytest.param(("/mnt/c/site",), ["/mnt/c"], id="a directory of a Windows drive"),
        pytest.param(("/mnt/c/site", "/mnt/c/lib"), ["/mnt/c"], id="two of one drive"),
        pytest.param(("/mnt/c/site", "/mnt/d"), ["/mnt/c", "/mnt/d"], id="two drives"),
        pytest.param(("/mnt/c/linux",), [], id="a Linux disk mounted on the drive"),
        pytest.param((".",), [], id="a Linux disk"),
    ],
)  # fmt: skip
def test_a_grant_on_a_9p_file_system_is_a_warning_for_each_of_those(
    run: Resolve, make_fs: MakeFilesystem, granted: tuple[str, ...], warned: list[str]
) -> None:
    mounts = (
        "20 1 8:1 / / rw - ext4 /dev/a rw\n"
        "21 20 0:50 / /mnt/c rw,noatime - 9p C:\\134 rw,dirsync,aname=drvfs;path=C:\\;uid=1000\n"
        "22 20 0:51 / /mnt/d rw,noatime - 9p D:\\134 rw,dirsync,aname=drvfs;path=D:\\;uid=1000\n"
        "23 21 8:2 / /mnt/c/linux rw - ext4 /dev/b rw\n"
    )
    fs = make_fs(("/mnt/c/site", "/mnt/c/lib", "/mnt/c/linux", "/mnt/d"), mountinfo=mounts)
    told = [text for text in run(allow=granted, fs=fs).warnings if "9P" in text]
    assert [text.split()[0] for text in told] == warned


def test_a_missing_bypass_of_a_profile_is_only_a_warning(run: Resolve) -> None:
    assert any("~/.netrc" in warning for warning in run(files(bypass_protection=("~/.netrc",))).warnings)


def test_a_profiles_denial_binds_the_command_line_and_the_groups(run: Resolve) -> None:
    with pytest.raises(SandboxError, match=r"profile web, filesystem.deny"):
        run(files(deny=("./main.py",)), read_file=("main.py",))
    resolved = run(files(deny=("/etc/hosts",)))
    assert access_to(run(), "/etc/hosts") is Access.READ
    assert access_to(resolved, "/etc/hosts") is None
    assert any("/etc/hosts" in warning for warning in resolved.warnings)


@pytest.mark.parametrize(
    "path", ["/proc/self/task", "/proc/./self/mem", "/proc/thread-self/comm", "/dev/fd/0"]
)
def test_a_file_of_each_process_can_only_be_denied_as_a_whole(run: Resolve, path: str) -> None:
    with pytest.raises(
        SandboxError, match="cannot be denied: each process finds a file of its own"
    ) as refused:
        run(files(deny=(path,)))
    whole = str(refused.value.hint).split()[1]
    granted = [grant.path for grant in run(files(deny=(whole,))).capabilities.grants]
    assert whole not in granted
    assert whole == "/proc/thread-self" or whole in [grant.path for grant in run().capabilities.grants]


def test_a_denial_that_does_not_expand_is_an_error(run: Resolve) -> None:
    with pytest.raises(ConfigError, match=r"\$UNSET is not set"):
        run(files(deny=("$UNSET/x",)))


@pytest.mark.parametrize(
    "path", ["~", "/", "~/.local", "~/.local/state/nono", "~/.local/state/nono/new", "~/.nono", "~/.nono/x"]
)
def test_state_that_does_not_exist_yet_is_out_of_reach(run: Resolve, path: str) -> None:
    with pytest.raises(NonoError, match="overlaps protected nono state root"):
        run(read=(path,))
    with pytest.raises(NonoError, match="overlaps protected nono state root"):
        run(read=(path,), bypass_protection=(path,))


def test_temporary_directories_that_hold_the_home_are_not_granted(
    run: Resolve, make_fs: MakeFilesystem
) -> None:
    resolved = run(None, {"HOME": "/tmp/home"}, make_fs(("/tmp/home",)))
    assert access_to(resolved, "/tmp") is None
    assert resolved.warnings[0].startswith("/tmp is not granted: /tmp/home lies")


# Groups


def test_a_profile_chooses_its_groups_by_name(run: Resolve, make_fs: MakeFilesystem) -> None:
    fs = make_fs((f"{HOME}/.local/bin",))
    rust = Profile(groups=Groups(include=("rust_runtime",)))
    assert access_to(run(rust, fs=fs), f"{HOME}/.cargo/bin/cargo") is Access.READ
    assert access_to(run(fs=fs), f"{HOME}/.cargo/bin/cargo") is None
    assert access_to(run(fs=fs), f"{HOME}/.local/bin") is Access.READ
    assert (
        access_to(run(Profile(groups=Groups(exclude=("user_tools",))), fs=fs), f"{HOME}/.local/bin") is None
    )


def test_a_required_group_cannot_be_excluded(run: Resolve) -> None:
    with pytest.raises(ConfigError, match="Cannot exclude required groups: 'deny_credentials'"):
        run(Profile(groups=Groups(exclude=("deny_credentials", "user_tools"))))


def test_an_unknown_group_is_an_error_with_the_nearest_name(run: Resolve) -> None:
    with pytest.raises(ConfigError, match="Unknown policy group: 'node_runtim'") as error:
        run(Profile(groups=Groups(include=("node_runtim",))))
    assert error.value.hint == "did you mean 'node_runtime'?"


# The working directory


@pytest.mark.parametrize(
    ("profile", "access"),
    [
        (None, Access.READ),
        (Profile(), None),
        (Profile(workdir=Workdir("write")), Access.WRITE),
        (Profile(workdir=Workdir("readwrite")), Access.READWRITE),
    ],
)
def test_allow_cwd_grants_what_the_profile_says(
    run: Resolve, profile: Profile | None, access: Access | None
) -> None:
    without, with_flag = run(profile), run(profile, allow_cwd=True)
    assert (without.workdir_offer, with_flag.workdir_offer) == (access, None)
    assert access_to(without, WORK) is None
    assert access_to(with_flag, WORK) is access
    assert without.capabilities.workdir == with_flag.capabilities.workdir == WORK


@pytest.mark.parametrize(
    "profile",
    [
        None,
        Profile(workdir=Workdir("readwrite")),
        Profile(workdir=Workdir("none")),
        Profile(workdir=Workdir("read"), network=Network(allow_domain=("a.example",))),
        Profile(workdir=Workdir("write"), filesystem=Files(deny=(f"{WORK}/main.py",))),
    ],
    ids=["no profile", "read and write", "no access", "a proxy", "a denial inside"],
)
def test_sharing_a_directory_when_asked_equals_the_flag(fs: Filesystem, profile: Profile | None) -> None:
    request, environ = RunRequest(read=("/etc",)), {"HOME": HOME}
    asked = asked_for(request, profile, environ=environ, cwd=WORK, fs=fs)
    for shares in (True, False):
        flagged = request._replace(allow_cwd=shares)
        expected = resolve(flagged, profile, environ=environ, cwd=WORK, fs=fs)
        without = expected._replace(warnings=())  # the flag alone warns where it grants nothing
        assert asked.policy(shares_workdir=shares)._replace(warnings=()) == without


def test_a_workdir_that_is_granted_already_is_not_offered(run: Resolve) -> None:
    assert run(allow=(".",)).workdir_offer is None
    assert run(write=(".",)).workdir_offer is Access.READ


def test_workdir_does_not_move_paths_of_the_command_line(run: Resolve) -> None:
    resolved = run(files(read=(".",)), workdir="/usr/share", read=(".",))
    assert resolved.capabilities.workdir == "/usr/share"
    assert {g.source for g in resolved.capabilities.grants if g.path in ("/usr/share", WORK)} == {
        "profile",
        "user",
    }
    with pytest.raises(ConfigError, match="is not a directory"):
        run(workdir="main.py")


# The network


def test_the_mode_follows_what_was_asked_for(run: Resolve) -> None:
    def mode(profile: Profile | None = None, **flags: object) -> NetworkMode:
        return run(profile, **flags).capabilities.network

    assert mode() is NetworkMode.ALLOWED
    assert mode(block_net=True) is NetworkMode.BLOCKED
    assert mode(Profile(network=Network(block=True))) is NetworkMode.BLOCKED
    assert mode(Profile(network=Network(network_profile="minimal")), allow_net=True) is NetworkMode.ALLOWED
    for flags in (
        {"network_profile": "developer"},
        {"allow_domain": ("example.com",)},
        {"deny_domain": ("example.com",)},
        {"credential": ("openai",)},
        {"ask": True},
    ):
        assert mode(**flags) is NetworkMode.PROXY
    for network in (Network(allow_domain=()), Network(deny_private=True), Network(credentials=("openai",))):
        assert mode(Profile(network=network)) is NetworkMode.PROXY
    corp = CustomCredential("https://x.example", "corp")
    assert mode(Profile(network=Network(custom_credentials={"corp": corp}))) is NetworkMode.ALLOWED


def test_an_open_network_drops_the_ports_of_the_profile(run: Resolve) -> None:
    profile = Profile(network=Network(listen_port=(8080,), open_port_range=((9000, 9001),)))
    assert run(profile).capabilities.ports.listen == ((8080, 8080),)
    ports = run(profile, allow_net=True, listen_port=(3000,)).capabilities.ports
    assert (ports.listen, ports.open) == (((3000, 3000),), ())


@pytest.mark.parametrize("wish", ["learns", "standalone_proxy"])
def test_what_needs_a_proxy_opens_no_network_that_is_blocked(wish: str, run: Resolve) -> None:
    flags = {wish: True}
    assert run(**flags).capabilities.network is NetworkMode.PROXY
    assert run(**flags, block_net=True).capabilities.network is NetworkMode.BLOCKED


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"network_profile": "developer"}, "--network-profile"),
        ({"allow_domain": ("x.example",)}, "--allow-domain"),
        ({"credential": ("openai",)}, "--credential"),
    ],
)
def test_blocking_contradicts_what_needs_the_network(
    run: Resolve, flags: dict[str, object], named: str
) -> None:
    with pytest.raises(ConfigError, match=f"--block-net and {named} are contradictory"):
        run(block_net=True, **flags)
    with pytest.raises(ConfigError, match=r"the profile, network.block"):
        run(Profile(network=Network(block=True)), **flags)
    with pytest.raises(ConfigError, match="--allow-net"):
        run(allow_net=True, **flags)


def test_an_allow_list_opens_its_hosts_only(run: Resolve) -> None:
    filter_ = hosts(run(network_profile="developer", allow_domain=("gitlab", "https://x.example:8443/")))
    for host, port in (("pypi.org", 443), ("registry.gitlab.com", 443), ("x.example", 8443)):
        assert isinstance(filter_.judge_name(host, port), Allow)
    for host, port in (("evil.example", 443), ("x.example", 443), ("sub.pypi.org", 443)):
        assert isinstance(filter_.judge_name(host, port), Refuse)


def test_an_empty_allow_list_that_was_asked_for_allows_nothing(run: Resolve) -> None:
    strict = hosts(run(Profile(network=Network(allow_domain=()))))
    assert isinstance(strict.judge_name("example.com", 443), Refuse)


def test_a_credential_or_a_denial_alone_makes_no_allow_list(run: Resolve) -> None:
    assert hosts(run(credential=("openai",))).allow is None
    denying = hosts(run(deny_domain=("github", "x.example:25")))
    assert isinstance(denying.judge_name("example.com", 443), Allow)
    assert isinstance(denying.judge_name("github.com", 443), Refuse)
    assert isinstance(denying.judge_name("x.example", 25), Refuse)


def test_the_origin_names_flag_profile_and_group(run: Resolve) -> None:
    profile = Profile(meta=Meta(name="web"), network=Network(allow_domain=("a.example",)))
    filter_ = hosts(run(profile, network_profile="minimal", allow_domain=("b.example",)))
    origins = {
        host: verdict.origin
        for host in ("a.example", "b.example", "api.openai.com")
        if isinstance(verdict := filter_.judge_name(host, 443), Allow)
    }
    assert origins == {
        "a.example": "profile web, network.allow_domain",
        "b.example": "--allow-domain",
        "api.openai.com": "--network-profile minimal (group llm_apis)",
    }


@pytest.mark.parametrize("entry", ["127.1", "ftp://x.example", "a b"])
def test_an_entry_that_is_no_host_is_an_error(run: Resolve, entry: str) -> None:
    with pytest.raises(UsageError):
        run(allow_domain=(entry,))


def test_an_unknown_network_profile_is_an_error(run: Resolve) -> None:
    with pytest.raises(ConfigError, match="Network profile 'devloper' not found in policy") as error:
        run(network_profile="devloper")
    assert error.value.hint == "did you mean 'developer'?"


def test_credentials_of_profile_and_command_line_add_up(run: Resolve) -> None:
    profile = Profile(meta=Meta(name="web"), network=Network(credentials=("openai",)))
    services = run(profile, credential=("openai", "github")).services
    assert [(s.name, s.origin) for s in services] == [
        ("openai", "--credential"),  # asked for, and not only the profile's
        ("github", "--credential"),
    ]


# The environment and the rest


def test_the_variables_of_a_service_and_of_its_source_are_withheld(run: Resolve) -> None:
    corp = CustomCredential("https://x.example", "env://CORP_SOURCE", env_var="CORP_KEY")
    profile = Profile(network=Network(credentials=("corp",), custom_credentials={"corp": corp}))
    assert run(profile, credential=("openai",)).environment.withheld == {
        *("CORP_SOURCE", "CORP_KEY", "OPENAI_API_KEY", "CODEX_API_KEY", "OPENAI")
    }
    assert run().environment.withheld == frozenset()


def test_the_variable_of_a_captured_login_is_withheld(run: Resolve) -> None:
    endpoint = TokenEndpointEntry("https://auth.example", "/token", (ResponseFieldEntry("access_token"),))
    provider = ProviderEntry("oauth_capture", (endpoint,), ("https://api.example",))
    route = ProviderRoute("login", "p", env_var="LOGIN_TOKEN")
    profile = Profile(credential_providers={"p": provider}, credential_routes=(route,))
    assert run(profile).environment.withheld == {"LOGIN_TOKEN"}


def test_a_fixed_value_expands_built_in_variables_only(run: Resolve) -> None:
    profile = Profile(environment=Environment(set_vars={"A": "$HOME/x:$OTHER"}))
    assert run(profile, {"OTHER": "y"}).environment.fixed == (("A", f"{HOME}/x:$OTHER"),)


@pytest.mark.parametrize(
    ("security", "signal", "abstract"),
    [
        (Security(), True, True),
        (Security(signal_mode="allow_all"), False, True),
        (Security(signal_mode="allow_same_sandbox", ipc_mode="full"), True, False),
    ],
)
def test_the_scopes_follow_the_modes(run: Resolve, security: Security, signal: bool, abstract: bool) -> None:
    scopes = run(Profile(security=security)).capabilities.scopes
    assert (scopes.signal, scopes.abstract_unix_socket) == (signal, abstract)


@pytest.mark.parametrize("environ", [{"HOME": ""}, {"HOME": "relative"}, {"TMPDIR": "relative"}])
def test_a_relative_base_directory_is_an_error(run: Resolve, environ: dict[str, str]) -> None:
    with pytest.raises(NonoError, match="validation failed"):
        run(None, environ)


def test_resolving_loads_neither_pydantic_nor_asyncio() -> None:
    heavy = "pydantic asyncio ssl socket subprocess idna threading logging ctypes"
    code = f"""
import sys
from nono.policy.resolve import RunRequest, resolve
from nono.policy.profile.store import load_profile
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.why import paths
environ = {{"HOME": "/nonexistent"}}
profile = load_profile("python-dev", environ)
resolve(RunRequest(), profile, environ=environ, cwd="/", fs=HostFilesystem())
print(*[name for name in {heavy!r}.split() if name in sys.modules])
"""
    # -S: site-packages may run .pth files that import what they like.
    paths = [path for path in sys.path if path]
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {paths!r}\n{code}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == []


GRANTS = st.lists(
    st.builds(
        lambda path, access, source: Grant(path, access, True, source, path),
        st.sampled_from(["/a", "/a/b", "/a/b/c", "/d"]),
        st.sampled_from(list(Access)),
        st.sampled_from(["user", "profile", "group:x"]),
    ),
    max_size=6,
)


@given(GRANTS, GRANTS, st.sampled_from(["/a", "/a/b/c/d", "/d", "/e"]))
def test_more_grants_never_narrow(some: list[Grant], more: list[Grant], path: str) -> None:
    before, after = accesses(united(some), path), accesses(united(some + more), path)
    assert before is None or (after is not None and after.covers(before))
    assert accesses(united(some), path) == accesses(some, path)


@given(st.sampled_from(["/a", "/etc/passwd", "/"]))
def test_no_grant_means_no_access(path: str) -> None:
    assert accesses((), path) is None
