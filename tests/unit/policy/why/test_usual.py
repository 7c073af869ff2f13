"""nono.policy.why.usual: what a failed command usually needs."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from posixpath import join

import pytest

from nono.policy.capability import Access
from nono.policy.effective_policy import effective_policy_of
from nono.policy.path_expansion import Filesystem
from nono.policy.resolve import Resolved
from nono.policy.schema.profile import Groups, Profile
from nono.policy.why.usual import Absentee, nothing_hidden, usually_needed
from nono.policy.why.usual_table import places_of_program, usual_place

HOME = "/home/ada"
WORK = f"{HOME}/work"
HEADERS = "/usr/include"
AGENT, WAYLAND = "/run/user/7/agent.sock", "/run/user/7/wayland.sock"
WITHOUT_SYSTEM = Profile(groups=Groups(exclude=("system_read_linux_core",)))

Resolve = Callable[..., Resolved]
MakeFilesystem = Callable[..., Filesystem]


@pytest.fixture
def fs(make_fs: MakeFilesystem) -> Filesystem:
    files = (f"{HEADERS}/stdio.h", "/data/notes", f"{HOME}/.bashrc")
    return make_fs(directories=(HEADERS, f"{HOME}/.nvm", f"{HOME}/bin"), files=files)


def anybody(path: str, access: Access) -> bool:
    return True


def absentees(
    resolved: Resolved,
    line: str,
    fs: Filesystem,
    exit_code: int = 1,
    is_usable: Callable[[str, Access], bool] = anybody,
    hidden_below: Callable[[str], str | None] = nothing_hidden,
) -> list[Absentee]:
    rules, context = effective_policy_of(resolved, fs), resolved.path_context
    return usually_needed(
        shlex.split(line), exit_code, rules, context, fs, is_usable, hidden_below=hidden_below
    )


def flags(resolved: Resolved, line: str, fs: Filesystem, exit_code: int = 1) -> list[str | None]:
    return [each.flag for each in absentees(resolved, line, fs, exit_code)]


def test_a_compiler_is_told_of_headers_that_were_not_granted(run: Resolve, fs: Filesystem) -> None:
    [absentee] = absentees(run(WITHOUT_SYSTEM, allow=(".",)), "gcc main.py", fs)
    purpose = "headers of C and C++"
    assert absentee == Absentee(HEADERS, Access.READ, purpose, "gcc", f"--read {HEADERS}")


def test_nothing_is_told_of_headers_that_were_granted(run: Resolve, fs: Filesystem) -> None:
    assert absentees(run(allow=(".",)), "gcc main.py", fs) == []


def test_nothing_is_told_of_headers_that_are_not_there(run: Resolve, make_fs: MakeFilesystem) -> None:
    assert absentees(run(WITHOUT_SYSTEM, allow=(".",)), "gcc main.py", make_fs()) == []


def test_nothing_is_told_of_what_is_closed_outside_too(run: Resolve, fs: Filesystem) -> None:
    resolved = run(WITHOUT_SYSTEM, allow=(".",))
    assert absentees(resolved, "gcc main.py", fs, is_usable=lambda path, access: False) == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "sh -c 'echo a > new'",
            [(WORK, "where the command writes; granted for read only", f"--write {WORK}")],
        ),
        (
            "sh -c 'echo a > main.py'",
            [
                (
                    f"{WORK}/main.py",
                    "where the command writes; granted for read only",
                    f"--write-file {WORK}/main.py",
                )
            ],
        ),
        *(
            (line, [(WORK, "where the command writes; granted for read only", f"--write {WORK}")])
            for line in ("sh -c 'echo a>new'", "sh -c '(echo a) > new'", "sh -c 'exec > new'", "sh -c '>new'")
        ),
        ("sh -c 'cat main.py 2>/dev/null'", []),
        ("echo a '>' new", []),
    ],
)
def test_a_file_that_the_shell_writes_is_named(
    run: Resolve, make_fs: MakeFilesystem, line: str, told: list[tuple[str, str, str]]
) -> None:
    fs = make_fs(files=("/dev/null",))
    found = absentees(run(read=(".",), fs=fs), line, fs, exit_code=2)
    assert [(each.path, each.purpose, each.flag) for each in found] == told
    assert absentees(run(allow=(".",), fs=fs), line, fs, exit_code=2) == []


def test_a_program_that_needs_no_headers_is_not_told_of_them(run: Resolve, fs: Filesystem) -> None:
    assert absentees(run(WITHOUT_SYSTEM, allow=(".",)), "sed p main.py", fs) == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("ssh host.example", [".ssh/known_hosts", ".ssh/config"]),
        ("git -C . push origin main", [".ssh/known_hosts", ".ssh/config"]),
        ("git commit -m one", []),
        ("gpg --list-keys", [".gnupg"]),
        ("curl https://host.example", []),
    ],
)
def test_what_ssh_and_gpg_read_below_the_home_is_named_without_an_option(
    run: Resolve, make_fs: MakeFilesystem, line: str, told: list[str]
) -> None:
    fs = make_fs(
        directories=(f"{HOME}/.ssh", f"{HOME}/.gnupg"),
        files=(f"{HOME}/.ssh/known_hosts", f"{HOME}/.ssh/config"),
    )
    found = absentees(run(allow=(".",)), line, fs, exit_code=128)
    assert [each.path for each in found] == [f"{HOME}/{path}" for path in told]
    assert all(each.flag is None and "denied by" in each.purpose for each in found)
    places = run(allow=(".",)).path_context
    assert usual_place(f"{HOME}/.gnupg/pubring.kbx", Access.READ, places, fs) is None


@pytest.mark.parametrize(("program", "is_told"), [("mvn", True), ("gradle", False)])
def test_maven_is_told_of_its_denied_settings_with_what_to_do(
    run: Resolve, make_fs: MakeFilesystem, program: str, is_told: bool
) -> None:
    settings = f"{HOME}/.m2/settings.xml"
    fs = make_fs(files=(settings,))
    found = [each for each in absentees(run(allow=(".",)), f"{program} verify", fs) if each.path == settings]
    assert [(each.flag, "mvn -s FILE" in (each.instead or "")) for each in found] == [(None, True)] * is_told


@pytest.mark.parametrize(
    ("line", "is_told"), [("yarn install", True), ("sh -c 'yarn why a'", True), ("npm install", False)]
)
def test_yarn_is_told_of_npms_denied_settings_with_what_to_do(
    run: Resolve, make_fs: MakeFilesystem, line: str, is_told: bool
) -> None:
    settings = f"{HOME}/.npmrc"
    fs = make_fs(files=(settings,))
    found = [each for each in absentees(run(allow=(".",)), line, fs) if each.path == settings]
    told = [(each.flag, "yarn --no-default-rc" in (each.instead or "")) for each in found]
    assert told == [(None, True)] * is_told


@pytest.mark.parametrize(
    ("line", "of_home", "of_project", "told"),
    [
        pytest.param("pytest -q", {"pytest.ini": ""}, {}, "pytest.ini", id="pytest"),
        pytest.param("sh -c 'python3 -m pytest'", {"pytest.ini": ""}, {}, "pytest.ini", id="a module"),
        pytest.param("uv run pytest", {"pytest.ini": ""}, {}, "pytest.ini", id="run by uv"),
        pytest.param("cat pytest", {"pytest.ini": ""}, {}, None, id="a name alone"),
        pytest.param("pytest", {}, {}, None, id="nothing in the home"),
        pytest.param("pytest", {"pytest.ini": ""}, {"pytest.ini": ""}, None, id="the project comes first"),
        pytest.param("pytest", {"tox.ini": "[pytest]"}, {"tox.ini": "[tox]"}, "tox.ini", id="a section"),
        pytest.param("pytest", {"tox.ini": "[tox]"}, {}, None, id="another section"),
        pytest.param("pytest", {"pyproject.toml": ""}, {}, "pyproject.toml", id="metadata"),
        pytest.param("pytest", {"pyproject.toml": ""}, {"setup.py": ""}, None, id="metadata of the project"),
        pytest.param("pytest", {"tox.ini": "[pytest]"}, {"setup.py": ""}, "tox.ini", id="settings first"),
        pytest.param("tox -q", {"tox.ini": ""}, {}, "tox.ini", id="tox"),
        pytest.param("tox -q", {"pytest.ini": ""}, {}, None, id="settings of another tool"),
        pytest.param("uv lock", {"pyproject.toml": "[project]"}, {}, "pyproject.toml", id="uv"),
        pytest.param("npx tsc", {"tsconfig.json": "{}"}, {}, "tsconfig.json", id="tsc"),
        pytest.param("npx tsc", {"tsconfig.json": "{}"}, {"tsconfig.json": "{}"}, None, id="tsc's own"),
        pytest.param("uv lock", {"pyproject.toml": "[tool.x]"}, {}, None, id="uv without a project"),
    ],
)
def test_a_tool_that_took_the_home_for_its_project_is_told_so(
    run: Resolve,
    make_fs: MakeFilesystem,
    line: str,
    of_home: dict[str, str],
    of_project: dict[str, str],
    told: str | None,
) -> None:
    texts = {f"{HOME}/{name}": text for name, text in of_home.items()}
    texts |= {f"{WORK}/{name}": text for name, text in of_project.items()}
    fs = make_fs(texts=texts)
    found = [each for each in absentees(run(allow=(".",)), line, fs) if each.path == HOME]
    assert [(each.flag, each.purpose.partition("~/")[2]) for each in found] == [(None, told)] * bool(told)
    assert all("in the project, which comes first" in str(each.instead) for each in found)


@pytest.mark.parametrize(
    ("line", "file", "is_offered"),
    [
        ("ansible-playbook a.yml", ".ansible.cfg", True),
        ("python3 -m ansible", ".ansible.cfg", True),
        ("uv sync", "uv.toml", True),
        ("bazel build //:a", ".bazelrc", True),
        ("mise run a", "mise.toml", True),
        ("sh -c 'mise exec -- env'", ".mise.toml", True),
        ("make run", "mise.toml", False),
        ("blaze build", ".bazelrc", False),
        ("pip list", "uv.toml", False),
    ],
)
def test_settings_that_may_hold_a_password_are_offered(
    run: Resolve, make_fs: MakeFilesystem, line: str, file: str, is_offered: bool
) -> None:
    fs = make_fs(files=(f"{HOME}/{file}",))
    assert (f"--read-file {HOME}/{file}" in flags(run(allow=(".",)), line, fs)) is is_offered


@pytest.mark.parametrize(("line", "is_offered"), [("skopeo copy dir:a oci:b", True), ("cosign tree", False)])
def test_settings_for_images_are_offered_to_what_stops_without_them(
    run: Resolve, make_fs: MakeFilesystem, line: str, is_offered: bool
) -> None:
    fs = make_fs(directories=("/etc/containers",))
    assert ("--read /etc/containers" in flags(run(allow=(".",)), line, fs)) is is_offered


@pytest.mark.parametrize(
    ("line", "is_offered"), [("Rscript a.R", True), ("sh -c 'R CMD check a'", True), ("octave a.m", False)]
)
def test_packages_of_a_persons_own_are_offered_to_the_language_that_loads_them(
    run: Resolve, make_fs: MakeFilesystem, line: str, is_offered: bool
) -> None:
    fs = make_fs(directories=(f"{HOME}/R",))
    assert (f"--read {HOME}/R" in flags(run(allow=(".",)), line, fs)) is is_offered


@pytest.mark.parametrize(
    ("line", "is_told"), [("mpirun -n 2 ./m", True), ("sh -c 'mpiexec ./m'", True), ("make m", False)]
)
def test_what_starts_processes_of_mpi_is_told_of_the_memory_that_they_share(
    run: Resolve, make_fs: MakeFilesystem, line: str, is_told: bool
) -> None:
    """In the namespaces of a run there is a /dev/shm of its own."""
    fs = make_fs(directories=("/dev/shm",))
    assert ("--allow /dev/shm" in flags(run(allow=(".",)), line, fs)) is is_told


@pytest.mark.parametrize(
    ("line", "is_told"),
    [
        ("elixir --sname a -e 1", True),
        ("sh -c 'iex --name a@b'", True),
        ("erl -sname a -noshell", True),
        ("elixir --sname a --cookie b -e 1", False),
        ("erl -sname a -setcookie b", False),
        ("elixir -e 1", False),
        ("node --name a", False),
    ],
)
@pytest.mark.parametrize("files", [(f"{HOME}/.erlang.cookie",), ()], ids=["there", "to be made"])
def test_a_node_with_a_name_is_told_to_have_a_secret_of_its_own(
    run: Resolve, make_fs: MakeFilesystem, files: tuple[str, ...], line: str, is_told: bool
) -> None:
    """Erlang makes it so that it is only read."""
    cookie = f"{HOME}/.erlang.cookie"
    fs = make_fs(directories=(HOME,), files=files)
    found = absentees(
        run(allow=(".",)), line, fs, is_usable=lambda path, access: path != cookie or not access.writes
    )
    found = [each for each in found if each.path == cookie]
    assert [(each.flag, "--cookie WORD" in str(each.instead)) for each in found] == [(None, True)] * is_told


@pytest.mark.parametrize(("program", "is_told"), [("screen", True), ("tmux", False)])
def test_screen_is_told_where_it_may_listen(
    run: Resolve, make_fs: MakeFilesystem, program: str, is_told: bool
) -> None:
    fs = make_fs(directories=("/run/screen",))
    found = [each for each in absentees(run(allow=(".",)), f"{program} -S a", fs) if each.path.endswith("n")]
    assert [(each.flag, "SCREENDIR=" in str(each.instead)) for each in found] == [(None, True)] * is_told


@pytest.mark.parametrize(("program", "is_told"), [("podman", True), ("buildah", True), ("docker", False)])
def test_a_container_is_told_to_run_outside(
    run: Resolve, make_fs: MakeFilesystem, program: str, is_told: bool
) -> None:
    """No option helps: mount(2) is refused to every process under Landlock."""
    fs = make_fs(directories=(f"{HOME}/.local/share/containers",))
    found = absentees(run(allow=(".",)), f"{program} run image", fs)
    assert [(each.flag, "run it outside" in (each.instead or "")) for each in found] == [
        (None, True)
    ] * is_told


@pytest.mark.parametrize(
    ("line", "is_told"), [("wrangler dev", True), ("npx wrangler dev", True), ("vite dev", False)]
)
def test_wrangler_is_told_where_its_settings_may_be(
    run: Resolve, make_fs: MakeFilesystem, line: str, is_told: bool
) -> None:
    settings = f"{HOME}/.config/.wrangler"
    fs = make_fs(directories=(settings,))
    found = [each for each in absentees(run(allow=(".",)), line, fs) if each.path == settings]
    told = """sh -c 'XDG_CONFIG_HOME="$XDG_CACHE_HOME"""  # the variable is the run's
    assert [(each.flag, (each.instead or "").startswith(told)) for each in found] == [(None, True)] * is_told


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("sh -c 'npx -y create-next-app@latest app && cd app'", "npx create-next-app"),
        ("sh -c 'npx -y create-vite@latest app && cd app'", ""),
        ("sh -c 'npx verdaccio'", "verdaccio --config FILE"),
        ("npx serve", ""),
    ],
)
def test_a_program_of_npm_that_stops_without_its_settings_is_told_what_does_without(
    run: Resolve, make_fs: MakeFilesystem, line: str, told: str
) -> None:
    """Its own directory there is missing, as in a fresh home."""
    settings = f"{HOME}/.config"
    fs = make_fs(directories=(settings,))
    found = [each for each in absentees(run(allow=(".",)), line, fs) if each.path == settings]
    assert [(each.flag, told in (each.instead or "")) for each in found] == [(None, True)] * bool(told)


@pytest.mark.parametrize(
    ("line", "path", "told"),
    [
        ("podman ps", ".local/share/containers", "run it outside"),
        ("npx create-next-app a", ".config", "npx create-next-app"),
        ("wrangler dev", ".config/.wrangler", "XDG_CONFIG_HOME"),
        ("git config --global a.b c", ".gitconfig", "git config --local"),
        ("git lfs install", ".gitconfig", "--skip-repo"),
        ("git lfs install --local", ".gitconfig", ""),
        ("git checkout install", ".gitconfig", ""),
        ("gpg --quick-gen-key ada", ".gnupg", "gpg --homedir"),
        ("gpg --homedir a --quick-gen-key ada", ".gnupg", ""),
        ("ansible-playbook a.yml", ".ansible/tmp", "ansible-playbook -e ansible_remote_tmp=/tmp"),
        ("ansible -m ping localhost", ".ansible/tmp", "ansible -e ansible_remote_tmp=/tmp"),
        ("ansible-pull -U a a.yml", ".ansible/tmp", "ansible-pull -e ansible_remote_tmp=/tmp"),
        ("ansible-playbook -e a=1 a.yml", ".ansible/tmp", "-e ansible_remote_tmp=/tmp"),
        ("ansible-playbook -e ansible_remote_tmp=/tmp a.yml", ".ansible/tmp", ""),
        ("ansible-playbook -e a=1 -e ansible_remote_tmp=/tmp a.yml", ".ansible/tmp", ""),
        ("ansible-playbook -eansible_remote_tmp=/tmp a.yml", ".ansible/tmp", ""),
        ("ansible-playbook --extra-vars=ansible_remote_tmp=/tmp a.yml", ".ansible/tmp", ""),
        ("ansible-playbook -eansible_remote_tmp=~/x a.yml", ".ansible/tmp", "-e ansible_remote_tmp=/tmp"),
        ("distcc gcc -c a.c", ".distcc", "DISTCC_DIR"),
        ("gcc -c a.c", ".distcc", ""),
        ("atuin history list", ".local/share/atuin", "XDG_DATA_HOME"),
        ("cat atuin", ".local/share/atuin", ""),
        ("yarn install", ".npmrc", ""),  # only read, so nothing would be made
    ],
)
def test_what_a_program_would_make_in_a_fresh_home_is_named_with_what_to_do(
    run: Resolve, fs: Filesystem, line: str, path: str, told: str
) -> None:
    place = join(HOME, path)
    resolved = run(allow=(".",))
    found = [each for each in absentees(resolved, line, fs) if each.path == place]
    assert [(each.flag, told in (each.instead or "")) for each in found] == [(None, True)] * bool(told)
    # It could not be made outside either, where the home may not be written.
    found = absentees(resolved, line, fs, is_usable=lambda path, access: not path.startswith(HOME))
    assert place not in [each.path for each in found]


@pytest.mark.parametrize(
    ("line", "is_told"),
    [
        ("npm install -g a", True),
        ("npm i --global a", True),
        ("npm link", True),
        ("pnpm link", False),
        ("npm install a", False),
        ("npm run global", False),
    ],
)
def test_npm_is_told_what_to_do_in_place_of_installing_for_all_projects(
    run: Resolve, make_fs: MakeFilesystem, line: str, is_told: bool
) -> None:
    """The settings that name where it would install are denied: they hold tokens."""
    settings = f"{HOME}/.npmrc"
    found = absentees(run(allow=(".",)), line, make_fs(files=(settings,)))
    told = [(each.flag, "npx NAME" in (each.instead or "")) for each in found if each.path == settings]
    assert told == [(None, True)] * is_told


@pytest.mark.parametrize(
    ("script", "is_told"), [("# first\npodman run a\n", True), ("docker run a\n", False), ("", False)]
)
def test_what_a_script_starts_is_told_too_but_no_path_that_it_names(
    run: Resolve, make_fs: MakeFilesystem, script: str, is_told: bool
) -> None:
    """The command may have written the script, and would have paths of its choice offered."""
    fs = make_fs(directories=(f"{HOME}/.local/share/containers",), files=("/data/notes",))
    resolved = run(allow=(".",))
    rules, context = effective_policy_of(resolved, fs), resolved.path_context
    script += script and "cat /data/notes > /data/more\n"
    found = usually_needed(["bash", "do.sh"], 1, rules, context, fs, anybody, script=script)
    assert not [each for each in found if each.path.startswith("/data")]
    assert bool([each for each in found if each.needed_by == "podman"]) is is_told


@pytest.mark.parametrize(("program", "is_told"), [("vagrant", True), ("make", False)])
def test_vagrant_is_told_of_a_home_of_the_runs_own(
    run: Resolve, make_fs: MakeFilesystem, program: str, is_told: bool
) -> None:
    fs = make_fs(directories=(f"{HOME}/.vagrant.d",))
    found = absentees(run(allow=(".",)), f"{program} validate", fs)
    told = """sh -c 'VAGRANT_HOME="$XDG_CACHE_HOME"""  # the variable is the run's
    assert [(each.flag, told in (each.instead or "")) for each in found] == [(None, True)] * is_told


@pytest.mark.parametrize(("program", "is_told"), [("caddy", True), ("make", False)])
def test_caddy_is_told_of_a_ca_of_the_runs_own(
    run: Resolve, make_fs: MakeFilesystem, program: str, is_told: bool
) -> None:
    fs = make_fs(directories=(f"{HOME}/.local/share/caddy",))
    found = absentees(run(allow=(".",)), f"{program} run", fs)
    told = """sh -c 'XDG_DATA_HOME="$XDG_CACHE_HOME"""  # the variable is the run's
    assert [(each.flag, told in (each.instead or "")) for each in found] == [(None, True)] * is_told


@pytest.mark.parametrize(("program", "is_told"), [("bazel", True), ("make", False)])
def test_bazel_is_told_where_it_may_build(
    run: Resolve, make_fs: MakeFilesystem, program: str, is_told: bool
) -> None:
    fs = make_fs(directories=(f"{HOME}/.cache/bazel",))
    found = absentees(run(allow=(".",)), f"{program} build //:a", fs)
    told = """sh -c 'bazel --output_user_root="$XDG_CACHE_HOME"""  # the variable is the run's
    assert [(each.flag, told in (each.instead or "")) for each in found] == [(None, True)] * is_told


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("rustup override set nightly", "rust-toolchain.toml"),
        ("rustup toolchain install nightly", "rust-toolchain.toml"),
        ("rustup toolchain list", ""),
        ("sh -c 'pyenv rehash'", "`pyenv local`"),
        ("pyenv versions", ""),
        ("direnv allow", "outside, once"),
        ("direnv status", ""),
    ],
)
def test_a_manager_that_changes_what_holds_outside_is_told_to_run_there(
    run: Resolve, make_fs: MakeFilesystem, line: str, told: str
) -> None:
    """The run reads them, as under rust-dev and python-dev."""
    places = (f"{HOME}/.rustup", f"{HOME}/.pyenv", f"{HOME}/.local/share/direnv")
    fs = make_fs(directories=places)
    found = [each for each in absentees(run(fs=fs, read=places), line, fs) if each.path in places]
    assert [(each.flag, told in (each.instead or "")) for each in found] == [(None, True)] * bool(told)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("psql -l", ["--read /etc/postgresql"]),
        ("psql -l postgresql://db.example/a", ["--read /etc/postgresql"]),
        ("psql -h db.example -l", []),
        ("psql --host=db.example -l", []),
        ("sqlite3 -l", []),
    ],
)
def test_psql_is_told_of_the_servers_of_this_machine_unless_it_is_told_of_another(
    run: Resolve, make_fs: MakeFilesystem, line: str, offered: list[str]
) -> None:
    fs = make_fs(directories=("/etc/postgresql",))
    assert flags(run(allow=(".",)), line, fs) == offered


@pytest.mark.parametrize(
    ("line", "is_told"),
    [
        ("git config --global user.name a", True),
        ("sh -c 'git config --global user.name a && git commit'", True),
        ("git config --local user.name a", False),
        ("git log --global", False),
    ],
)
def test_git_is_told_where_settings_may_be_that_it_could_not_write_for_all_repositories(
    run: Resolve, make_fs: MakeFilesystem, line: str, is_told: bool
) -> None:
    fs = make_fs(files=(f"{HOME}/.gitconfig",))
    found = absentees(run(fs=fs, read_file=(f"{HOME}/.gitconfig",)), line, fs)
    told = [(each.flag, each.instead) for each in found if each.path == f"{HOME}/.gitconfig"]
    assert [flag for flag, _ in told] == [None] * is_told
    assert all("git config --local" in str(instead) for _, instead in told)


SIGNS = "[user]\n\tname = a\n[commit]\n\tgpgSign = true\n"


@pytest.mark.parametrize(
    ("line", "settings", "exit_code", "told"),
    [
        ("git commit -m one", SIGNS, 128, ".gnupg"),
        ("git commit -m one", SIGNS + "[gpg]\n\tformat = ssh\n", 128, ".ssh"),
        ("sh -c 'git add . && git commit -S -m one'", "", 128, ".gnupg"),
        ("git tag -s v1", "", 128, ".gnupg"),
        ("git commit -m one", SIGNS, 1, None),  # nothing to commit
        ("git commit -m one", SIGNS.replace("true", "false"), 128, None),
        ("git commit -m one", "", 128, None),
        ("git commit --no-gpg-sign -m one", SIGNS, 128, None),
        ("git -c commit.gpgsign=false commit -m one", SIGNS, 128, None),
        ("git status", SIGNS, 128, None),
    ],
)
def test_a_commit_that_git_could_not_sign_is_told_what_to_do(
    run: Resolve, make_fs: MakeFilesystem, line: str, settings: str, exit_code: int, told: str | None
) -> None:
    fs = make_fs(directories=(f"{HOME}/.ssh", f"{HOME}/.gnupg"), texts={f"{HOME}/.gitconfig": settings})
    found = [each for each in absentees(run(allow=(".",)), line, fs, exit_code) if each.instead is not None]
    assert [each.path for each in found] == ([] if told is None else [f"{HOME}/{told}"])
    for each in found:
        assert each.purpose == "the keys that git signs with, denied by group:deny_credentials"
        assert str(each.instead).startswith("git commit --no-gpg-sign, and sign outside")


@pytest.mark.parametrize(
    ("line", "flag"),
    [
        ("cat /data/notes", "--read-file /data/notes"),
        ("sh -c 'cat /data/notes; exit 3'", "--read-file /data/notes"),
        ("ls /data", "--read /data"),
        ("touch /data/new", "--write /data"),
        ("touch /data/notes", "--write-file /data/notes"),
        ("cp /usr/lib /data/notes", "--write-file /data/notes"),
        ("rm /data/notes", "--write /data"),
    ],
)
def test_a_path_in_the_command_is_offered_as_narrow_as_can_be(
    run: Resolve, fs: Filesystem, line: str, flag: str
) -> None:
    assert flags(run(allow=(".",)), line, fs)[0] == flag


def test_a_relative_name_needs_the_working_directory(run: Resolve, fs: Filesystem) -> None:
    assert flags(run(), "cat main.py", fs) == [f"--read {WORK}"]
    assert flags(run(read=(".",)), "cat main.py", fs) == []


def test_a_build_is_told_that_the_working_directory_can_only_be_read(run: Resolve, fs: Filesystem) -> None:
    [absentee] = absentees(run(read=(".",)), "make", fs, 2)
    assert (absentee.path, absentee.flag) == (WORK, f"--allow {WORK}")
    assert absentee.purpose == "the working directory; granted for read only"
    assert absentees(run(allow=(".",)), "make", fs, 2) == []


def test_a_build_in_a_directory_that_is_not_granted_needs_to_write_it(run: Resolve, fs: Filesystem) -> None:
    assert flags(run(), "gcc main.py", fs) == [f"--allow {WORK}"]


def test_a_denied_path_is_named_without_an_option(run: Resolve, fs: Filesystem) -> None:
    [absentee] = absentees(run(allow=(".",)), "cat /home/ada/.bashrc", fs)
    assert absentee.flag is None
    assert absentee.purpose == "named in the command, denied by group:deny_shell_configs"


@pytest.mark.parametrize("path", ["/", "/home", HOME, f"{HOME}/.local/state"])
def test_no_option_opens_a_home_directory(run: Resolve, fs: Filesystem, path: str) -> None:
    assert flags(run(allow=(".",)), f"ls {path}", fs) == [None]


@pytest.mark.parametrize(
    "line", ["grep x main.py", "test -r /data/notes", "diff /data/notes x", "sh -c 'grep x /data/notes'"]
)
def test_an_answer_of_a_program_that_answers_by_its_code_is_no_failure(
    run: Resolve, fs: Filesystem, line: str
) -> None:
    assert absentees(run(), line, fs, 1) == []
    assert (absentees(run(), line, fs, 2) != []) == ("main.py" in line or "notes" in line)


@pytest.mark.parametrize("exit_code", [126, 127])
def test_a_program_that_is_not_found_may_lie_on_the_path(
    run: Resolve, fs: Filesystem, exit_code: int
) -> None:
    resolved = run(allow=(".",), environ={"HOME": HOME, "PATH": f"/usr/lib:{HOME}/bin"})
    assert flags(resolved, "sh -c tool", fs, exit_code) == [f"--read {HOME}/bin"]
    assert flags(resolved, "sh -c tool", fs, 1) == []


def test_a_header_is_granted_with_its_directory(run: Resolve, fs: Filesystem) -> None:
    places = run().path_context
    assert usual_place(f"{HEADERS}/stdio.h", Access.READ, places, fs) == (HEADERS, "headers of C and C++")
    assert usual_place(f"{HEADERS}/stdio.h", Access.WRITE, places, fs) is None
    assert usual_place("/tmp/x", Access.READ, places, fs) is None
    assert usual_place(f"{WORK}/out", Access.WRITE, places, fs) == (WORK, "the working directory")


@pytest.mark.parametrize(
    ("program", "places"),
    [
        (f"{HOME}/.cargo/bin/rustup", (f"{HOME}/.cargo/bin", f"{HOME}/.rustup")),
        (f"{HOME}/.cargo/bin/rg", (f"{HOME}/.cargo/bin",)),
        (f"{HOME}/.nvm/versions/node/v22/bin/node", (f"{HOME}/.nvm",)),
        ("/usr/bin/rustup", ()),
    ],
)
def test_a_shim_of_rustup_needs_the_toolchains_too(
    run: Resolve, make_fs: MakeFilesystem, program: str, places: tuple[str, ...]
) -> None:
    context = run().path_context
    assert places_of_program(program, context, make_fs(directories=(f"{HOME}/.rustup",))) == places
    without = tuple(each for each in places if each != f"{HOME}/.rustup")
    assert places_of_program(program, context, make_fs()) == without


@pytest.mark.parametrize(
    ("program", "granted"),
    [
        (f"{HOME}/.local/share/uv/tools/black/bin/black", f"--read {HOME}/.local/share/uv/tools"),
        (f"{HOME}/.local/share/pipx/venvs/black/bin/black", f"--read {HOME}/.local/share/pipx"),
        (f"{HOME}/.fnm/node-versions/v22/bin/node", f"--read {HOME}/.fnm"),
        (f"{HOME}/.volta/bin/volta-shim", f"--read {HOME}/.volta"),
        (f"{HOME}/.local/share/mise/shims/node", f"--read {HOME}/.local/share/mise"),
        (f"{HOME}/.asdf/shims/node", f"--read {HOME}/.asdf"),
        (f"{HOME}/.rbenv/shims/ruby", f"--read {HOME}/.rbenv"),
        (f"{HOME}/.rvm/rubies/ruby-3.3/bin/ruby", f"--read {HOME}/.rvm"),
        (f"{HOME}/.gem/ruby/3.3.0/bin/rake", f"--read {HOME}/.gem/ruby"),
        (f"{HOME}/.gem/bin/rake", f"--read-file {HOME}/.gem/bin/rake"),
        (f"{HOME}/.local/share/gem/ruby/3.3.0/bin/rake", f"--read {HOME}/.local/share/gem/ruby"),
        (f"{HOME}/perl5/bin/ack", f"--read {HOME}/perl5"),
        (f"{HOME}/.config/composer/vendor/bin/phpunit", f"--read {HOME}/.config/composer/vendor"),
        (f"{HOME}/.composer/vendor/bin/phpunit", f"--read {HOME}/.composer/vendor"),
        (f"{HOME}/.composer/bin/phpunit", f"--read-file {HOME}/.composer/bin/phpunit"),
        (f"{HOME}/.ghcup/bin/ghc", f"--read {HOME}/.ghcup"),
        (f"{HOME}/.opam/default/bin/dune", f"--read {HOME}/.opam"),
        (f"{HOME}/.asdf.d/node", f"--read-file {HOME}/.asdf.d/node"),
        (f"{HOME}/environments/a/bin/tool", f"--read {HOME}/environments/a"),
        (f"{HOME}/conda/envs/b/bin/tool", f"--read {HOME}/conda/envs/b"),
        (f"{HOME}/conda/envs/c/bin/tool", f"--read-file {HOME}/conda/envs/c/bin/tool"),
        (f"{HOME}/npm/lib/node_modules/a/node_modules/b/cli.js", f"--read {HOME}/npm/lib/node_modules"),
        (f"{HOME}/bin/tool", f"--read-file {HOME}/bin/tool"),
        (f"{HOME}/node_modules.js/tool", f"--read-file {HOME}/node_modules.js/tool"),
        ("/home/node_modules/tool", "--read /home/node_modules"),
    ],
)
def test_a_program_is_granted_with_what_it_does_not_run_without(
    run: Resolve, make_fs: MakeFilesystem, program: str, granted: str
) -> None:
    environment = f"{HOME}/environments/a"
    fs = make_fs(
        directories=(
            f"{HOME}/.local/share/uv/tools",
            f"{HOME}/.local/share/pipx",
            f"{HOME}/conda/envs/b/conda-meta",
        ),
        files=(program, f"{environment}/pyvenv.cfg"),
    )
    assert flags(run(allow=(".",)), program, fs, exit_code=126)[0] == granted


def test_a_home_is_not_offered_because_it_is_an_environment(run: Resolve, make_fs: MakeFilesystem) -> None:
    fs = make_fs(files=(f"{HOME}/bin/tool", f"{HOME}/pyvenv.cfg"))
    offered = flags(run(allow=(".",)), f"{HOME}/bin/tool", fs, exit_code=126)
    assert offered == [f"--read-file {HOME}/bin/tool"]


@pytest.mark.parametrize(
    ("line", "is_told"),
    [
        ("cat /tmp/notes", True),
        ("sh -c 'cat /tmp/notes'", True),
        ("cat /tmp/nothing", False),
        ("cat /usr/include/stdio.h", False),
        ("cat", False),
    ],
)
def test_a_file_that_the_command_does_not_see_in_a_directory_of_its_own_is_told(
    run: Resolve, make_fs: MakeFilesystem, line: str, is_told: bool
) -> None:
    fs = make_fs(directories=("/tmp",), files=("/tmp/notes", f"{HEADERS}/stdio.h"))

    def hidden_below(path: str) -> str | None:
        return "/tmp" if path.startswith("/tmp/") else None

    granted = run(allow=("/tmp", "/usr/include"), fs=fs)
    told = absentees(granted, line, fs, hidden_below=hidden_below)
    purpose = "named in the command; the run has a /tmp of its own, without it"
    expected = Absentee("/tmp/notes", Access.READ, purpose, "cat", "--read-file /tmp/notes")
    assert told == ([expected] if is_told else [])
    assert absentees(granted, line, fs) == []


def test_byobu_is_told_of_its_settings_without_which_it_does_not_start(
    run: Resolve, make_fs: MakeFilesystem
) -> None:
    fs = make_fs(directories=(f"{HOME}/.byobu",))
    assert flags(run(fs=fs), "byobu-tmux ls", fs, 2) == [f"--read {HOME}/.byobu"]
    assert flags(run(fs=fs, read=(f"{HOME}/.byobu",)), "byobu-tmux ls", fs, 2) == []
    assert flags(run(fs=fs), "tmux ls", fs, 2) == []


@pytest.mark.parametrize(
    "variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "SSL_CERT_DIR"]
)
@pytest.mark.parametrize(("path", "told"), [("/data/notes", ["--read-file /data/notes"]), ("notes", [])])
def test_certificates_that_a_variable_names_are_told_where_it_says_which_file(
    run: Resolve, fs: Filesystem, variable: str, path: str, told: list[str]
) -> None:
    """A relative path is one file or another, by the directory in which it is opened."""
    assert flags(run(allow=(".",), environ={variable: path}), "true", fs) == told


@pytest.mark.parametrize(
    ("line", "path", "flag"),
    [
        ("docker ps", "/run/docker.sock", None),
        ("virsh list", "/run/libvirt", None),
        ("systemctl --user status", "/run/user/7/bus.sock", None),
        ("sh -c 'git push'", AGENT, f"--allow-unix-socket {AGENT}"),
        ("ssh host", AGENT, f"--allow-unix-socket {AGENT}"),
        ("wl-copy text", WAYLAND, None),
        ("git status", None, None),
        ("ls", None, None),
    ],
)
def test_who_asks_a_hidden_service_is_told_of_it(
    run: Resolve, make_fs: MakeFilesystem, line: str, path: str | None, flag: str | None
) -> None:
    links = {"/run/user/7/bus": "/run/user/7/bus.sock"}
    files = ("/run/docker.sock", "/run/libvirt/sock", "/run/user/7/bus.sock", AGENT, WAYLAND)
    fs = make_fs(files=files, links=links)
    resolved = run(allow=(".",), fs=fs)
    environ = {**resolved.path_context.environ, "SSH_AUTH_SOCK": AGENT, "WAYLAND_DISPLAY": "wayland.sock"}
    context = resolved.path_context._replace(environ=environ)
    closed = ("/run/docker.sock", "/run/libvirt")
    hiding = resolved.capabilities._replace(runtime_dir="/run/user/7", closed_sockets=closed)
    asked = resolved._replace(path_context=context, capabilities=hiding)
    told = [(each.path, each.flag) for each in absentees(asked, line, fs) if each.path.startswith("/run")]
    assert told == ([] if path is None else [(path, flag)])
    open_to_all = resolved._replace(path_context=context)
    assert not [each for each in absentees(open_to_all, line, fs) if each.path.startswith("/run")]
