"""Settings of git that run programs."""

from __future__ import annotations

import subprocess
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nono.launch.around.repository_files import TEXT_MAX_BYTES
from nono.policy.git.settings import newly_exposing, newly_run, no_longer_run, paths_of, programs_of
from support.running.pace import PACE

PLAIN = '[core]\n\tbare = false\n\teditor = vim\n[remote "origin"]\n\turl = https://host.example/a.git\n'


@pytest.mark.parametrize(
    ("added", "name"),
    [
        ("[core]\n\thooksPath = .husky", "core.hooksPath"),
        ("[CORE]HooksPath=.husky", "CORE.HooksPath"),
        ("[core]\n\tfsmonitor = ./watch", "core.fsmonitor"),
        ("[core]\n\tsshCommand = \\\n./ssh", "core.sshCommand"),
        ("[alias]\n\tst = !./run", "alias.st"),
        ('[filter "a]b"]\n\tclean = ./run', "filter.a]b.clean"),
        ('[credential "https://host.example"]\n\thelper = !./run', "credential.https://host.example.helper"),
        ("[credential]\n\tuiHelper = ./run", "credential.uiHelper"),
        (
            '[credential "https://h.example"]\n\tgitHubHelper = ./r',
            "credential.https://h.example.gitHubHelper",
        ),
        ("[credential]\n\tgitLabHelper = ./run", "credential.gitLabHelper"),
        ("[credential]\n\tbitbucketHelper = ./run", "credential.bitbucketHelper"),
        ("[include]\n\tpath = ../settings", "include.path"),
        ('[submodule "s"]\n\tupdate = !./run', "submodule.s.update"),
        ("[core] # a comment\n\tpager = ./run", "core.pager"),
        ('[remote "a"]\n\turl = ./b.git', "remote.a.url"),
        ('[remote "origin"]\n\tpushurl = b', "remote.origin.pushurl"),
        ('[remote "origin"]\n\tpushurl = file:///p/b', "remote.origin.pushurl"),
        ('[remote "origin"]\n\tpushurl = ext::run', "remote.origin.pushurl"),
        ("[remote]\n\tpushDefault = b.git", "remote.pushDefault"),
        ('[branch "b"]\n\tpushRemote = ../b', "branch.b.pushRemote"),
        ('[branch "b"]\n\tremote = b', "branch.b.remote"),
        ('[url "/p/b.git"]\n\tinsteadOf = https://host.example/', "url./p/b.git.insteadOf"),
        ('[url "../b"]\n\tpushInsteadOf = https://host.example/', "url.../b.pushInsteadOf"),
        ("[diff]\n\ttool = ../../../p/evil", "diff.tool"),
        ("[diff]\n\tguitool = ../../../p/evil", "diff.guitool"),
        ("[merge]\n\ttool = ../../../p/evil", "merge.tool"),
        ("[merge]\n\tguitool = ../../../p/evil", "merge.guitool"),
        ('[mergetool "vimdiff"]\n\tlayout = "`run`"', "mergetool.vimdiff.layout"),
        ("[instaweb]\n\tgitwebdir = /p/cgi", "instaweb.gitwebdir"),
        ("[delta]\n\tpager = ./run", "delta.pager"),
        ("[tig]\n\tdiff-highlight = ./run", "tig.diff-highlight"),
        ('[tig "bind"]\n\tgeneric = q !./run', "tig.bind.generic"),
        ("[secrets]\n\tproviders = ./run", "secrets.providers"),
        ('[gitflow "path"]\n\thooks = ./hooks', "gitflow.path.hooks"),
        ("[annex]\n\tfreezecontent-command = ./run", "annex.freezecontent-command"),
        ('[remote "a"]\n\tannex-start-command = ./run', "remote.a.annex-start-command"),
        ("[later]\n\teditor = ./run", "later.editor"),
        ('[remote "origin"]\n\turl = my-helper+x::run', "remote.origin.url"),
    ],
)
def test_a_setting_that_runs_a_program_is_seen(added: str, name: str) -> None:
    assert newly_run(PLAIN, f"{PLAIN}{added}\n") == (name,)


@pytest.mark.parametrize(
    "added",
    [
        "[core]\n\tfsmonitor = true",
        '[branch "b"]\n\tmerge = refs/heads/b',
        "# [core] pager = ./run",
        "[user]\n\tname = A",
        '[remote "a"]\n\turl = ssh://git@host.example/a',
        '[remote "a"]\n\turl = git@host.example:a/b.git\n\tfetch = +refs/heads/*:refs/remotes/a/*',
        '[remote "a"]\n\tpushurl = https://[::1]:8443/a',
        '[branch "b"]\n\tremote = origin\n\tpushRemote = .',
        "[remote]\n\tpushDefault = origin",
        '[url "ssh://git@host.example/"]\n\tinsteadOf = https://host.example/',
        "[tig]\n\tshow-changes = yes",
        "[delta]\n\tnavigate = true",
        "[color]\n\tpager = true",
        "[annex]\n\tversion = 10",
        "[diff]\n\ttool = vimdiff\n[merge]\n\ttool = meld",
    ],
)
def test_a_setting_that_runs_none_is_not_told(added: str) -> None:
    assert newly_run(PLAIN, f"{PLAIN}{added}\n") == ()


@pytest.mark.parametrize(
    ("added", "name"),
    [
        ("[http]\n\tsslVerify = false", "http.sslVerify"),
        ("[http]\n\tsslVerify =", "http.sslVerify"),
        ('[http "https://host.example"]\n\tsslCAInfo = ../ca.pem', "http.https://host.example.sslCAInfo"),
        ("[HTTP]proxy=http://evil.example", "HTTP.proxy"),
        ('[remote "origin"]\n\tproxy = http://evil.example', "remote.origin.proxy"),
        ("[http]\n\tcurloptResolve = host.example:443:192.0.2.1", "http.curloptResolve"),
        ("[http]\n\tcookieFile = ../../.bashrc", "http.cookieFile"),
        ("[credential]\n\tprotectProtocol = false", "credential.protectProtocol"),
        ("[credential]\n\thttpProxy = http://evil.example", "credential.httpProxy"),
        ("[credential]\n\tplaintextStorePath = /p/store", "credential.plaintextStorePath"),
        ("[credential]\n\ttrace = /p/log", "credential.trace"),
        ("[credential]\n\ttraceSecrets = 1", "credential.traceSecrets"),
        (
            '[credential "https://host.example"]\n\toauthTokenEndpoint = http://evil.example',
            "credential.https://host.example.oauthTokenEndpoint",
        ),
        (
            '[credential "https://host.example"]\n\toauthTokenURL = http://evil.example',
            "credential.https://host.example.oauthTokenURL",
        ),
        (
            '[credential "https://host.example"]\n\toauthDeviceAuthURL = http://evil.example',
            "credential.https://host.example.oauthDeviceAuthURL",
        ),
        ("[credential]\n\toauthAuthorizeEndpoint = http://evil.example", "credential.oauthAuthorizeEndpoint"),
        ("[credential]\n\tcacheOptions = --socket=/p/s", "credential.cacheOptions"),
        ("[credential]\n\tcredentialStore = plaintext", "credential.credentialStore"),
        ("[credential]\n\tallowUnsafeRemotes = true", "credential.allowUnsafeRemotes"),
        ("[credential]\n\tsanitizePrompt = false", "credential.sanitizePrompt"),
        ("[imap]\n\tsslverify = false", "imap.sslverify"),
    ],
)
def test_a_setting_by_which_a_password_goes_elsewhere_is_seen(added: str, name: str) -> None:
    assert newly_exposing(PLAIN, f"{PLAIN}{added}\n") == (name,)
    assert newly_exposing(f"{PLAIN}{added}\n", f"{PLAIN}{added}\n[user]\n") == ()


@pytest.mark.parametrize(
    "added",
    [
        "[http]\n\tsaveCookies = no",
        "[http]\n\tsslVerify = True",
        "[http]\n\tpostBuffer = 9",
        "[credential]\n\ttraceSecrets = false",
        "[credential]\n\tuseHttpPath = true",
        "[credential]\n\tallowUnsafeRemotes = false",
        "[credential]\n\tsanitizePrompt = true",
        "[imap]\n\tsslverify = true",
    ],
)
def test_a_setting_that_keeps_passwords_is_not_told(added: str) -> None:
    assert newly_exposing(PLAIN, f"{PLAIN}{added}\n") == ()


def test_a_setting_that_was_there_is_not_told() -> None:
    assert newly_run(PLAIN, PLAIN.replace("false", "true")) == ()


def test_a_changed_value_is_told() -> None:
    assert newly_run(PLAIN, PLAIN.replace("vim", "./run")) == ("core.editor",)


DISGUISED = {
    "after a comment that ends with a backslash": ("# c \\\n[core]\n\thooksPath = x\n", "core.hooksPath"),
    "after a value's comment": ("[a]\n\tb = c # d \\\n[core]\n\thooksPath = x\n", "core.hooksPath"),
    "after a header's comment": ("[a] ; c \\\n[core]hooksPath = x\n", "core.hooksPath"),
    "after an escaped backslash": ("[a]\n\tb = c\\\\\n[core]\n\thooksPath = x\n", "core.hooksPath"),
    "within a continued value": ('[a]\n\tb = "c\\\nd"\n[core]\n\thooksPath = x\n', "core.hooksPath"),
    "below a name that ends with a backslash": ('[filter "a\\\\"]clean = x\n', "filter.a\\.clean"),
    "in the place of a switch": ("[core]\n\thooksPath = on\n", "core.hooksPath"),
    "included from the place of a switch": ("[include]\n\tpath = 1\n", "include.path"),
    "turned off": ("[core]\n\thooksPath =\n", "core.hooksPath"),
    "of git gc": ("[gc]\n\trecentObjectsHook = x\n", "gc.recentObjectsHook"),
    "of git lfs": ('[lfs "customtransfer.a"]\n\tpath = x\n', "lfs.customtransfer.a.path"),
    "of a tool that is found": ('[mergetool "a"]\n\tpath = x\n', "mergetool.a.path"),
}


@pytest.mark.parametrize(("text", "name"), DISGUISED.values(), ids=DISGUISED)
def test_no_spelling_hides_a_setting_that_runs_a_program(text: str, name: str) -> None:
    assert newly_run(PLAIN, PLAIN + text) == (name,)


@pytest.mark.parametrize(
    "text",
    [
        "# [core] hooksPath = x\n",
        "[a]\n\tb = c \\\n[core] hooksPath = x\n",
        '[a]\n\tb = "[core] # \\\n hooksPath = x"\n',
        "[credential]\n\thelper =\n",
    ],
)
def test_what_git_reads_as_something_else_is_not_told(text: str) -> None:
    assert newly_run(PLAIN, PLAIN + text) == ()


PIECES = (
    *("[core]", "[a]", '[alias "b\\\\"]', '[a "\\"#"]', "hooksPath = x", "b = c"),
    *("\n", "\\", "\\\n", '"', "#", ";", " ", "\t", "\r\n"),
)


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@settings(max_examples=150, deadline=None)
def test_what_git_reads_is_read(text: str) -> None:
    text += "\n[core]\n\thooksPath = last\n"
    done = subprocess.run(
        ["git", "config", "--file", "-", "--null", "--list"],
        input=text.encode(),
        capture_output=True,
        check=False,
    )
    by_git = [each.partition("\n")[::2] for each in done.stdout.decode().split("\0")[:-1]]
    ran = [
        name for name, value in by_git if name == "core.hookspath" or (name.startswith("alias.") and value)
    ]
    assert done.returncode != 0 or ran == [name.lower() for name, _ in programs_of(text)]


def test_a_setting_that_is_taken_away_is_told() -> None:
    text = f"{PLAIN}[core]\n\thooksPath = .husky\n\tfsmonitor = ./watch\n"
    assert no_longer_run(text, text.replace("hooksPath", "# hooksPath")) == ("core.hooksPath",)
    assert no_longer_run(text, text.replace("./watch", "false")) == ("core.fsmonitor",)
    assert no_longer_run(text, "") == ("core.editor", "core.hooksPath", "core.fsmonitor")


def test_a_setting_that_is_changed_or_moved_is_not_told_as_taken_away() -> None:
    assert no_longer_run(PLAIN, PLAIN.replace("vim", "./run")) == ()
    assert no_longer_run(PLAIN, "[CORE]EDITOR=vim") == ()
    assert no_longer_run(PLAIN, "") == ("core.editor",)


def test_paths_are_read_without_quotes() -> None:
    text = '[include]\n\tpath = "../a b" # c\n[includeIf "gitdir:x"]\n\tpath = c\\\\d\n'
    assert [*paths_of(text, "include", "path")] == ["../a b"]
    assert [*paths_of(text, "includeif", "path")] == ["c\\d"]


@pytest.mark.parametrize("piece", ["[a]", "x=y\n", '"\n', "[alias]a=b\n", '"\\\n', "["])
def test_as_much_as_is_read_takes_no_time(piece: str) -> None:
    text = piece * (TEXT_MAX_BYTES // len(piece))
    began_s = time.process_time()
    newly_run("", text)
    assert time.process_time() - began_s < 5 * PACE
