"""A failed command is told what it usually needs, and what the kernel refused it if somebody asks."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from nono.policy.why.refusals import KEPT_HOOKS
from support.nono_run import NO_NAMESPACES, NONO, PROXY_ONLY, Ended, NonoRun, nono_run
from support.running.needs import has_datagrams

BLOCKED: Mapping[str, object] = {"network": {"block": True}}
TITLE = "NONO DIAGNOSTIC"


def footer(stderr: str) -> list[str]:
    _, _, told = stderr.partition(TITLE)
    return [line.strip() for line in told.splitlines()]


def fixes(stderr: str) -> list[str]:
    return [line.removeprefix("fix: ") for line in footer(stderr) if line.startswith("fix: ")]


@pytest.fixture
def letter(sandbox: NonoRun) -> str:
    """Return a file of the person's that no run is granted."""
    file = sandbox.user.home / "letter"
    file.write_text("dear")
    return str(sandbox.give(file))


def test_a_file_named_in_the_command_is_offered(sandbox: NonoRun, letter: str) -> None:
    run = sandbox.run(["cat", letter], profile=BLOCKED)
    assert run.exit_code == 1
    assert "Not granted in this run, and often needed:" in footer(run.stderr)
    assert fixes(run.stderr) == [f"--read-file {letter}"]
    again = sandbox.run(["cat", letter], profile=BLOCKED, flags=fixes(run.stderr)[0].split())
    assert (again.exit_code, again.stdout, TITLE in again.stderr) == (0, "dear", False)


@pytest.mark.needs("listener")
def test_a_refused_file_of_settings_is_told_for_what_it_is(sandbox: NonoRun) -> None:
    """Its option grants nothing besides it, so there is nothing else to say."""
    files, elsewhere = sandbox.user.home / "files", sandbox.user.home / "elsewhere"
    for directory in (files, elsewhere):
        directory.mkdir()
        sandbox.give(directory)
    (elsewhere / "g").write_text("[user]\nname = ada\n")
    sandbox.give(elsewhere / "g")
    (files / "g").symlink_to(elsewhere / "g")
    os.lchown(files / "g", sandbox.user.uid, sandbox.user.gid)
    (sandbox.user.home / ".gitconfig").symlink_to(files / "g")
    run = sandbox.run(["git", "config", "--global", "user.name"], flags=["--explain"])
    assert run.exit_code != 0
    assert [each for each in footer(run.stderr) if "your git settings" in each] == ["your git settings"]


@pytest.mark.needs("listener")
@pytest.mark.parametrize(("further", "is_clear"), [("", False), ("connect(('192.0.2.1', 1))", True)])
def test_what_runtimes_try_at_each_start_is_not_taken_for_the_reason(
    sandbox: NonoRun, further: str, is_clear: bool
) -> None:
    """Node tries io_uring, and fails for another reason: a file, which the kernel does not name."""
    refused = "import ctypes; ctypes.CDLL(None).syscall(425, 1, 0)"
    reached = f"; import socket; socket.socket().{further}" if further else ""
    run = sandbox.run(["python3", "-c", f"{refused}{reached}; open('/root/x', 'w')"])
    assert run.exit_code == 1
    assert any(line.startswith("io_uring_setup") for line in footer(run.stderr))
    assert any("nono run --explain" in line for line in footer(run.stderr)) is not is_clear


UDP_SOCKET, UNIX_DATAGRAMS = (f"socket(family={family}, type=2, protocol=0)" for family in (2, 1))
INDEX = "import socket\ntry: socket.if_nametoindex('lo')\nexcept OSError: pass"
UDP_TRIED = [
    pytest.param("", NO_NAMESPACES, UDP_SOCKET, id="no UDP"),
    pytest.param(".connect(('192.0.2.1', 9))", "", "udp:192.0.2.1:9", id="another host"),
    pytest.param(".connect(('127.0.0.53', 53))", "", "dns:127.0.0.53:53", id="a name server"),
]


def tries_udp(connects: str) -> str:
    return f"import socket, sys\ntry: socket.socket(type=2){connects}\nexcept OSError: pass\n"


def require_udp(sandbox: NonoRun, flag: str) -> None:
    if not flag and not has_datagrams(sandbox.user.uid):
        pytest.skip("no network of its own here")


@pytest.mark.needs("listener")
@pytest.mark.parametrize(("connects", "flag", "target"), UDP_TRIED)
@pytest.mark.parametrize(("further", "is_clear"), [("", False), ("s.connect(('192.0.2.1', 1))", True)])
def test_udp_that_a_program_only_tries_is_not_taken_for_the_reason(
    sandbox: NonoRun, letter: str, further: str, is_clear: bool, connects: str, flag: str, target: str
) -> None:
    """curl tries it for IPv6, and fails for another reason: a file, which the kernel does not name."""
    require_udp(sandbox, flag)
    script = f"{tries_udp(connects)}s = socket.socket()\n{further}\n"
    run = sandbox.run(["python3", "-c", f"{script}open(sys.argv[1])", letter], flags=[flag] if flag else [])
    assert run.exit_code == 1
    told = " ".join(footer(run.stderr))
    assert target in told
    assert (f"--read-file {letter}" in fixes(run.stderr)) is not is_clear
    assert ("nono run --explain" in told) is not is_clear


@pytest.mark.needs("listener")
@pytest.mark.parametrize(("connects", "flag", "target"), UDP_TRIED)
@pytest.mark.parametrize(("exit_code", "is_sought"), [(0, False), (3, True)])
def test_of_udp_nothing_is_said_after_a_success_but_that_there_is_none(
    sandbox: NonoRun, exit_code: int, is_sought: bool, connects: str, flag: str, target: str
) -> None:
    """Flask looks for this machine's address, git send-email for its name, and both do what was asked."""
    require_udp(sandbox, flag)
    script = f"{tries_udp(connects)}raise SystemExit({exit_code})"
    run = sandbox.run(["python3", "-c", script], flags=[flag] if flag else [])
    is_told = is_sought or target == UDP_SOCKET
    assert (run.exit_code, TITLE in run.stderr) == (exit_code, is_told)
    assert target in {text for name, port in run.denied_targets() for text in (name, f"{name}:{port}")}
    assert ("nono run --explain" in run.stderr) is is_sought


WATCHES = """
import socket, sys
for protocol in (15, 0):
    try: socket.socket(16, socket.SOCK_RAW, protocol).bind((0, 1))
    except OSError: pass
raise SystemExit(int(sys.argv[1]))
"""


@pytest.mark.needs("listener")
@pytest.mark.parametrize("exit_code", [0, 3])
def test_of_watching_devices_and_routes_nothing_is_said_after_a_success(
    sandbox: NonoRun, exit_code: int
) -> None:
    """Chromium tries both at each start, and shows its page."""
    run = sandbox.run(["python3", "-c", WATCHES, str(exit_code)])
    told = " ".join(footer(run.stderr)) if exit_code else run.stderr
    assert run.exit_code == exit_code
    for target in ("socket(family=16, type=3, protocol=15)", "rtnetlink"):
        assert target in {name for name, _ in run.denied_targets()}
        assert (target in told) is bool(exit_code)
    assert (TITLE in run.stderr) is ("nono run --explain" in run.stderr) is bool(exit_code)


def test_a_search_path_that_was_not_passed_on_is_told_to_a_command_that_failed(sandbox: NonoRun) -> None:
    modules = sandbox.user.home / "modules"
    modules.mkdir()
    sandbox.give(modules)
    sandbox.give(_written(modules / "mine.py", "print('loaded')"))
    load = ["python3", "-c", "import mine"]
    told = "Not passed on, because it changes what programs load: PYTHONPATH."

    def run(*flags: str, command: Sequence[str] = load) -> Ended:
        return sandbox.run([*command], profile={}, flags=flags, environment={"PYTHONPATH": str(modules)})

    refused = run(f"--read={modules}")
    assert refused.exit_code == 1
    assert told in refused.stderr
    assert "--env PYTHONPATH=VALUE sets it." in refused.stderr
    given = run(f"--read={modules}", f"--env=PYTHONPATH={modules}")
    assert (given.exit_code, given.stdout) == (0, "loaded\n"), given.stderr
    for command in (["python3", "-c", ""], ["sh", "-c", "exit 3"]):
        assert told not in run(command=command).stderr


@pytest.mark.parametrize(("access", "is_enough"), [("readwrite", True), ("read", False)])
def test_the_working_directory_is_offered_by_its_own_option(
    sandbox: NonoRun, access: str, is_enough: bool
) -> None:
    profile = {**BLOCKED, "workdir": {"access": access}}
    other = sandbox.user.home / "other"
    other.mkdir()
    here = ["--workdir", str(sandbox.give(other))]
    run = sandbox.run(["touch", "new"], profile=profile, flags=here)
    offered = "--allow-cwd" if is_enough else f"--write {other}"
    assert (run.exit_code, fixes(run.stderr)) == (1, [offered])
    again = sandbox.run(["touch", "new"], profile=profile, flags=[*here, *offered.split()])
    assert (again.exit_code, TITLE in again.stderr) == (0, False)


@pytest.mark.parametrize(
    ("flags", "program", "said"),
    [
        ([], "./tool", "{}/tool: it is not granted."),
        ([], "./other", "./other: no such file"),
        (["--allow-cwd"], "./other", "./other: no such file"),
        (["--allow-cwd"], "./tool", None),
    ],
)
def test_a_program_of_a_working_directory_that_is_not_shared(
    sandbox: NonoRun, flags: list[str], program: str, said: str | None
) -> None:
    directory = sandbox.user.home / "other"
    directory.mkdir()
    tool = directory / "tool"
    tool.write_text("#!/bin/sh\nexit 0\n")
    tool.chmod(0o755)
    sandbox.give(directory)
    profile = {**BLOCKED, "workdir": {"access": "read"}}
    run = sandbox.run([program], profile=profile, flags=["--workdir", str(directory), *flags])
    assert (run.exit_code == 0) is (said is None)
    if said is not None:
        assert f"nono: Command execution failed: {said.format(directory)}" in run.stderr.splitlines()


@pytest.mark.needs("listener")
@pytest.mark.parametrize(("place", "is_whole"), [("npm/lib/node_modules", True), ("npm/modules", False)])
def test_a_watched_program_of_npm_is_offered_with_its_modules(
    sandbox: NonoRun, place: str, is_whole: bool
) -> None:
    modules = sandbox.user.home / place
    (modules / "greet").mkdir(parents=True)
    file = _written(modules / "greet" / "cli.js", "#!/bin/sh\n")
    file.chmod(0o755)
    for path in (sandbox.user.home / "npm", *(sandbox.user.home / "npm").rglob("*")):
        sandbox.give(path)
    run = sandbox.run(["sh", "-c", f"{file}; true"], profile={}, flags=["--allow=.", "--explain"])
    assert fixes(run.stderr) == [f"--read {modules}" if is_whole else f"--read-file {file}"]


@pytest.mark.parametrize("is_own", [False, True])
def test_pytest_in_a_home_with_its_settings_is_told_what_comes_first(sandbox: NonoRun, is_own: bool) -> None:
    sandbox.give(_written(sandbox.user.home / "pytest.ini", "[pytest]\n"))
    sandbox.give(_written(sandbox.project / "test_a.py", "def test_a(): pass\n"))
    if is_own:
        sandbox.give(_written(sandbox.project / "pytest.ini", ""))
    argv = ["python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_a.py"]
    if sandbox.bare(argv).exit_code != 0:
        pytest.skip("python3 has no pytest")
    run = sandbox.run(argv, profile={}, flags=["--allow=."])
    assert (run.exit_code == 0) is is_own, run.stderr
    assert ("instead: an empty pytest.ini in the project" in run.stderr) is not is_own


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("in_shell", [False, True])
def test_a_program_of_an_environment_runs_with_what_is_offered(sandbox: NonoRun, in_shell: bool) -> None:
    """Its file alone, which was offered, does not start without the modules beside it."""
    environment = sandbox.user.home / "tools" / "environment"
    sandbox.bare(["python3", "-m", "venv", "--without-pip", str(environment)])
    tool = environment / "bin" / "tool"
    tool.write_text(f"#!{environment}/bin/python\nimport beside\nprint(beside.__name__)\n")
    tool.chmod(0o755)
    [modules] = environment.glob("lib/python3*/site-packages")
    (modules / "beside.py").touch()
    sandbox.give(environment)
    command = ["sh", "-c", f"{tool}; exit $?"] if in_shell else [str(tool)]
    refused = sandbox.run(command, profile=BLOCKED)
    options = [
        line.removeprefix("hint: ") for line in refused.stderr.splitlines() if line.startswith("hint: ")
    ]
    assert (options or fixes(refused.stderr)) == [f"--read {environment}"]
    ended = sandbox.run(command, profile=BLOCKED, flags=["--read", str(environment)])
    assert (ended.exit_code, ended.stdout) == (0, "beside\n")


def test_a_hook_that_a_run_keeps_is_told_by_explain_and_by_why(sandbox: NonoRun) -> None:
    """The directory is granted with the project, and a mount keeps it all the same."""
    sandbox.bare(["git", "init", "-q", str(sandbox.project)])
    hooks = sandbox.project / ".git/hooks"
    write = ["sh", "-c", f"echo x > {hooks}/pre-commit"]
    refused = sandbox.run(write, profile=BLOCKED, flags=["--explain", "--namespaces", "require"])
    assert refused.exit_code != 0
    told = " ".join(" ".join(footer(refused.stderr)).split())
    assert f"{KEPT_HOOKS} if the command may change them: --allow {hooks}" in told
    ask = ["why", "--path", f"{hooks}/pre-commit", "--op", "write", "--allow", str(sandbox.project)]
    answer = sandbox.bare([*NONO, *ask])
    assert answer.stdout.startswith("DENIED\n  Reason: kept hooks\n")
    assert f"Suggested fix: --allow {hooks}\n" in answer.stdout
    reading = sandbox.bare([*NONO, *ask[:4], "read", *ask[5:]])
    assert reading.stdout.startswith("ALLOWED\n")
    allowed = sandbox.run(write, profile=BLOCKED, flags=[f"--allow={hooks}"])
    assert allowed.exit_code == 0, allowed.stderr


def test_a_library_that_a_program_is_not_granted_is_offered(sandbox: NonoRun) -> None:
    """The program finds it by its own search path, as one that a build has linked does."""
    library, program = sandbox.user.home / "lib/liba.so", sandbox.project / "program"
    library.parent.mkdir()
    for source, *flags in (
        ("int a(void) { return 0; }", "-shared", "-o", library),
        (
            "int a(void); int main(void) { return a(); }",
            *("-o", program, "-L", library.parent, "-la", f"-Wl,-rpath,{library.parent}"),
        ),
    ):
        argv = ["gcc", "-x", "c", "-", "-x", "none", *map(str, flags)]
        subprocess.run(argv, input=source, text=True, check=True, timeout=60)
    sandbox.give(library.parent)
    run = sandbox.run(["./program"], profile=BLOCKED)
    assert (run.exit_code, fixes(run.stderr)) == (127, [f"--read-file {library}"])
    again = sandbox.run(["./program"], profile=BLOCKED, flags=fixes(run.stderr)[0].split())
    assert (again.exit_code, TITLE in again.stderr) == (0, False)
    library.write_text("dear")
    assert fixes(sandbox.run(["./program"], profile=BLOCKED).stderr) == []  # it is a letter by now


@pytest.mark.parametrize("command", [["./tool"], ["sh", "-c", "./tool"]], ids=["itself", "by a shell"])
def test_no_private_file_is_offered_because_a_script_names_it(
    sandbox: NonoRun, letter: str, command: list[str]
) -> None:
    tool = sandbox.project / "tool"
    tool.write_text(f"#!{letter}\n")
    tool.chmod(0o755)
    told = sandbox.run(command, profile=BLOCKED).stderr
    assert "--read-file" not in told


def test_a_program_that_a_shell_may_not_start_is_offered_alone(sandbox: NonoRun) -> None:
    tool, beside = sandbox.user.home / "bin/tool", sandbox.user.home / "bin/other"
    tool.parent.mkdir()
    for each in (tool, beside):
        each.write_text("#!/bin/sh\necho ran\n")
        each.chmod(0o755)
    path = {"PATH": f"{tool.parent}:/usr/bin:/bin"}
    run = sandbox.run(["sh", "-c", "tool"], profile=BLOCKED, environment=path)
    assert (run.exit_code, fixes(run.stderr)) == (126, [f"--read-file {tool}"])
    again = sandbox.run(
        ["sh", "-c", "tool; other"], profile=BLOCKED, environment=path, flags=[f"--read-file={tool}"]
    )
    assert (again.exit_code, again.stdout) == (126, "ran\n")


def test_a_file_that_is_closed_outside_too_is_not_offered(sandbox: NonoRun, letter: str) -> None:
    (sandbox.user.home / "letter").chmod(0)
    assert TITLE not in sandbox.run(["cat", letter], profile=BLOCKED).stderr


def test_a_build_that_may_not_write_its_directory_is_told(sandbox: NonoRun) -> None:
    directory = sandbox.user.home / "read-only"
    directory.mkdir()
    sandbox.give(directory)
    flags = [f"--workdir={directory}", f"--read={directory}"]
    run = sandbox.run(["make"], profile=BLOCKED, flags=flags)
    assert run.exit_code == 2
    assert fixes(run.stderr) == [f"--allow {directory}"]
    assert f"grants reading and writing everything in {directory}" in " ".join(footer(run.stderr))
    assert max(map(len, footer(run.stderr))) <= 80
    allowed = sandbox.run(["make"], profile=BLOCKED, flags=[flags[0], f"--allow={directory}"])
    assert (allowed.exit_code, TITLE in allowed.stderr) == (2, False)


def test_the_footer_names_the_ways_to_see_more(sandbox: NonoRun, letter: str) -> None:
    told = " ".join(footer(sandbox.run(["cat", letter], profile=BLOCKED).stderr))
    assert "`nono run --explain`" in told
    assert "`nono learn -o NAME`" in told


def test_the_report_as_json_says_the_same(sandbox: NonoRun, letter: str) -> None:
    run = sandbox.run(["cat", letter], profile=BLOCKED, flags=["--silent", "--diagnostics-json"])
    [diagnostic] = json.loads(run.stderr[run.stderr.index("{\n") :])["session"]["diagnostics"]
    assert diagnostic == {
        "code": "command_failed_likely_sandbox",
        "severity": "info",
        "message": f"{letter} was not granted: named in the command",
        "remediation": {"kind": "grant_path"},
        "hint": f"--read-file {letter}",
        "path": letter,
        "access": "Read",
    }


@pytest.mark.parametrize(
    ("script", "flags", "profile", "by"),
    [
        ("curl -s http://192.0.2.1/", ["--block-net"], {}, "--block-net"),
        ("curl -s http://192.0.2.1/", [], BLOCKED, "network.block of its profile"),
        ("exit 6", ["--block-net"], {}, None),
        ("curl --version; true", ["--block-net"], {}, None),
    ],
    ids=["option", "profile", "another program", "it ends well"],
)
def test_a_program_that_asks_the_network_is_told_that_there_is_none(
    sandbox: NonoRun, script: str, flags: list[str], profile: Mapping[str, object], by: str | None
) -> None:
    run = sandbox.run(["sh", "-c", script], profile=profile, flags=flags)
    assert (run.exit_code != 0) is (script != "curl --version; true")
    said = f"curl asks the network, and this run has none ({by})."
    assert (said in run.stderr) is (by is not None)
    assert ("asks the network" in run.stderr) is (by is not None)
    assert ("--open-port PORT beside it" in run.stderr) is (by == "--block-net")


@pytest.mark.parametrize("profile", [{}, PROXY_ONLY], ids=["open", "proxy"])
@pytest.mark.parametrize(
    ("script", "is_told"), [("unshare -Ur id", True), ("unshare --version; exit 3", True), ("exit 3", False)]
)
def test_a_program_that_makes_namespaces_is_told_that_no_run_may(
    sandbox: NonoRun, script: str, is_told: bool, profile: Mapping[str, object]
) -> None:
    run = sandbox.run(["sh", "-c", script], profile=profile)
    assert run.exit_code != 0
    said = "  unshare makes mounts or namespaces of its own, which no run may. Run it outside."
    assert (said in run.stderr.splitlines()) is is_told


@pytest.mark.parametrize(("options", "is_told"), [("--version", True), ("--no-sandbox --version", False)])
def test_a_browser_that_confines_itself_is_told_to_do_without(
    sandbox: NonoRun, options: str, is_told: bool
) -> None:
    run = sandbox.run(["sh", "-c", f"chromium {options}; exit 3"], profile={})
    assert run.exit_code == 3
    said = "  chromium --no-sandbox does without: nono confines all of it."
    assert (said in run.stderr.splitlines()) is is_told


@pytest.mark.parametrize(("program", "is_told"), [("at", True), ("cat", False)])
def test_a_program_that_takes_rights_of_another_user_is_told_that_it_gets_none(
    sandbox: NonoRun, program: str, is_told: bool
) -> None:
    run = sandbox.run(["sh", "-c", f"{program}() {{ return 1; }}; {program} now"], profile={})
    assert run.exit_code == 1
    said = f"  {program} takes the rights of another user, which nothing inside gets. Run it outside."
    assert (said in run.stderr.splitlines()) is is_told


@pytest.mark.parametrize(
    ("argv", "program", "is_told"),
    [(("sh", "do.sh"), "at", True), (("sh", "do.sh"), "cat", False), (("make",), "at", True)],
)
def test_a_program_in_a_script_is_told_so_too(
    sandbox: NonoRun, argv: tuple[str, ...], program: str, is_told: bool
) -> None:
    failing = f"{program}() {{ return 1; }}\n{program} now\n"
    (sandbox.project / "do.sh").write_text(f"# what's next\n{failing}")
    (sandbox.project / "Makefile").write_text("all:\n\t@{}; {}\n".format(*failing.splitlines()))
    run = sandbox.run(argv, profile={})
    assert run.exit_code == (2 if argv == ("make",) else 1)
    said = f"  {program} takes the rights of another user, which nothing inside gets. Run it outside."
    assert (said in run.stderr.splitlines()) is is_told


@pytest.mark.parametrize(("mode", "is_told"), [("u+s", True), ("u+x", False)])
def test_a_program_that_sets_the_set_user_id_bit_is_told_that_no_run_may(
    sandbox: NonoRun, mode: str, is_told: bool
) -> None:
    run = sandbox.run(["sh", "-c", f"touch tool && chmod {mode} tool && exit 3"], profile={})
    assert run.exit_code == (1 if is_told else 3)
    assert ("chmod sets the set-user-ID bit, which nothing inside may" in run.stderr) is is_told


@pytest.mark.skipif(os.geteuid() != 0, reason="the suite is not run by root")
def test_root_which_needs_no_rights_of_others_is_not_told_so() -> None:
    with nono_run(as_root=True) as root:
        run = root.run(["sh", "-c", "at() { return 1; }; at now"], profile={})
    assert run.exit_code == 1
    assert "rights of another user" not in run.stderr


@pytest.mark.parametrize(
    ("operand", "flags", "is_told"),
    [
        pytest.param("install", [], True, marks=pytest.mark.needs("namespaces")),
        ("run", [], False),
        ("install", [NO_NAMESPACES], False),
    ],
)
def test_a_program_that_installs_hooks_is_told_why_it_could_not(
    sandbox: NonoRun, operand: str, flags: Sequence[str], is_told: bool
) -> None:
    sandbox.bare(["git", "init", "-q", str(sandbox.project)])
    command = ["sh", "-c", f"lefthook() {{ echo > .git/hooks/a; }}; lefthook {operand} && exit 3"]
    run = sandbox.run(command, profile={}, flags=["--allow=.", *flags])
    assert run.exit_code != 0
    said = f"let the command change them: --allow {sandbox.project}/.git/hooks"
    assert ("lefthook changes the hooks of git" in run.stderr) is (said in run.stderr) is is_told
    granted = [*flags, "--allow=.", "--allow=.git/hooks"]
    assert "changes the hooks" not in sandbox.run(command, profile={}, flags=granted).stderr


def test_what_a_container_was_to_see_is_not_offered(sandbox: NonoRun, letter: str) -> None:
    run = sandbox.run(["unshare", "-Ur", "cat", letter], profile=BLOCKED)
    assert (run.exit_code != 0, fixes(run.stderr)) == (True, [])


@pytest.mark.parametrize("code", [0, 3])
def test_the_report_as_json_comes_whatever_the_end(sandbox: NonoRun, code: int) -> None:
    exiting = ["sh", "-c", f"exit {code}"]
    run = sandbox.run(exiting, profile=BLOCKED, flags=["--silent", "--diagnostics-json"])
    session = json.loads(run.stderr)["session"]
    assert (session["exit_code"], session["denials"], len(session["diagnostics"])) == (code, [], code // 3)
    assert sandbox.run(exiting, profile=BLOCKED, flags=["--silent"]).stderr == ""


def explained(sandbox: NonoRun, script: str, *flags: str, profile: Mapping[str, object] = BLOCKED) -> Ended:
    return sandbox.run(["sh", "-c", script], profile=profile, flags=["--explain", *flags])


def test_a_watched_run_lists_each_refused_file_once(sandbox: NonoRun, letter: str) -> None:
    run = explained(sandbox, "for i in 1 2 3; do cat ~/letter; done; true")
    assert (run.exit_code, run.stdout) == (0, "")
    lines = footer(run.stderr)
    assert "Sandbox denial: 1 denied." in lines
    assert fixes(run.stderr) == [f"--read-file {letter}"]
    again = explained(sandbox, "cat ~/letter", *fixes(run.stderr)[0].split())
    assert (again.exit_code, again.stdout) == (0, "dear")
    assert "The command was watched, and nothing was refused." in footer(again.stderr)


CONNECT = "/usr/bin/python3 -c \"import socket; socket.create_connection(('127.0.0.1', 9), 5)\""


@pytest.mark.parametrize(("network", "is_told"), [(BLOCKED, True), ({}, False)], ids=["blocked", "open"])
def test_a_watched_run_without_network_does_not_say_that_nothing_was_refused(
    sandbox: NonoRun, network: Mapping[str, object], is_told: bool
) -> None:
    """Nobody listens at the port: outside the command fails as well."""
    lines = footer(explained(sandbox, CONNECT, profile=network).stderr)
    told = "The command was watched, and no file was refused. What it tried of the network,"
    assert (told in lines) is is_told
    assert ("The command was watched, and nothing was refused." in lines) is not is_told


def test_a_watched_run_may_do_no_more_than_another(sandbox: NonoRun, letter: str) -> None:
    """The watcher of `nono learn` without what nono learn grants."""
    bind = "import socket; socket.create_server(('127.0.0.1', 0))"
    script = f'cat ~/letter; echo x > ~/x; python3 -c "{bind}" 2>/dev/null && echo bound; true'
    for flags in ([], ["--explain"]):
        run = sandbox.run(["sh", "-c", script], profile=BLOCKED, flags=flags)
        assert (run.exit_code, run.stdout) == (0, "")
    assert not (sandbox.user.home / "x").exists()


def test_files_below_one_refused_directory_share_its_option(sandbox: NonoRun) -> None:
    directory = sandbox.user.home / "notes"
    directory.mkdir()
    for name in ("a", "b"):
        (directory / name).write_text(name)
        sandbox.give(directory / name)
    sandbox.give(directory)
    run = explained(sandbox, "ls ~/notes; cat ~/notes/a ~/notes/b; true")
    assert fixes(run.stderr) == [f"--read {directory}"]
    assert f"grants reading everything in {directory}" in " ".join(footer(run.stderr))
    narrow = explained(sandbox, "cat ~/notes/a ~/notes/b; true")
    assert fixes(narrow.stderr) == [f"--read-file {directory}/a", f"--read-file {directory}/b"]


def test_no_option_opens_the_home_directory(sandbox: NonoRun) -> None:
    run = explained(sandbox, "ls ~; echo x > ~/new; true")
    assert fixes(run.stderr) == []
    told = " ".join(footer(run.stderr))
    assert told.count("no option is offered: it would open your home directory") == 2


def test_a_program_that_makes_its_directory_in_the_home_is_told_how_to_have_it(sandbox: NonoRun) -> None:
    directory = sandbox.user.home / ".tool"
    refused = explained(sandbox, "mkdir ~/.tool")
    assert f"mkdir {directory} outside, then --allow {directory}" in " ".join(footer(refused.stderr))
    assert fixes(refused.stderr) == []
    directory.mkdir()
    sandbox.give(directory)
    granted = explained(sandbox, "echo x > ~/.tool/x", "--allow", str(directory))
    assert (granted.exit_code, (directory / "x").read_text()) == (0, "x\n")
    for name in ("bin", "$(printf 'a\\001b')"):
        steering = explained(sandbox, f"mkdir ~/{name}; ls ~")
        assert "outside, then --allow" not in " ".join(footer(steering.stderr))


def test_a_program_that_makes_its_file_in_the_home_is_told_how_to_have_it(sandbox: NonoRun) -> None:
    file = sandbox.user.home / ".toolrc"
    write = "echo x > ~/.toolrc"
    refused = explained(sandbox, write)
    assert f"touch {file} outside, then --allow-file {file}" in " ".join(footer(refused.stderr))
    missing = explained(sandbox, write, "--allow-file", str(file))
    assert f"hint: touch {file}, or --allow-missing" in missing.stderr
    sandbox.give(_written(file, ""))
    granted = explained(sandbox, f"{write}; echo y > ~/.toolrc2", "--allow-file", str(file))
    assert file.read_text() == "x\n", granted.stderr
    assert not (sandbox.user.home / ".toolrc2").exists()
    steering = explained(sandbox, "echo x > ~/.npmrc")
    assert "outside, then --allow" not in " ".join(footer(steering.stderr))


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"])
def test_certificates_that_the_environment_names_are_offered_to_a_command_that_failed(
    sandbox: NonoRun, variable: str
) -> None:
    """Behind a proxy that ends TLS, a client that may not read them fails with words of its own, or none."""
    roots = sandbox.give(_written(sandbox.user.home / "company.pem", "its roots"))
    read, told = ["sh", "-c", f'cat < "${variable}"'], f"certificates, by {variable}"

    def run(*flags: str, command: Sequence[str] = read) -> Ended:
        return sandbox.run([*command], profile={}, flags=flags, environment={variable: str(roots)})

    refused = run()
    assert refused.exit_code != 0
    assert told in " ".join(footer(refused.stderr))
    assert fixes(refused.stderr) == [f"--read-file {roots}"]
    assert told not in run(command=["true"]).stderr
    looked_into = run("--allow-domain=https://api.example/**", command=[*read[:2], f"{read[2]}; exit 3"])
    assert (looked_into.exit_code, told in looked_into.stderr) == (3, False)
    allowed = run(f"--read-file={roots}")
    assert (allowed.exit_code, allowed.stdout) == (0, "its roots"), allowed.stderr


@pytest.mark.parametrize(
    ("program", "ending", "is_told"),
    [("qwen", 1, True), ("qwen", 0, False), ("qwen", 130, False), ("other", 1, False)],
)
def test_an_agent_that_failed_without_its_profile_is_told_of_it(
    sandbox: NonoRun, program: str, ending: int, is_told: bool
) -> None:
    agent = _written(sandbox.project / program, f"#!/bin/sh\nexit {ending}\n")
    agent.chmod(0o755)
    sandbox.give(agent)
    ended = sandbox.bare([*NONO, "run", "--allow", str(sandbox.project), "--", str(agent)])
    assert ended.exit_code == ending
    assert ("qwen ran without its profile; --profile qwen-code" in ended.stderr) is is_told


@pytest.mark.parametrize(
    ("program", "flags", "is_told"),
    [("qwen", [], True), ("other", [], False), ("qwen", ["--profile=coding-agent"], False)],
)
def test_an_agent_that_is_not_granted_is_told_of_its_profile_first(
    sandbox: NonoRun, program: str, flags: list[str], is_told: bool
) -> None:
    (sandbox.user.home / "tools").mkdir()
    agent = _written(sandbox.user.home / "tools" / program, "#!/bin/sh\nexit 3\n")
    agent.chmod(0o755)
    for path in (agent.parent, agent):
        sandbox.give(path)
    ended = sandbox.bare([*NONO, "run", "--allow", str(sandbox.project), *flags, "--", str(agent)])
    alone = f"--read-file {agent}"
    said = f"--profile qwen-code is for qwen; to grant the file alone: {alone}" if is_told else alone
    assert (ended.exit_code, f"hint: {said}" in ended.stderr.splitlines()) == (127, True), ended.stderr


@pytest.mark.parametrize(("program", "is_told"), [("pi", True), ("pie", False)])
def test_an_agent_without_a_shipped_profile_that_may_not_write_its_state_is_told_where_it_is(
    sandbox: NonoRun, program: str, is_told: bool
) -> None:
    agent = sandbox.give(
        _written(sandbox.project / program, "#!/bin/sh\nmkdir -p ~/.pi && echo x > ~/.pi/x\n")
    )
    agent.chmod(0o755)
    told = '"filesystem": {"state_dir": ["~/.pi"]}'
    refused = sandbox.run([str(agent)], profile={}, flags=["--allow-cwd"])
    assert refused.exit_code != 0
    assert (told in refused.stderr) is is_told, refused.stderr
    granted: Mapping[str, object] = {"filesystem": {"state_dir": ["~/.pi"]}}
    allowed = sandbox.run([str(agent)], profile=granted, flags=["--allow-cwd"])
    assert (allowed.exit_code, told in allowed.stderr) == (0, False), allowed.stderr
    agent.write_text("#!/bin/sh\nexit 3\n")
    assert told not in sandbox.run([str(agent)], profile=granted, flags=["--allow-cwd"]).stderr


def test_no_option_is_offered_for_what_programs_outside_run(sandbox: NonoRun) -> None:
    directory = sandbox.user.home / ".config/autostart"
    directory.mkdir(parents=True)
    sandbox.give(directory.parent)
    sandbox.give(directory)
    run = explained(sandbox, "echo x > ~/.config/autostart/x; true")
    assert f"{directory}/x (Write)" in " ".join(footer(run.stderr))
    assert "no option is offered: the desktop or a login outside" in " ".join(footer(run.stderr))
    assert fixes(run.stderr) == []


def test_a_denied_file_is_told_with_its_rule(sandbox: NonoRun) -> None:
    key = sandbox.user.home / ".netrc"
    key.write_text("password")
    sandbox.give(key)
    run = explained(sandbox, "cat ~/.netrc; true")
    told = " ".join(footer(run.stderr))
    assert f"'{key}' is denied by group:deny_credentials" in told
    assert fixes(run.stderr) == [f"--read-file {key} --bypass-protection {key}"]
    assert f"lifts the rule that keeps {key} from the command" in told


def test_hosts_and_files_stand_in_one_table(sandbox: NonoRun, letter: str) -> None:
    script = "curl -sS -o /dev/null https://evil.example/; cat ~/letter; exit 3"
    run = explained(sandbox, script, profile=PROXY_ONLY)
    assert run.exit_code == 3
    assert fixes(run.stderr) == ["--allow-domain evil.example", f"--read-file {letter}"]
    assert ("evil.example", 443) in run.denied_targets()


def test_a_watched_run_has_its_refusals_as_json(sandbox: NonoRun, letter: str) -> None:
    run = explained(sandbox, "cat ~/letter; true", "--silent", "--diagnostics-json")
    session = json.loads(run.stderr[run.stderr.index("{\n") :])["session"]
    assert session["denials"] == [{"path": letter, "access": "Read", "reason": "PolicyBlocked"}]


def test_a_watched_run_that_may_say_nothing_is_not_started(sandbox: NonoRun) -> None:
    run = explained(sandbox, "echo started", "--silent")
    assert (run.exit_code, run.stdout) == (1, "")
    assert "--explain prints what --silent and --no-diagnostics leave out" in run.stderr


def test_a_name_with_commands_for_the_terminal_is_spelled_out(sandbox: NonoRun) -> None:
    forged = sandbox.user.home / "x\x1b[2J\n      fix: --allow x"
    forged.write_text("x")
    sandbox.give(forged)
    run = explained(sandbox, "cat ~/x*; true")
    assert "\x1b" not in run.stderr.partition(TITLE)[2]
    assert fixes(run.stderr) == []


@pytest.mark.parametrize(
    ("script", "flags", "denied", "is_told"),
    [
        pytest.param(INDEX, [NO_NAMESPACES], UDP_SOCKET, False, id="the number of an interface, without UDP"),
        pytest.param(INDEX, [], UNIX_DATAGRAMS, False, id="the number of an interface"),
        pytest.param(tries_udp(""), [NO_NAMESPACES], UDP_SOCKET, True, id="UDP"),
    ],
)
def test_the_sockets_that_the_c_library_tries_are_not_told_of_a_command_that_did_without(
    sandbox: NonoRun, script: str, flags: list[str], denied: str, is_told: bool
) -> None:
    ended = sandbox.run(["python3", "-c", script], flags=flags)
    assert ended.exit_code == 0, ended.stderr
    assert denied in {target for target, _ in ended.denied_targets()}
    assert (TITLE in ended.stderr) is is_told


@pytest.mark.parametrize(
    ("value", "set_vars", "ending", "is_told"),
    [
        ("1", {}, 1, True),
        ("1", {}, 0, False),
        ("0", {}, 1, False),
        ("1", {"CLAUDE_CODE_USE_VERTEX": "1"}, 1, False),
    ],
    ids=["asked for", "ended well", "off", "of the profile"],
)
def test_an_agent_that_was_to_use_a_cloud_is_told_where_its_key_comes_from(
    sandbox: NonoRun, value: str, set_vars: Mapping[str, str], ending: int, is_told: bool
) -> None:
    """Claude Code says that a file is not readable, or that an address of the cloud is refused."""
    agent = _written(sandbox.project / "claude", f"#!/bin/sh\nexit {ending}\n")
    agent.chmod(0o755)
    sandbox.give(agent)
    profile = {"environment": {"set_vars": set_vars}}
    ended = sandbox.run([str(agent)], profile=profile, environment={"CLAUDE_CODE_USE_VERTEX": value})
    assert ended.exit_code == ending
    told = "CLAUDE_CODE_USE_VERTEX is set in your shell, and what logs in to Google Vertex AI stays outside."
    assert (told in ended.stderr) is is_told


@pytest.mark.parametrize(
    ("program", "key", "ending", "is_told"),
    [("codex", "", 1, True), ("codex", "sk-x", 1, False), ("codex", "", 0, False), ("other", "", 1, False)],
    ids=["without a key", "with one", "ended well", "not an agent"],
)
def test_an_agent_that_failed_without_a_key_is_told_how_to_store_one(
    sandbox: NonoRun, program: str, key: str, ending: int, is_told: bool
) -> None:
    agent = _written(sandbox.project / program, f"#!/bin/sh\nexit {ending}\n")
    agent.chmod(0o755)
    sandbox.give(agent)
    if key:
        sandbox.user.run([*NONO, "credential", "set", "openai"], stdin=key)
    argv = [*NONO, "run", "--profile", "codex", "--allow-cwd", "--", str(agent)]
    ended = sandbox.bare(argv)
    assert ended.exit_code == ending
    assert ("\n  nono credential set openai\n" in ended.stderr) is is_told, ended.stderr
