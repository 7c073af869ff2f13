"""What masks make of a run: refused for want of them, or started with what they leave open said."""

from __future__ import annotations

import pytest

from nono.policy.capability import Absent, Access, Denial, Grant, Mask, Masking
from nono.sandbox.plan.enforcement import Enforcement, Refusal
from nono.sandbox.plan.facts import MaskFacts, NamespaceFacts
from nono.sandbox.plan.mask_verdict import REPLACED_GAP, SERVED_GAP, with_masks

CHOSEN = Enforcement(rung=None, warnings=("a warning",), gaps=("a gap",))
WORK = Grant("/work", Access.READWRITE, True, "user", "/work")
LAID = MaskFacts()


def mask(path: str, names: int = 1) -> Mask:
    return Mask(Denial(path, path, "profile web, filesystem.deny"), "file", names, WORK)


def absent(path: str, origin: str, *, is_creatable: bool) -> Absent:
    return Absent(Denial(path, path, origin), WORK, is_creatable)


def held(masking: Masking) -> Enforcement:
    chosen = with_masks(CHOSEN, masking, LAID)
    assert isinstance(chosen, Enforcement)
    return chosen


def refused(masking: Masking, facts: MaskFacts) -> Refusal:
    chosen = with_masks(CHOSEN, masking, facts)
    assert isinstance(chosen, Refusal)
    return chosen


def test_masks_that_can_be_laid_leave_one_gap() -> None:
    masking = Masking((mask("/work/.env"),))
    assert held(masking) == CHOSEN._replace(gaps=("a gap", REPLACED_GAP))
    assert held(masking._replace(is_served=True)) == CHOSEN._replace(gaps=("a gap", SERVED_GAP))


def test_masks_that_cannot_be_laid_refuse_the_run_as_specified() -> None:
    masks = tuple(mask(f"/work/{number}") for number in range(7))
    no_namespace = MaskFacts(namespaces=NamespaceFacts(failed="unshare: EPERM", clone_is_off=True))
    refusal = refused(Masking(masks), no_namespace)
    lines = refusal.message.splitlines()
    assert lines[0] == (
        "Landlock deny-overlap is not enforceable on Linux. Refusing to start with conflicting policy."
    )
    assert lines[1] == "7 conflict(s):"
    assert lines[2] == "  - deny '/work/0' overlaps allowed parent '/work' (source: user)"
    assert len([line for line in lines if line.startswith("  - ")]) == 5
    assert lines[-2] == "  ... and 2 more conflict(s)"
    assert lines[-1].endswith("masked by mounts: kernel.unprivileged_userns_clone is 0 (unshare: EPERM).")
    assert "sudo sysctl -w kernel.unprivileged_userns_clone=1" in str(refusal.hint)


def test_the_advice_is_about_mount_namespaces() -> None:
    facts = MaskFacts(namespaces=NamespaceFacts(max_mnt_namespaces=0, max_net_namespaces=0))
    refusal = refused(Masking((mask("/work/.env"),)), facts)
    assert "user.max_mnt_namespaces is 0" in refusal.message


def test_a_mask_that_could_not_be_laid_is_named_with_what_the_kernel_said() -> None:
    failed = MaskFacts(failed="'/work/.env' cannot be masked: move_mount: Operation not permitted [EPERM]")
    refusal = refused(Masking((mask("/work/.env"),)), failed)
    assert failed.failed in refusal.message
    assert "--bypass-protection PATH" in str(refusal.hint)


def test_nothing_is_taken_for_masked_that_nobody_tried() -> None:
    with pytest.raises(ValueError, match="was not found out"):
        with_masks(CHOSEN, Masking((mask("/work/.env"),)), None)


def test_a_file_with_other_names_is_warned_about_in_any_case() -> None:
    chosen = held(Masking((mask("/work/.env", names=3),)))
    (warning,) = chosen.insisted
    assert "'/work/.env' is denied and has 3 names" in warning
    assert warning in chosen.gaps
    assert held(Masking((mask("/work/.env", names=1),))).insisted == ()


def test_a_user_denial_of_a_path_that_could_be_created_refuses_the_run() -> None:
    missing = absent("/work/.env", "profile web, filesystem.deny", is_creatable=True)
    refusal = refused(Masking(absent=(missing,)), LAID)
    assert "'/work/.env' (profile web, filesystem.deny) in '/work'" in refusal.message
    assert "mkdir -p /work && touch /work/.env" in str(refusal.hint)


def test_a_group_denial_of_a_path_that_could_be_created_is_a_warning() -> None:
    missing = tuple(absent(f"/work/{n}", "group:deny_credentials", is_creatable=True) for n in range(7))
    chosen = held(Masking(absent=missing))
    assert "the command could create" in chosen.warnings[1]
    assert "/work/4 and 2 more" in chosen.warnings[1]
    assert chosen.gaps == ("a gap", chosen.warnings[1])


def test_what_a_program_could_create_of_its_own_is_a_gap_without_a_warning() -> None:
    """As the login of an agent that has none yet, in its own state directory."""
    missing = absent("/work/login.json", "group:deny_agent_logins", is_creatable=True)
    chosen = held(Masking(absent=(missing._replace(is_own=True),)))
    assert chosen.warnings == CHOSEN.warnings
    assert "could create it: /work/login.json." in chosen.gaps[1]


@pytest.mark.parametrize("origin", ["profile web, filesystem.deny", "group:deny_credentials"])
def test_what_nobody_inside_could_create_is_a_gap(origin: str) -> None:
    chosen = held(Masking(absent=(absent("/work/.env", origin, is_creatable=False),)))
    assert chosen.warnings == CHOSEN.warnings
    assert "denied, but not there: /work/.env." in chosen.gaps[1]
