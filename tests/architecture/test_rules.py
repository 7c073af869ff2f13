"""What import-linter cannot say about the shape of the code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "nono").rglob("*.py"))
OF_A_RUN = (
    "nono.cli.commands.run.command, nono.cli.commands.run.prepare, nono.cli.commands.run.wishes, "
    "nono.cli.commands.run.report, nono.cli.resolution, nono.launch.run"
)
SLOW_TO_IMPORT = {
    "aiohttp",
    "anyio",
    "argparse",
    "asyncio",
    "cryptography",
    "dataclasses",
    "inspect",
    "keyring",
    "mitmproxy",
    "pydantic",
    "rich",
    "ssl",
    "subprocess",
    "textual",
    "uvloop",
}
# What a supervisor needs json for, and a wrap without a profile does not.
NOT_TO_WRAP = {
    "contextlib", "enum", "functools", "json", "nono.policy.ownership", "nono.policy.profile.store",
    "nono.policy.schema.constraints",
    "nono.policy.schema.routes", "nono.typed", "re", "signal", "socket", "typing",
}  # fmt: skip
# What serves is imported once a command is starting; the rest by the runs that use it.
NOT_TO_LISTEN = {
    "_hashlib",
    "ahocorasick_rs",
    "cryptography",
    "h2",
    "hpack",
    "html",
    "http",
    "httptools",
    "keyring",
    "mitmproxy",
    "nono.credentials.aws.credential",
    "nono.connect_helper",
    "nono.credentials.oauth2.credential",
    "nono.credentials.sources.file",
    "nono.launch.around.repository_watch",
    "nono.policy.live.rule",
    "nono.policy.services.capture_entry",
    "nono.policy.services.oauth_routes",
    "nono.proxy.tls.session_ca",
    "nono.proxy.http.upstream_proxy",
    "nono.proxy.exchange.context",
    "nono.proxy.client.http1",
    "nono.proxy.service",
    "nono.proxy.tls.trust_bundle",
    "pathlib",
    "pickle",
    "pydantic",
    "selectors",
    "shutil",
    "socket",
    "string",
    "sysconfig",
    "threading",
    "urllib.request",
}
# What the process that makes a CA does without, as the supervisor waits for it.
NOT_TO_CERTIFY = {
    "anyio",
    "asyncio",
    "cryptography.hazmat.backends.openssl.backend",
    "cryptography.hazmat.primitives.ciphers",
    "cryptography.hazmat.primitives.serialization",
    "cryptography.x509",
    "hashlib",
    "logging",
    "nono.proxy.upstream.dial",
    "ssl",
    "subprocess",
    "uvloop",
}


def modules_after(statement: str) -> set[str]:
    """Return the modules imported in a fresh interpreter once the statement has run."""
    code = f"import sys\nbefore = set(sys.modules)\n{statement}\nafter = set(sys.modules)\nimport json\n"
    code += "print(json.dumps(sorted(after - before)))"
    command = [sys.executable, "-I", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return set(json.loads(done.stdout.splitlines()[-1]))


def modules_of_ctypes() -> set[str]:
    """Return what Python itself imports for ctypes, with which every start calls the kernel."""
    return modules_after("import ctypes")  # from 3.14 on `sysconfig` and `threading` too


def test_the_text_of_a_secret_is_read_in_credentials_only() -> None:
    outside = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.parts[len(ROOT.parts) + 1] != "credentials"
        and path.name != "secret.py"
        and ".reveal(" in path.read_text(encoding="utf-8")
    ]
    assert outside == []


# By module: what bounds a call that goes on after it was looked at (docs/adr/0001, 0013, 0015).
GOING_ON = {
    "notify_loop.py": "a bind of a Unix socket, by Landlock; a listen, by its registers",
    "opens/handler.py": "an open, by Landlock",
    "opens/instruction_files.py": "an open, by Landlock",
    "opens/thread_names.py": "an open, by Landlock",
    "opens/path_observer.py": "an open, by Landlock",
}


def test_a_trapped_call_goes_on_only_where_something_else_bounds_it() -> None:
    room = ROOT / "nono/supervisor"
    answering = {
        str(path.relative_to(room))
        for path in room.rglob("*.py")
        if re.search(r"_answers\.leave\b|\brespond_continue\(", path.read_text(encoding="utf-8"))
    }
    assert answering == {*GOING_ON, "calls/answers.py"}
    for name in GOING_ON:
        said = (room / name).read_text(encoding="utf-8")
        assert re.search(r"Landlock (checks|judges|lets)", said), name


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("import nono.cli.main", id="nono --help"),
        pytest.param("import nono.cli.commands.wrap", id="nono wrap"),
    ],
)
def test_the_way_to_an_unsupervised_command_imports_nothing_slow(statement: str) -> None:
    assert modules_after(statement) & SLOW_TO_IMPORT == set()


def test_a_wrap_without_a_profile_parses_no_json() -> None:
    statement = (
        "from nono.cli.commands import wrap\n"
        "environ = {'HOME': '/root', 'PATH': '/bin'}\n"
        "given = wrap.parse('wrap', '', ['--allow-cwd', '-r', '/usr', '--', 'true'], environ)\n"
        "wrap.wrap.prepare(wrap.resolve_given(given, environ), given.command, environ)"
    )
    assert modules_after(statement) & (NOT_TO_WRAP | SLOW_TO_IMPORT) == set()


def test_the_screen_of_top_alone_imports_textual() -> None:
    graph = grimp.build_graph("nono", include_external_packages=True, cache_dir=None)
    importers = graph.find_modules_that_directly_import("textual")
    assert importers == {f"nono.cli.commands.top.{name}" for name in ("questions", "screen")}
    assert "textual" not in modules_after("import nono.cli.commands.top.web")


def test_what_masks_paths_and_probes_the_kernel_parses_no_json() -> None:
    forking = modules_after("import nono.sandbox.probe, nono.sandbox.mask_keeper")
    assert forking & {"json", "pickle", "socket", "subprocess"} == set()


def test_a_proxy_listens_before_what_serves_is_imported() -> None:
    on_the_way = f"import {OF_A_RUN}, nono.launch.run_proxy"
    policy = (
        "import nono.policy.proxied_policy, nono.credentials.sources.store"  # imported where they are used
    )
    after = modules_after(f"{on_the_way}; {policy}")
    unneeded = {*NOT_TO_LISTEN, "ipaddress", "json", "signal", "typing", "urllib"} - modules_of_ctypes()
    assert after & unneeded == set()


def test_a_run_with_an_agents_profile_imports_no_json_or_typing() -> None:
    profile = (
        f"import {OF_A_RUN}, nono.launch.run_proxy\n"
        "import nono.launch.proxy.own_logins, nono.policy.profile.cache, nono.policy.profile.host\n"
        "import nono.cli.project_profiles, nono.credentials.logins.provider_login\n"
        "import nono.policy.services.oauth_routes, nono.launch.trusted.trust_roots, nono.audit.traffic\n"
        "from nono.policy.profile.store import load_profile\n"
        "from nono.policy.proxied_policy import proxied_policy\n"
        "load_profile('claude-code', {'HOME': '/nowhere'})"
    )
    assert modules_after(profile) & {"json", "typing", "nono.policy.schema.annotations"} == set()


def test_the_way_of_a_run_with_logins_imports_no_event_loop() -> None:
    profile = "import nono.launch.run_proxy, nono.cli.project_profiles, nono.policy.profile.cache"
    loaded = modules_after(f"{profile}; import nono.credentials.logins.tokens")
    unneeded = {*NOT_TO_LISTEN, *SLOW_TO_IMPORT, "concurrent.futures", "json", "random", "typing"}
    assert loaded & (unneeded - modules_of_ctypes()) == {"nono.policy.services.oauth_routes"}


def test_an_argument_that_names_no_secret_is_recorded_without_expressions() -> None:
    prompt = "mend the code of src/key.py: it fails, see a@b"
    assert "re" not in modules_after(f"from nono.audit.redact import redact_argv; redact_argv([{prompt!r}])")


def test_what_captures_logins_is_imported_without_what_a_login_needs() -> None:
    statement = "import nono.credentials.logins.provider_login, nono.launch.proxy.own_logins"
    assert modules_after(statement) & {"_hashlib", "ipaddress", "urllib.parse"} == set()


def test_trying_a_tls_identity_imports_no_event_loop() -> None:
    trying = (
        "from nono.proxy.upstream.identity import check_identity\n"
        "from nono.policy.schema.route_rules import TlsIdentity\n"
        "try: check_identity(TlsIdentity('/dev/null'))\n"
        "except OSError: pass"
    )
    assert modules_after(trying) & SLOW_TO_IMPORT == set()


def test_what_counts_repeated_events_is_imported_with_what_serves() -> None:
    """Once the command runs, an update of nono may take away what was not imported."""
    assert "nono.audit.windows" in modules_after("import nono.launch.supervised")


def test_what_serves_a_proxy_makes_no_enum_of_every_status() -> None:
    served = modules_after("import nono.launch.supervised, nono.launch.serving.proxied, nono.proxy.service")
    assert served & {"_hashlib", "http"} == set()


def test_the_process_that_makes_a_ca_imports_no_more_than_signs_it() -> None:
    made = "ca_worker._made(60, 60, ['a.test'], {'JAVA_HOME': '/opt/jdk'})"
    statement = f"from nono.launch.proxy import ca_worker; {made}"
    assert modules_after(statement) & NOT_TO_CERTIFY == set()


def test_a_run_without_proxy_imports_no_event_loop() -> None:
    run = f"import {OF_A_RUN}, nono.launch.record.proof"
    slow = {*SLOW_TO_IMPORT, "_hashlib", "enum", "json", "re", "signal", "typing"}
    assert modules_after(run) & {*slow, "nono.policy.ownership", "nono.policy.why"} == set()


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param(
            "import nono.launch.run, nono.launch.terminal.own_terminal, nono.sessions.meeting",
            id="supervisor",
        ),
        pytest.param(
            "import nono.cli.commands.terminal.front, nono.cli.commands.terminal.viewer",
            id="the process in front",
        ),
    ],
)
def test_a_terminal_of_its_own_needs_nothing_slow(statement: str) -> None:
    slow = {*SLOW_TO_IMPORT, "_hashlib", "enum", "json", "re", "selectors", "signal", "socket", "typing"}
    assert modules_after(f"import nono.cli.commands.run.command; {statement}") & slow == set()


def test_a_supervisor_is_forked_before_what_talks_to_the_process_in_front_is_imported() -> None:
    before = modules_after("import nono.cli.commands.run.command, nono.launch.terminal.apart")
    assert before & {"nono.launch.terminal.front", "nono.sessions.wire", "selectors", "socket"} == set()


def test_what_shows_a_terminal_is_imported_before_the_command_starts() -> None:
    statement = (
        "from types import SimpleNamespace as S\n"
        "from nono.launch import optional\n"
        "optional.import_meanwhile(S(enforcement=S(rung=None)), has_terminal=True)"
    )
    assert {"nono.launch.terminal.own_terminal", "nono.sessions.meeting"} <= modules_after(statement)


def test_a_person_who_attaches_waits_for_no_import_that_is_not_needed() -> None:
    slow = {"argparse", "email", "http.client", "ssl", "asyncio", "pydantic", "socket"}
    after = modules_after("from nono.cli.main import main; main(['attach', 'nobody'])")
    assert after & {*slow, "nono.approval.request", "nono.policy.effective_policy"} == set()


def test_the_launcher_is_forked_before_a_policy_is_imported() -> None:
    """Else its probe of the kernel and the supervisor's imports would wait for each other."""
    before = modules_after("import nono.cli.commands.run.command")
    assert (
        before
        & {"nono.launch.run", "nono.policy.resolve", "nono.sandbox.probe", "nono.sandbox.enter", "socket"}
        == set()
    )


def test_an_ignored_rule_carries_its_reason() -> None:
    silent = re.compile(r"#\s*(noqa(: [A-Z0-9, ]+)?|type: ignore(\[[a-z-]+(, ?[a-z-]+)*\])?)\s*$")
    offenders = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in [*SOURCES, *sorted((ROOT / "tests").rglob("*.py"))]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if silent.search(line)
    ]
    assert offenders == []


def circles(graph: grimp.ImportGraph) -> list[set[str]]:
    """Return the groups of modules that reach each other (Tarjan's strongly connected components)."""
    found, stack = list[set[str]](), list[str]()
    index, lowest = dict[str, int](), dict[str, int]()

    def visit(module: str) -> None:
        index[module] = lowest[module] = len(index)
        stack.append(module)
        for imported in graph.find_modules_directly_imported_by(module):
            if imported not in index:
                visit(imported)
                lowest[module] = min(lowest[module], lowest[imported])
            elif imported in stack:
                lowest[module] = min(lowest[module], index[imported])
        if lowest[module] == index[module]:
            group = set(stack[stack.index(module) :])
            del stack[stack.index(module) :]
            if len(group) > 1:
                found.append(group)

    for module in graph.modules:
        if module not in index:
            visit(module)
    return found


def test_no_modules_import_each_other_in_a_circle() -> None:
    # Imports inside functions and under TYPE_CHECKING count: a reader follows them as well.
    assert circles(grimp.build_graph("nono", cache_dir=None)) == []


def test_a_circle_of_a_late_import_is_found() -> None:
    graph = grimp.ImportGraph()
    for importer, imported in (("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")):
        graph.add_import(importer=importer, imported=imported)
    assert circles(graph) == [{"b", "c"}]


ROOMS = sorted({path.parent.relative_to(ROOT) for path in SOURCES})


def test_the_map_names_every_room() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert [str(room) for room in ROOMS if f"{room.name}/" not in page] == []


PAGES = [ROOT / name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", "SECURITY.md")]
PAGES += [ROOT / "docs/attack-matrix.md", *(ROOT / "docs/adr").glob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_file_that_a_page_names_is_there(page: Path) -> None:
    named = re.findall(
        r"`((?:nono|tests|unit|scenarios|attacks|kernel|e2e)/[\w/.*-]+\.py)", page.read_text(encoding="utf-8")
    )
    assert [name for name in named if not [*ROOT.glob(name), *(ROOT / "tests").glob(name)]] == []


LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
GENERATED = ("reference/", "security.md", "architecture.md", "contributing.md", "changelog.md")


def test_a_link_of_a_page_leads_to_a_file() -> None:
    """What docs/hooks generates aside; `make docs` looks at that, and at headings."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "docker").glob("*.md")]
    dead = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for link in LINK.findall(re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL))
        if not (page.parent / link).exists() and not any(name in link for name in GENERATED)
    ]
    assert dead == []


SUPPORT_ROOMS = sorted({path.parent.relative_to(ROOT) for path in (ROOT / "tests/support").rglob("*.py")})


@pytest.mark.parametrize("room", [*ROOMS, *SUPPORT_ROOMS], ids=str)
def test_a_room_holds_no_more_than_fifteen_modules(room: Path) -> None:
    assert len([path for path in (ROOT / room).glob("*.py") if path.name != "__init__.py"]) <= 15


@pytest.mark.parametrize("room", SUPPORT_ROOMS, ids=str)
def test_a_room_of_the_tests_says_what_it_gives(room: Path) -> None:
    assert (ROOT / room / "__init__.py").read_text(encoding="utf-8").startswith('"""')
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"`{room.name}`" in page or f"tests/{room.name}`" in page


DECISIONS = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
HEAD = re.compile(r"# (\d+)\. (.+)\n\n- Status: (.+)\n- Date: (\d{4}-\d\d-\d\d)\n\n")
STATUS = re.compile(r"accepted|superseded (?:in part )?by \[ADR \d+\]\([^)]+\), because .+")


def head_of_decision(path: Path) -> tuple[str, str, str, str]:
    """Return number, title, status and date."""
    match = HEAD.match(path.read_text(encoding="utf-8"))
    assert match, f"{path.name} must begin with its title, '- Status: ...' and '- Date: YYYY-MM-DD'"
    number, title, status, date = match.groups()
    return number, title, status, date


def test_every_decision_has_a_number_of_its_own() -> None:
    numbers = [path.name[:4] for path in DECISIONS]
    assert len({*numbers}) == len(numbers)
    assert [head_of_decision(path)[0] for path in DECISIONS] == [str(int(number)) for number in numbers]


def test_a_superseded_decision_names_the_later_one_with_a_reason() -> None:
    statuses = {path.name: head_of_decision(path)[2] for path in DECISIONS}
    assert {name: status for name, status in statuses.items() if not STATUS.fullmatch(status)} == {}


def test_every_decision_is_in_the_index() -> None:
    rows = []
    for path in DECISIONS:
        number, title, status, date = head_of_decision(path)
        later = " and ".join(re.findall(r"\[ADR (\d+)\]", status))
        rows.append(
            f"| {number} | [{title}]({path.name}) | {status.split(' [')[0]} {later}".rstrip() + f" | {date} |"
        )
    index = (ROOT / "docs/adr/README.md").read_text(encoding="utf-8")
    listed = [line for line in index.splitlines() if re.match(r"\| \d", line)]
    assert [
        row for row in rows if not any(line.startswith(f"{row} ") and line.endswith(". |") for line in listed)
    ] == []
    assert len(listed) == len(rows)


def test_the_changelog_has_the_sections_of_keep_a_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    known = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    for version in text.split("\n## ")[1:]:
        before, *sections = version.split("\n### ")
        titles = [section.partition("\n")[0] for section in sections]
        assert titles == [title for title in known if title in titles]
        assert "\n- " not in before, "an entry stands in no section"
