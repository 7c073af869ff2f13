"""`nono why` says what enforcement does."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nono.policy.capability import Access, Denial, Grant
from nono.policy.effective_policy import effective_policy_of
from nono.policy.files.denials import DenyRules
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.hosts.host_filter import Allow
from nono.policy.path_expansion import Filesystem
from nono.policy.request import RunRequest
from nono.policy.resolve import Resolved, resolve
from nono.policy.schema.profile import Filesystem as Files
from nono.policy.schema.profile import Meta, Network, Profile
from nono.policy.schema.routes import (
    CustomCredential,
    PolicyEntry,
    ProviderEntry,
    ProviderRoute,
    ResponseFieldEntry,
    RuleEntry,
    TokenEndpointEntry,
)
from nono.supervisor.verdict.adjudicator import NetworkGrants, Perform, judge_connect, loopback
from nono.supervisor.verdict.open_call import OpenCall
from nono.supervisor.verdict.open_verdict import Ask, Found, Leave, Refuse, judge_open
from nono.supervisor.verdict.syscall_args import InetAddress
from support.profiles.questions import why_host, why_path, why_request

HOME = "/home/ada"
WORK = f"{HOME}/work"

UV_TOOLS = f"{HOME}/.local/share/uv/tools"
MODULE = f"{HOME}/npm/lib/node_modules/a/cli.js"

Resolve = Callable[..., Resolved]
MakeFilesystem = Callable[..., Filesystem]


def test_a_granted_path_names_the_most_specific_grant(run: Resolve, fs: Filesystem) -> None:
    resolved = run(allow=(".",), read_file=("main.py",))
    assert why_path(resolved, "main.py", Access.READ, fs).as_json() == {
        "status": "allowed",
        "reason": "granted_path",
        "granted_path": f"{WORK}/main.py",
        "access": "read",
        "source": "user",
    }
    assert why_path(resolved, "main.py", Access.WRITE, fs).access == "read+write"


def test_separate_read_and_write_grants_are_united(run: Resolve, fs: Filesystem) -> None:
    answer = why_path(run(read=(".",), write_file=("main.py",)), "main.py", Access.READWRITE, fs)
    assert answer.reason == "granted_path_union"
    assert answer.granted_path == f"{WORK} (read) + {WORK}/main.py (write)"
    assert (answer.access, answer.source) == ("readwrite", "user + user")


def test_a_grant_that_is_gone_leaves_those_on_other_paths(run: Resolve, fs: Filesystem) -> None:
    made = tuple(Grant(path, Access.READ, False, "system", path) for path in ("/made", "/kept"))
    rules = effective_policy_of(run(read_file=("main.py",), write_file=("a",)), fs)._replace(handed_out=made)
    assert {each.path for each in rules.grants} >= {"/made", "/kept", f"{WORK}/main.py"}
    left = rules.without(("/made", f"{WORK}/main.py"))
    assert [each.path for each in left.handed_out] == ["/kept"]
    gone = {each.path for each in rules.capabilities.grants} - {
        each.path for each in left.capabilities.grants
    }
    assert gone == {f"{WORK}/main.py"}


def test_the_wrong_access_names_the_closest_grant_and_the_flag(run: Resolve, fs: Filesystem) -> None:
    assert why_path(run(read=(".",)), "main.py", Access.WRITE, fs).as_json() == {
        "status": "denied",
        "reason": "insufficient_access",
        "matching_capability": {"path": WORK, "access": "read", "source": "user"},
        "suggested_flag": f"--write-file {WORK}/main.py",
    }


@pytest.mark.parametrize(
    ("program", "access", "granted"),
    [
        (f"{UV_TOOLS}/black/bin/black", Access.READ, f"--read {UV_TOOLS}"),
        (f"{HOME}/environments/a/bin/tool", Access.READ, f"--read {HOME}/environments/a"),
        (MODULE, Access.READ, f"--read {HOME}/npm/lib/node_modules"),
        (MODULE, Access.WRITE, f"--write-file {MODULE}"),
        (f"{HOME}/bin/tool", Access.READ, f"--read-file {HOME}/bin/tool"),
        (f"{HOME}/.config/git/message", Access.READ, f"--read-file {HOME}/.config/git/message"),
    ],
)
def test_a_program_is_suggested_with_what_it_does_not_run_without(
    run: Resolve, make_fs: MakeFilesystem, program: str, access: Access, granted: str
) -> None:
    """The end of a run says the same."""
    fs = make_fs(directories=(UV_TOOLS,), files=(program, f"{HOME}/environments/a/pyvenv.cfg"))
    assert why_path(run(fs=fs), program, access, fs).suggested_flag == granted


@pytest.mark.parametrize(
    ("path", "flag"),
    [
        pytest.param("main.py", f"--read-file {WORK}/main.py", id="file"),
        pytest.param("/run/a.sock", "--allow-unix-socket /run/a.sock", id="socket"),
        pytest.param(".", f"--read {WORK}", id="directory"),
        pytest.param("new.txt", f"--read {WORK}", id="missing: its parent"),
        pytest.param("new/a/b.txt", f"--read {WORK}", id="missing with its parents: what is above"),
        pytest.param("main.py/b.txt", None, id="below a file"),
        pytest.param("~/new/b.txt", None, id="missing with its parent in HOME"),
        pytest.param("/home/new", None, id="missing beside HOME"),
        pytest.param("~/new.txt", None, id="missing in HOME"),
        pytest.param("~/.config/new", None, id="missing in an XDG base"),
        pytest.param("/new", None, id="missing in the root"),
    ],
)
def test_a_path_without_a_grant_gets_a_modest_suggestion(
    run: Resolve, make_fs: MakeFilesystem, path: str, flag: str | None
) -> None:
    fs = make_fs(files=("/run/a.sock",))
    answer = why_path(run(fs=fs), path, Access.READ, fs)
    assert (answer.status, answer.reason, answer.suggested_flag) == ("denied", "path_not_granted", flag)
    is_there = path in ("main.py", "/run/a.sock", ".")
    assert (answer.details or "").endswith(" does not exist") is not is_there


def test_a_sensitive_path_names_its_group(run: Resolve, fs: Filesystem) -> None:
    answer = why_path(run(), "~/.ssh/id_rsa", Access.READ, fs)
    assert (answer.reason, answer.policy_source) == ("sensitive_path", "group:deny_credentials")


def test_a_profiles_denial_is_a_filesystem_deny(run: Resolve, fs: Filesystem) -> None:
    profile = Profile(meta=Meta(name="web"), filesystem=Files(deny=("main.py",)))
    answer = why_path(run(profile), "main.py", Access.READ, fs)
    assert (answer.reason, answer.policy_source) == ("filesystem_deny", "filesystem.deny")
    assert answer.details is not None
    assert "profile web" in answer.details


@pytest.mark.parametrize(
    ("path", "allow", "flags"),
    [
        ("main.py", (), f"--read-file {WORK}/main.py --bypass-protection {WORK}/main.py"),
        ("main.py", (".",), f"--read-file {WORK}/main.py --bypass-protection {WORK}/main.py"),
        ("key", (), None),
        ("key", (".",), f"--bypass-protection {WORK}/key"),
    ],
)
def test_what_lifts_a_denial_grants_no_path_that_is_missing(
    run: Resolve, fs: Filesystem, path: str, allow: tuple[str, ...], flags: str | None
) -> None:
    profile = Profile(meta=Meta(name="web"), filesystem=Files(deny=("main.py", "key")))
    answer = why_path(run(profile, allow=allow), path, Access.READ, fs)
    assert (answer.reason, answer.suggested_flag) == ("filesystem_deny", flags)
    assert (answer.details or "").endswith("; it does not exist") is (path == "key")


def test_only_the_bypassed_path_is_allowed(run: Resolve, fs: Filesystem) -> None:
    resolved = run(read_file=("~/.ssh/known_hosts",), bypass_protection=("~/.ssh/known_hosts",))
    assert why_path(resolved, "~/.ssh/known_hosts", Access.READ, fs).status == "allowed"
    assert why_path(resolved, "~/.ssh/id_rsa", Access.READ, fs).status == "denied"


def test_the_state_of_nono_is_denied_without_a_suggestion(run: Resolve, fs: Filesystem) -> None:
    answer = why_path(run(), "~/.local/state/nono/audit", Access.READ, fs)
    assert (answer.policy_source, answer.suggested_flag) == ("protected_root", None)


def test_the_childs_own_proc_entry_is_allowed(run: Resolve, fs: Filesystem) -> None:
    assert why_path(run(), "/proc/self/status", Access.READ, fs).status == "allowed"
    assert why_path(run(), "/proc/77/status", Access.READ, fs).status == "denied"


@pytest.mark.parametrize(
    ("flags", "host", "expected"),
    [
        ({"block_net": True}, "pypi.org", ("denied", "network_blocked")),
        ({}, "pypi.org", ("allowed", "network_allowed")),
        ({"network_profile": "developer"}, "PyPI.org.", ("allowed", "proxy_allowed")),
        ({"network_profile": "developer"}, "evil.example", ("denied", "proxy_filtered")),
        ({"allow_domain": ("169.254.1.1",)}, "169.254.1.1", ("denied", "proxy_filtered")),
        ({"allow_domain": ("10.0.0.1",)}, "10.0.0.1", ("allowed", "proxy_allowed")),
    ],
)
def test_a_host_query_has_the_words_of_the_mode(
    run: Resolve, flags: dict[str, object], host: str, expected: tuple[str, str]
) -> None:
    answer = why_host(run(**flags), host, 443)
    assert (answer.status, answer.reason) == expected


def test_a_refused_host_carries_rule_and_flag(run: Resolve) -> None:
    assert why_host(run(deny_domain=("*.evil.example",)), "a.evil.example", 443).as_json() == {
        "status": "denied",
        "reason": "proxy_filtered",
        "details": "host a.evil.example is in the deny list",
        "policy_source": "*.evil.example (--deny-domain)",
        "suggested_flag": "remove *.evil.example from --deny-domain",
    }


def test_the_upstream_of_a_credential_is_reached_through_its_route(run: Resolve) -> None:
    resolved = run(allow_domain=("x.example",), credential=("openai",))
    answer = why_host(resolved, "API.openai.com.", 443)
    assert answer.status == "allowed"
    assert answer.details is not None
    assert "OPENAI_BASE_URL" in answer.details
    assert why_host(resolved, "api.openai.com", 8443).status == "denied"
    denied = run(deny_domain=("api.openai.com",), credential=("openai",))
    assert why_host(denied, "api.openai.com", 443).status == "denied"


@pytest.mark.parametrize(
    ("method", "path", "status", "flag"),
    [
        ("POST", "/v1/chat", "allowed", None),
        ("GET", "/v1/chat", "denied", "--allow-endpoint openai:GET:/v1/chat"),
        ("POST", "/v1/files", "denied", "--allow-endpoint openai:POST:/v1/files"),
    ],
)
def test_a_request_of_a_service_is_judged_by_its_rules(
    run: Resolve, method: str, path: str, status: str, flag: str | None
) -> None:
    resolved = run(credential=("openai",), allow_endpoint=("openai:POST:/v1/chat",))
    answer = why_request(resolved, "api.openai.com", 443, method, path)
    assert (answer.status, answer.suggested_flag) == (status, flag)
    assert answer.endpoint_rules == (("POST", "/v1/chat"),)


@pytest.mark.parametrize(
    ("path", "allowed", "status"),
    [
        ("/v1", (), "allowed"),
        ("/v1/models", (), "allowed"),
        ("/v10", (), "denied"),
        ("/admin", (), "denied"),
        ("/admin", ("api.openai.com",), "allowed"),  # without the key
    ],
)
def test_a_credential_is_for_the_base_path_of_its_upstream(
    run: Resolve, path: str, allowed: tuple[str, ...], status: str
) -> None:
    resolved = run(credential=("openai",), allow_domain=("x.example", *allowed))
    answer = why_request(resolved, "api.openai.com", 443, "GET", path)
    assert answer.status == status
    if status == "denied":
        words = "the credential of 'openai' is for https://api.openai.com/v1 and what is below it"
        assert (answer.reason, answer.details) == ("endpoint_restricted", words)
        assert answer.policy_source == "--credential"


def test_a_request_of_a_host_is_judged_by_its_paths_at_their_port_and_refused_at_others(run: Resolve) -> None:
    """As the proxy judges, whatever else allows the host there."""
    resolved = run(allow_domain=("https://x.example/a", "x.example"))
    assert why_request(resolved, "x.example", 443, "GET", "/a").status == "allowed"
    answer = why_request(resolved, "x.example", 443, "GET", "/b")
    assert (answer.status, answer.reason) == ("denied", "endpoint_restricted")
    assert answer.suggested_flag == "--allow-domain https://x.example/b"
    for answer in (
        why_request(resolved, "x.example", 8443, "GET", "/a"),
        why_request(resolved, "x.example", 8443, "GET", "/b"),
        why_host(resolved, "x.example", 8443),
    ):
        assert (answer.status, answer.reason) == ("denied", "endpoint_restricted")
        assert answer.details == (
            "x.example:8443 is not allowed: its paths are granted for https on port 443"
        )
        assert answer.suggested_flag is None
    both = run(allow_domain=("https://x.example/a", "https://x.example:8443/b"))
    assert why_host(both, "x.example", 8443).status == "allowed"
    whole = why_host(resolved, "x.example", 443).as_json()
    assert (whole["reason"], whole["endpoint_rules"]) == (
        "endpoint_restricted",
        [{"method": "*", "path": "/a"}],
    )
    assert "endpoint_rules" not in why_host(run(allow_domain=("x.example",)), "x.example", 443).as_json()


def test_the_option_for_a_request_below_a_wildcard_is_for_that_host_alone(run: Resolve) -> None:
    def status(host: str, *options: str) -> tuple[str, str | None]:
        resolved = run(allow_domain=("https://*.x.example/a", *options))
        answer = why_request(resolved, host, 443, "GET", "/b")
        return answer.status, answer.suggested_flag

    assert status("one.x.example") == ("denied", "--allow-domain https://one.x.example/b")
    assert status("one.x.example", "https://one.x.example/b") == ("allowed", None)
    assert status("two.x.example", "https://one.x.example/b")[0] == "denied"


def test_a_request_past_the_proxy_is_judged_by_no_paths(run: Resolve) -> None:
    options = {"allow_domain": ("https://x.example/a",)}
    assert why_request(run(**options), "x.example", 443, "GET", "/b").status == "denied"
    direct = why_request(run(**options, allow_connect_port=(443,)), "x.example", 443, "GET", "/b")
    assert (direct.status, direct.reason) == ("allowed", "port_granted")


@pytest.mark.parametrize(("port", "status"), [(443, "denied"), (8443, "allowed")])
def test_a_path_is_granted_at_its_own_port_although_a_key_is_for_another(
    run: Resolve, port: int, status: str
) -> None:
    custom = {"corp": CustomCredential("https://x.example/v1", "corp")}
    profile = Profile(network=Network(custom_credentials=custom, credentials=("corp",)))
    resolved = run(profile, allow_domain=("https://x.example:8443/a", "x.example"))
    assert why_request(resolved, "x.example", port, "GET", "/a").status == status


@pytest.mark.parametrize(
    ("upstream", "status"),
    [("https://sts.amazonaws.com", "allowed"), ("https://*.amazonaws.com", "denied")],
)
def test_a_service_that_hands_out_keys_is_reached_by_its_own_name_alone(
    run: Resolve, upstream: str, status: str
) -> None:
    custom = {"aws": CustomCredential(upstream, "aws")}
    profile = Profile(network=Network(custom_credentials=custom, credentials=("aws",)))
    assert why_request(run(profile), "sts.amazonaws.com", 443, "GET", "/").status == status


def test_the_routes_of_a_login_are_reached_beside_paths_at_another_port(run: Resolve) -> None:
    endpoint = TokenEndpointEntry("https://auth.example", "/token", (ResponseFieldEntry("access_token"),))
    provider = ProviderEntry("oauth_capture", (endpoint,), ("https://api.example",))
    profile = Profile(
        credential_providers={"p": provider},
        credential_routes=(ProviderRoute("login", "p", env_var="LOGIN"),),
    )
    options = {"allow_domain": ("https://api.example:8443/a", "api.example")}
    assert why_host(run(profile, **options), "api.example", 443).status == "allowed"
    assert why_host(run(**options), "api.example", 443).status == "denied"


@pytest.mark.parametrize("path", ["/**", "/*", "/v1/{a,b}", "/v1/[a-z]", "/a%3Fb/*", "/\\a"])
def test_no_fix_for_a_request_is_a_pattern(run: Resolve, path: str) -> None:
    """The command chooses the path, and a rule would read these characters as more than one path."""
    scoped = run(allow_domain=("https://x.example/a",))
    routed = run(credential=("openai",), allow_endpoint=("openai:POST:/v1/chat",))
    for resolved, host in ((scoped, "x.example"), (routed, "api.openai.com")):
        answer = why_request(resolved, host, 443, "GET", path)
        assert (answer.status, answer.suggested_flag) == ("denied", None)


@pytest.mark.parametrize(
    ("path", "status"), [("/ok", "allowed"), ("/ask", "approval_required"), ("/no", "denied")]
)
def test_an_explicit_policy_answers_in_three_ways(run: Resolve, path: str, status: str) -> None:
    policy = PolicyEntry(approve=(RuleEntry("*", "/ask"),), allow=(RuleEntry("*", "/ok"),))
    custom = {
        "corp": CustomCredential("https://x.example", "corp", endpoint_policy=policy),
        "open": CustomCredential("https://x.example", "open"),
    }
    network = Network(custom_credentials=custom, credentials=("corp",))
    answer = why_request(run(Profile(network=network)), "x.example", 443, "GET", path)
    assert (answer.status, answer.suggested_flag) == (status, None)
    both = run(Profile(network=network._replace(credentials=("corp", "open"))))
    assert why_request(both, "x.example", 443, "GET", "/no").status == "denied"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/NO", "denied"),
        ("/no.json", "denied"),
        ("/Ask;x", "approval_required"),
        ("/other", "allowed"),
        ("/other?_method=DELETE", "denied"),
        ("/other?method=x", "allowed"),
    ],
)
def test_a_request_is_judged_as_a_lenient_server_reads_it(run: Resolve, path: str, status: str) -> None:
    policy = PolicyEntry(default="allow", deny=(RuleEntry("*", "/no"),), approve=(RuleEntry("*", "/ask"),))
    custom = {"corp": CustomCredential("https://x.example", "corp", endpoint_policy=policy)}
    network = Network(custom_credentials=custom, credentials=("corp",))
    resolved = run(Profile(network=network))
    assert why_request(resolved, "x.example", 443, "POST", path).status == status


def test_without_rules_a_parameter_for_the_method_is_no_matter(run: Resolve) -> None:
    resolved = run(credential=("openai",))
    assert why_request(resolved, "api.openai.com", 443, "POST", "/v1/x?_method=DELETE").status == "allowed"


def test_a_request_that_hands_out_a_key_is_denied_unless_a_rule_names_it(run: Resolve) -> None:
    secrets = "/v1/realtime/client_secrets"
    assert why_request(run(credential=("openai",)), "api.openai.com", 443, "POST", secrets).status == "denied"
    assert why_request(run(credential=("openai",)), "api.openai.com", 443, "GET", secrets).status == "allowed"
    named = run(credential=("openai",), allow_endpoint=(f"openai:POST:{secrets}",))
    assert why_request(named, "api.openai.com", 443, "POST", secrets).status == "allowed"


def test_a_request_to_a_refused_host_is_refused_whatever_its_path(run: Resolve) -> None:
    resolved = run(allow_domain=("https://x.example/a",))
    assert why_request(resolved, "y.example", 443, "GET", "/a").reason == "proxy_filtered"
    assert why_request(run(), "y.example", 443, "GET", "/a").reason == "network_allowed"


PATHS = st.sampled_from(
    [WORK, f"{WORK}/main.py", f"{HOME}/.ssh", f"{HOME}/.ssh/id_rsa", "/etc", "/etc/hosts", "/usr"]
)
GRANTS = st.lists(
    st.builds(
        lambda path, access, is_dir: Grant(path, access, is_dir, "user", path),
        PATHS,
        st.sampled_from(list(Access)),
        st.booleans(),
    ),
    max_size=5,
)
DENIALS = st.lists(PATHS.map(lambda path: Denial(path, path, "group:x")), max_size=2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(GRANTS, DENIALS, PATHS, st.sampled_from(list(Access)))
def test_why_path_agrees_with_adding_the_grants_up_by_hand(
    run: Resolve, fs: Filesystem, grants: list[Grant], denials: list[Denial], path: str, access: Access
) -> None:
    base = run()
    resolved = base._replace(
        capabilities=base.capabilities._replace(grants=tuple(grants), denials=tuple(denials)),
        deny_rules=DenyRules(tuple(denials)),
    )

    def lies_in(parent: str) -> bool:
        return f"{path}/".startswith(f"{parent}/")

    rights: set[str] = set()
    for grant in (*grants, *base.capabilities.listed):
        if grant.path == path or (grant.is_dir and lies_in(grant.path)):
            rights |= {"r"} if grant.access.reads else set()
            rights |= {"w"} if grant.access.writes else set()
    needed = ({"r"} if access.reads else set()) | ({"w"} if access.writes else set())
    expected = needed <= rights and not any(lies_in(denial.path) for denial in denials)
    assert (why_path(resolved, path, access, fs).status == "allowed") == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    st.lists(
        st.sampled_from(["example.com", "*.example.com", "github", "*", "localhost", "127.0.0.1"]), max_size=2
    ).map(tuple),
    st.lists(st.sampled_from(["a.example.com", "github.com:22"]), max_size=2).map(tuple),
    st.sampled_from(
        [
            *("example.com", "a.example.com", "github.com", "evil.example"),
            *("localhost", "127.0.0.1", "203.0.113.7", "169.254.169.254"),
        ]
    ),
    st.sampled_from([22, 443]),
)
@example((), ("a.example.com",), "localhost", 443)
@example(("*",), (), "localhost", 443)
def test_why_host_agrees_with_the_filter_that_enforces(
    run: Resolve, allow: tuple[str, ...], deny: tuple[str, ...], host: str, port: int
) -> None:
    resolved = run(allow_domain=allow, deny_domain=deny)
    found = {"localhost": "127.0.0.1"}.get(host, host if host[0].isdigit() else "93.184.216.34")
    enforced = resolved.host_filter is None or isinstance(
        resolved.host_filter.judge_addresses(host, port, [found]), Allow
    )
    assert (why_host(resolved, host, port).status == "allowed") == enforced


def test_a_port_is_granted_by_the_rule_that_enforcement_asks(run: Resolve) -> None:
    blocked = run(block_net=True, open_port=(5432,), allow_connect_port=(22,))
    for host in ("localhost", "127.0.0.1", "::1"):
        assert why_host(blocked, host, 5432).source == "network.open_port"
    assert why_host(blocked, "git.example", 22).source == "network.connect_port"
    refused = why_host(blocked, "127.0.0.1", 5433)
    assert (refused.reason, refused.suggested_flag) == ("network_blocked", "--open-port 5433")
    elsewhere = why_host(blocked, "203.0.113.7", 5432)
    assert (elsewhere.status, elsewhere.suggested_flag) == ("denied", "--allow-connect-port 5432")


def test_one_port_to_connect_to_makes_an_open_network_a_list(run: Resolve) -> None:
    assert why_host(run(open_port=(5432,)), "host.example", 443).reason == "network_allowed"
    listed = run(allow_connect_port=(22,))
    assert why_host(listed, "host.example", 22).status == "allowed"
    assert why_host(listed, "host.example", 443).status == "denied"


def test_beside_a_proxy_a_port_opens_what_the_host_filter_refuses(run: Resolve) -> None:
    proxied = run(allow_domain=("api.example",), open_port=(5432,))
    assert why_host(proxied, "localhost", 5432).reason == "port_granted"
    refused = why_host(proxied, "localhost", 5433)
    assert (refused.status, refused.suggested_flag) == ("denied", "--open-port 5433")
    assert why_host(proxied, "api.example", 443).reason == "proxy_allowed"
    elsewhere = why_host(proxied, "db.example", 5433)
    assert (elsewhere.status, elsewhere.suggested_flag) == ("denied", "--allow-domain db.example")


@given(
    st.sampled_from(["127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "203.0.113.7", "2001:db8::1"]),
    st.integers(1, 8),
    st.lists(st.integers(1, 8), max_size=3),
    st.lists(st.integers(1, 8), max_size=3),
)
def test_why_and_the_adjudicator_agree_about_ports(
    host: str, port: int, open_ports: list[int], connect_ports: list[int]
) -> None:
    request = RunRequest(block_net=True, open_port=tuple(open_ports), allow_connect_port=tuple(connect_ports))
    resolved = resolve(request, None, environ={"HOME": "/root"}, cwd="/", fs=HostFilesystem())
    grants = NetworkGrants(loopback(4000), resolved.capabilities.ports)
    verdict = judge_connect(InetAddress(ip_address(host), port), grants)
    assert (why_host(resolved, host, port).status == "allowed") == isinstance(verdict, Perform)


OUTSIDE = st.sampled_from(
    [
        *(f"{WORK}/main.py", WORK, HOME, "/", "/etc/hosts", "/etc/shadow", "/data/vault", "/usr/lib"),
        *(f"{HOME}/.ssh/id_rsa", f"{HOME}/.local/state/nono", f"{HOME}/.local/state"),
        *("/proc/77/status", "/nowhere"),
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=OUTSIDE, access=st.sampled_from([*Access]), elevated=st.booleans(), reads=st.booleans())
def test_why_says_of_every_file_what_the_supervisor_does_with_its_open(
    run: Resolve, fs: Filesystem, path: str, access: Access, elevated: bool, reads: bool
) -> None:
    resolved = run(capability_elevation=elevated, read=(".",) if reads else ())
    answer = why_path(resolved, path, access, fs)
    if not elevated:
        assert answer.status != "approval_required"
        return
    kind = fs.kind(path)
    if kind is None or (kind == "dir" and access.writes):  # nothing that open(2) opens like this
        return
    flags = {Access.READ: 0, Access.WRITE: 1, Access.READWRITE: 2}[access]
    found = Found(path, "directory" if kind == "dir" else "file", path.startswith("/proc/77"))
    verdict = judge_open(OpenCall(-100, path.encode(), flags), found, effective_policy_of(resolved, fs).files)
    assert answer.status == {Leave: "allowed", Ask: "approval_required", Refuse: "denied"}[type(verdict)]


def test_what_somebody_is_asked_about_is_said_with_whom(run: Resolve, fs: Filesystem) -> None:
    asked = run(capability_elevation=True)
    assert why_path(asked, "/data/vault", Access.READ, fs).as_json() == {
        "status": "approval_required",
        "reason": "path_not_granted",
        "details": "somebody is asked on the terminal when it is opened",
        "suggested_flag": "--read /data/vault",
    }
    assert why_path(run(), "/data/vault", Access.READ, fs).status == "denied"
