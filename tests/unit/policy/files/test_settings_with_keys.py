"""Which settings of the home every run may read, although their tools take keys from them too."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nono.policy.path_expansion import Filesystem
from nono.policy.resolve import Resolved
from nono.policy.schema.profile import Filesystem as Files
from nono.policy.schema.profile import Groups, Meta, Profile

Resolve = Callable[..., Resolved]
MakeFilesystem = Callable[..., Filesystem]

HOME = "/home/ada"
CARGO, HATCH = f"{HOME}/.cargo/config.toml", f"{HOME}/.config/hatch/config.toml"


@pytest.mark.parametrize(
    ("path", "text", "is_granted"),
    [
        (CARGO, '[net]\noffline = true\n[registry]\nglobal-credential-providers = ["cargo:token"]\n', True),
        (CARGO, '# token = "abc"\n', True),
        (CARGO, '[registries.ours]\ntoken = "abc"\n', False),
        (CARGO, 'registries.ours = { index = "sparse+https://ours.example", token = "abc" }\n', False),
        (CARGO, 'registries.ours = { index = "a",\ttoken  = "abc" }\n', False),
        (CARGO, '[registry]\nsecret-key\t= "abc"\n', False),
        (CARGO, '[http]\nproxy = "http://ada:pw@proxy.example"\n', False),
        (HATCH, '[publish.index]\nrepo = "main"\nauth = ""\n[template]\nname = "Ada"\n', True),
        (HATCH, '[publish.index]\nuser = "ada"\nauth = "abc"\n', False),
        (HATCH, 'publish.index.auth = "abc"\n', False),
        (f"{HOME}/.yarnrc", 'registry "https://registry.example"\n', True),
        (f"{HOME}/.yarnrc", '"//registry.example/:_authToken" abc\n', False),
        (f"{HOME}/.yarnrc", '"//registry.example/:_auth" abc\n', False),
        (f"{HOME}/.mvn/maven.config", "-Drepository.password=abc\n", False),
        (f"{HOME}/Gemfile", 'source "https://ada:pw@gems.example"\n', False),
        (
            f"{HOME}/Gemfile.lock",
            "GEM\n  remote: https://gems.example/\n  specs:\n    jwt_auth (1.0)\n",
            True,
        ),
        (f"{HOME}/Gemfile.lock", "GEM\n  remote: https://ada:pw@gems.example/\n", False),
        (f"{HOME}/.pydistutils.cfg", "[easy_install]\nindex_url = https://pypi.example/simple\n", True),
        (
            f"{HOME}/.pydistutils.cfg",
            "[easy_install]\nindex_url = https://ada:pw@pypi.example/simple\n",
            False,
        ),
        (f"{HOME}/setup.cfg", "[easy_install]\nindex_url = https://ada:pw@pypi.example/simple\n", False),
        (f"{HOME}/pyproject.toml", '[tool.poetry.dependencies]\nsecretstorage = "^3.3"\n', True),
        (f"{HOME}/pyproject.toml", '[[tool.uv.index]]\nurl = "https://ada:pw@pypi.example/simple"\n', False),
        (f"{HOME}/tox.ini", "[testenv]\nsetenv =\n  PIP_INDEX_URL = https://ada:pw@pypi.example\n", False),
        (f"{HOME}/package.json", '{"dependencies": {\n"password-prompt": "^1.0.0"}}\n', True),
        (f"{HOME}/package.json", '{"dependencies": {"a": "git+https://ada:pw@git.example/a"}}\n', False),
    ],
)
def test_settings_of_the_home_are_read_unless_they_hold_a_key(
    run: Resolve, make_fs: MakeFilesystem, path: str, text: str, is_granted: bool
) -> None:
    resolved = run(fs=make_fs(texts={path: text}))
    assert (path in {grant.path for grant in resolved.capabilities.grants}) == is_granted
    warning = f"{path} is not granted: it seems to hold a key. --read-file {path} grants it."
    assert (warning in resolved.warnings) == (not is_granted)


def test_settings_with_a_key_are_read_where_a_profile_asks_for_them(
    run: Resolve, make_fs: MakeFilesystem
) -> None:
    asked = Profile(meta=Meta(name="web"), filesystem=Files(read_file=(CARGO,)))
    resolved = run(asked, fs=make_fs(texts={CARGO: 'token = "abc"\n'}))
    assert CARGO in {grant.path for grant in resolved.capabilities.grants}
    assert not [warning for warning in resolved.warnings if "hold a key" in warning]


def test_the_group_of_rust_grants_no_settings_with_a_key(run: Resolve, make_fs: MakeFilesystem) -> None:
    rust = Profile(groups=Groups(include=("rust_runtime",)))
    for text, is_granted in (('token = "abc"\n', False), ("[net]\n", True)):
        resolved = run(rust, fs=make_fs(texts={CARGO: text}))
        assert (CARGO in {grant.path for grant in resolved.capabilities.grants}) == is_granted


def test_settings_that_cannot_be_looked_into_are_not_granted(run: Resolve, make_fs: MakeFilesystem) -> None:
    resolved = run(fs=make_fs(files=(CARGO,)))
    assert CARGO not in {grant.path for grant in resolved.capabilities.grants}
