"""The rules for the environment of the command, from flags, profile and grants."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nono.errors import ConfigError, UsageError
from nono.policy.builtin import shipped
from nono.policy.environment.inheritance import Withheld, child_environment, judge
from nono.policy.path_expansion import Filesystem
from nono.policy.resolve import Resolved
from nono.policy.schema.profile import Environment, Network, Profile
from nono.policy.schema.profile import Filesystem as Files
from nono.policy.schema.routes import CustomCredential

Resolve = Callable[..., Resolved]

SVC = CustomCredential(upstream="https://svc.example", credential_key="env://SVC_KEY", env_var="SVC_PHANTOM")
WITH_SVC = Profile(network=Network(custom_credentials={"svc": SVC}))


def inside(resolved: Resolved) -> dict[str, str]:
    return child_environment(resolved.path_context.environ, resolved.environment)


def test_a_key_of_every_shipped_service_is_withheld_by_its_name(run: Resolve) -> None:
    services = shipped.network_policy().services
    environ = {variable: "key" for service in services.values() for variable in service["env_vars"]}
    rules = run(environ=environ).environment
    for variable in environ:
        verdict = judge(variable, "key", rules)
        assert isinstance(verdict, Withheld)
        assert verdict.rule == "service_key"
        assert variable in services[(verdict.fix or "").removeprefix("--credential ")]["env_vars"]


@pytest.mark.parametrize("variable", ["SVC_KEY", "SVC_PHANTOM"])
def test_a_service_of_the_profile_that_is_not_in_use_keeps_its_key(run: Resolve, variable: str) -> None:
    environ = {variable: "key", "SVC_OTHER": "x"}
    assert inside(run(WITH_SVC, environ=environ)) == {"HOME": "/home/ada", "SVC_OTHER": "x"}
    assert inside(run(environ=environ)) == {"HOME": "/home/ada", **environ}


def test_a_flag_passes_a_variable_on(run: Resolve) -> None:
    environ = {"NPM_TOKEN": "t", "HF_TOKEN": "t"}
    assert inside(run(environ=environ, env=("NPM_TOKEN",)))["NPM_TOKEN"] == "t"
    assert "HF_TOKEN" not in inside(run(environ=environ, env=("NPM_TOKEN",)))


def test_a_flag_sets_a_variable_over_the_profile(run: Resolve) -> None:
    profile = Profile(environment=Environment(set_vars={"A": "profile", "B": "profile"}))
    found = inside(run(profile, environ={"A": "caller"}, env=("A=flag=$HOME",)))
    assert (found["A"], found["B"]) == ("flag=$HOME", "profile")


def test_the_profiles_values_may_begin_at_home(run: Resolve) -> None:
    values = {"A": "~/.kube/dev", "B": "$HOME/x", "C": "~ada/x", "D": "/a:~/b"}
    found = inside(run(Profile(environment=Environment(set_vars=values)), env=("E=~/x",)))
    assert [found[name] for name in "ABCDE"] == [
        "/home/ada/.kube/dev",
        "/home/ada/x",
        "~ada/x",
        "/a:~/b",
        "~/x",
    ]


def test_a_variable_that_is_not_there_is_said(run: Resolve) -> None:
    assert any("--env GONE: GONE is not set" in text for text in run(env=("GONE",)).warnings)
    assert not any("--env" in text for text in run(environ={"GONE": ""}, env=("GONE",)).warnings)


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("LD_PRELOAD", "it changes what programs load"),
        ("DENIED", "environment.deny_vars"),
        ("NONO_CAP_FILE", "nono's own"),
        ("SVC_KEY", "the key stays outside"),
        ("SVC_PHANTOM", "the key stays outside"),
        ("SVC_PHANTOM=x", "the key stays outside"),
    ],
)
def test_what_a_flag_may_not_do_is_refused(run: Resolve, flag: str, sentence: str) -> None:
    profile = WITH_SVC._replace(
        network=WITH_SVC.network._replace(credentials=("svc",)),
        environment=Environment(deny_vars=("DENIED",)),
    )
    with pytest.raises(ConfigError, match=sentence):
        run(profile, env=(flag,))


@pytest.mark.parametrize("flag", ["PATH=/x", "NONO_X=1", "=x", "A B=x"])
def test_a_variable_that_no_run_may_set_is_a_usage_error(run: Resolve, flag: str) -> None:
    with pytest.raises(UsageError, match="may not be set"):
        run(env=(flag,))


def test_what_steers_programs_may_be_set(run: Resolve) -> None:
    assert inside(run(env=("LD_PRELOAD=/lib/x.so",)))["LD_PRELOAD"] == "/lib/x.so"


@pytest.mark.parametrize(
    ("name", "value", "flags", "passes"),
    [
        ("KUBECONFIG", "/home/ada/work/kube", {}, False),
        ("KUBECONFIG", "/home/ada/work/kube", {"read": ("/home/ada/work",)}, True),
        ("KUBECONFIG", "/home/ada/work/kube:/home/ada/other", {"read": ("/home/ada/work",)}, False),
        ("KUBECONFIG", "/home/ada/work/kube", {"write": ("/home/ada/work",)}, False),
        ("NODE_EXTRA_CA_CERTS", "/home/ada/work/ca.pem", {}, False),
        ("NODE_EXTRA_CA_CERTS", "/home/ada/work/ca.pem", {"read": ("/home/ada/work",)}, True),
        ("DOCKER_HOST", "unix:///run/docker.sock", {"allow_unix_socket": ("/run/docker.sock",)}, True),
        ("DOCKER_HOST", "unix:///run/docker.sock", {"allow_unix_socket": ("/run/one/a.sock",)}, False),
        ("DOCKER_HOST", "tcp://engine.example:1", {"allow_unix_socket": ("/run/docker.sock",)}, False),
        ("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/run/a.sock", {"allow_unix_socket_dir": ("/run",)}, True),
        ("AWS_CONFIG_FILE", "/dev/null", {}, True),
    ],
)  # fmt: skip
def test_a_pointer_passes_once_all_it_points_to_is_granted(
    run: Resolve,
    make_fs: Callable[..., Filesystem],
    name: str,
    value: str,
    flags: dict[str, tuple[str, ...]],
    passes: bool,
) -> None:
    fs = make_fs(files=("/run/docker.sock", "/run/one/a.sock", "/run/a.sock", "/dev/null"))
    assert (name in inside(run(environ={name: value}, fs=fs, **flags))) == passes


# All that nono knows of: each is found by its name alone, since its value is a plain path.
POINTERS_TO_FILES = (
    "KUBECONFIG GOOGLE_APPLICATION_CREDENTIALS CLOUDSDK_CONFIG AWS_SHARED_CREDENTIALS_FILE AWS_CONFIG_FILE "
    "AWS_WEB_IDENTITY_TOKEN_FILE AZURE_CONFIG_DIR AZURE_FEDERATED_TOKEN_FILE DOCKER_CONFIG DOCKER_CERT_PATH "
    "GNUPGHOME GNOME_KEYRING_CONTROL PGPASSFILE NETRC KRB5CCNAME KRB5_KTNAME CREDENTIALS_DIRECTORY "
    "BOTO_CONFIG"
)


@pytest.mark.parametrize("name", POINTERS_TO_FILES.split())
def test_a_variable_that_points_to_credentials_is_withheld_unless_they_are_granted(
    run: Resolve, name: str
) -> None:
    environ = {name: "/home/ada/work/cred", "PLAIN": "/home/ada/work/cred"}
    assert inside(run(environ=environ)).keys() & environ == {"PLAIN"}
    assert name in inside(run(environ=environ, read=("/home/ada/work",)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SSH_AUTH_SOCK", "/run/a.sock"),
        ("VSCODE_GIT_IPC_HANDLE", "/run/a.sock"),
        ("VSCODE_IPC_HOOK_CLI", "/run/a.sock"),
        ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/a.sock"),
        ("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/run/a.sock"),
        ("DOCKER_HOST", "unix:///run/a.sock"),
        ("CONTAINER_HOST", "unix:///run/a.sock"),
        ("BUILDKIT_HOST", "unix:///run/a.sock"),
        ("TMUX", "/run/a.sock,1,0"),
    ],
)
def test_a_variable_that_points_to_a_socket_is_withheld_unless_it_is_granted(
    run: Resolve, make_fs: Callable[..., Filesystem], name: str, value: str
) -> None:
    fs = make_fs(files=("/run/a.sock",))
    assert name not in inside(run(environ={name: value}, fs=fs))
    assert name in inside(run(environ={name: value}, fs=fs, allow_unix_socket=("/run/a.sock",)))


@pytest.mark.parametrize(
    ("flags", "passes"),
    [
        ({}, False),
        ({"allow_unix_socket": ("/run/user/1/bus.sock",)}, True),
        ({"allow_unix_socket": ("/run/user/1/agent.sock",)}, False),
        ({"allow_unix_socket": ("/run/user/1/agent.sock", "/run/user/1/bus.sock")}, True),
        ({"allow_unix_socket_subtree": ("/run",)}, True),
        ({"allow_unix_socket": ("/run/a.sock",)}, False),
        ({"read": ("/run/user/1/one",)}, True),
        ({"allow": ("/run/user",)}, True),
        ({"read": ("/run/user",)}, False),
        ({"env": ("XDG_RUNTIME_DIR",)}, True),
    ],
)  # fmt: skip
def test_the_directory_of_the_session_is_named_where_the_run_may_use_some_of_it(
    run: Resolve, make_fs: Callable[..., Filesystem], flags: dict[str, tuple[str, ...]], passes: bool
) -> None:
    found = ("agent.sock", "bus.sock", "one/file")
    fs = make_fs(files=(*(f"/run/user/1/{name}" for name in found), "/run/a.sock"))
    environ = {"XDG_RUNTIME_DIR": "/run/user/1", "SSH_AUTH_SOCK": "/run/user/1/agent.sock"}
    hosts = ("host.example",)
    assert ("XDG_RUNTIME_DIR" in inside(run(environ=environ, fs=fs, allow_domain=hosts, **flags))) == passes
    assert "XDG_RUNTIME_DIR" in inside(run(environ=environ, fs=fs, **flags))  # no socket needs a grant


def test_a_pointer_to_what_is_denied_stays_outside(run: Resolve) -> None:
    profile = Profile(filesystem=Files(deny=("/home/ada/work/kube",)))
    environ = {"KUBECONFIG": "/home/ada/work/kube"}
    assert "KUBECONFIG" not in inside(run(profile, environ=environ, read=("/home/ada/work",)))


EDITORS = {"PATH": "/home/ada/bin:bin:/usr/bin", "HOME": "/home/ada"}


@pytest.mark.parametrize(
    ("name", "value", "passes"),
    [
        ("EDITOR", "vim", True),
        ("EDITOR", "vim -f", True),
        ("VISUAL", "/usr/bin/vim", True),
        ("GIT_PAGER", "cat", True),
        ("GIT_EDITOR", ":", True),
        ("PAGER", "", True),
        ("EDITOR", "nano", False),
        ("EDITOR", "mine", False),
        ("EDITOR", "~/bin/mine -w", False),
        ("EDITOR", "/usr/bin/nano", False),
        ("EDITOR", "/usr/bin", False),
        ("EDITOR", "bin/vim", False),
        ("EDITOR", "$(vim)", False),
        ("EDITOR", "A=1 vim", False),
    ],
)
def test_an_editor_passes_if_the_run_may_execute_it(
    run: Resolve, make_fs: Callable[..., Filesystem], name: str, value: str, passes: bool
) -> None:
    fs = make_fs(files=("/usr/bin/vim", "/usr/bin/cat", "/home/ada/bin/mine", "/home/ada/bin/vim"))
    assert (name in inside(run(environ={**EDITORS, name: value}, fs=fs))) == passes


@pytest.mark.parametrize("value", ["mine", "~/bin/mine", "/home/ada/bin/mine"])
def test_an_editor_of_the_home_passes_once_it_is_granted(
    run: Resolve, make_fs: Callable[..., Filesystem], value: str
) -> None:
    fs = make_fs(files=("/home/ada/bin/mine",))
    environ = {**EDITORS, "EDITOR": value}
    assert "EDITOR" in inside(run(environ=environ, fs=fs, read=("/home/ada/bin",)))
    assert "EDITOR" not in inside(run(environ=environ, fs=fs))


def test_an_editor_that_is_denied_stays_outside(run: Resolve, make_fs: Callable[..., Filesystem]) -> None:
    fs = make_fs(files=("/usr/bin/vim",))
    profile = Profile(filesystem=Files(deny=("/usr/bin/vim",)))
    assert "EDITOR" not in inside(run(profile, environ={**EDITORS, "EDITOR": "vim"}, fs=fs))


def test_an_editor_may_be_left_out_by_a_pattern(run: Resolve, make_fs: Callable[..., Filesystem]) -> None:
    profile = Profile(environment=Environment(allow_vars=("*",), deny_vars=("GIT_EDITOR",)))
    environ = {**EDITORS, "EDITOR": "vim", "GIT_EDITOR": "vim"}
    found = inside(run(profile, environ=environ, fs=make_fs(files=("/usr/bin/vim",))))
    assert ("EDITOR" in found, "GIT_EDITOR" in found) == (True, False)
