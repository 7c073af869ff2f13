"""What lifts a denial: a path that a person names in a grant as well, and no grant of the shipped groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from nono.errors import SandboxError
from nono.policy.builtin import shipped
from nono.policy.capability import Access, Denial, Grant
from nono.policy.files.denials import DenyRules, group_denials, with_bypasses
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.path_expansion import PathContext

DENIED = Denial("/home/ada/.ssh", "~/.ssh", "group:deny_credentials")
KNOWN = "/home/ada/.ssh/known_hosts"


@pytest.mark.parametrize("source", ["user", "profile"])
def test_a_bypass_of_what_a_person_granted_lifts_its_denial(source: str) -> None:
    granted = Grant(KNOWN, Access.READ, False, source, KNOWN)
    rules = with_bypasses([DENIED], [(KNOWN, KNOWN)], [granted])
    assert rules.covering(KNOWN) is None
    assert rules.covering("/home/ada/.ssh/id_rsa") == DENIED


def test_a_bypass_of_what_a_group_alone_grants_is_refused() -> None:
    granted = Grant(KNOWN, Access.READ, False, "group:git_config", KNOWN)
    with pytest.raises(SandboxError, match="has no matching grant"):
        with_bypasses([DENIED], [(KNOWN, KNOWN)], [granted])


@pytest.mark.parametrize("moved", [False, True], ids=["usual", "moved"])
def test_what_tools_keep_of_logins_is_denied_in_both_places_where_it_may_be(
    moved: bool, tmp_path: Path
) -> None:
    """Another terminal of the person may have other variables."""
    home = str(tmp_path)
    environ = {"HOME": home}
    if moved:
        environ |= {"XDG_CONFIG_HOME": str(tmp_path / "c"), "XDG_DATA_HOME": str(tmp_path / "d")}
    path_context = PathContext(home, home, home, environ)
    rules = DenyRules(tuple(group_denials(shipped.groups().values(), path_context, HostFilesystem())))
    assert rules.covering(f"{tmp_path}/.config/gh/hosts.yml")
    assert rules.covering(f"{tmp_path}/.local/share/opencode/auth.json")
    assert not rules.covering(f"{tmp_path}/.config/beside/hosts.yml")
    for path in ("c/gh/hosts.yml", "d/opencode/auth.json"):
        assert (rules.covering(f"{tmp_path}/{path}") is not None) is moved
    assert len({each.path for each in rules.denials}) == len(rules.denials)


PLACES = [("CONFIG_HOME", ".config"), ("DATA_HOME", ".local/share"), ("CACHE_HOME", ".cache")]
UNMOVED = {"gcloud", "solana/id.json", "bun/bunfig.toml"}  # their programs look in ~/.config alone


@pytest.mark.parametrize(("variable", "usual"), PLACES)
def test_what_is_denied_in_the_usual_place_is_denied_where_a_variable_says_and_the_reverse(
    variable: str, usual: str
) -> None:
    denied = [text for group in shipped.groups().values() for text in group.deny]
    beginning = f"$XDG_{variable}/"
    named = {text.removeprefix(beginning) for text in denied if text.startswith(beginning)}
    assert named
    in_the_usual_place = {
        text.removeprefix(f"~/{usual}/") for text in denied if text.startswith(f"~/{usual}/")
    }
    assert named == in_the_usual_place - UNMOVED
