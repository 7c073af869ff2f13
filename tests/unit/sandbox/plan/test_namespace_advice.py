"""Why there is no private network here, and what would change it."""

import pytest

from nono.sandbox.plan.facts import NamespaceFacts
from nono.sandbox.plan.namespace_advice import advice

CASES = {
    "AppArmor": (
        NamespaceFacts(apparmor_restricts=True),
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    "kernel.unprivileged_userns_clone is 0": (
        NamespaceFacts(clone_is_off=True),
        "sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    "user.max_user_namespaces is 0": (
        NamespaceFacts(max_user_namespaces=0, max_net_namespaces=1000),
        "sysctl -w user.max_user_namespaces=",
    ),
    "user.max_net_namespaces is 0": (
        NamespaceFacts(max_user_namespaces=1000, max_net_namespaces=0),
        "sysctl -w user.max_net_namespaces=",
    ),
    "files of /proc are covered": (
        NamespaceFacts(failed="fsmount(proc): Operation not permitted [EPERM]", is_container=True),
        "unmask=ALL",
    ),
    "the container's seccomp profile": (
        NamespaceFacts(max_user_namespaces=1000, is_container=True, is_filtered=True),
        "--security-opt seccomp=",
    ),
    "a seccomp filter of whatever started nono": (
        NamespaceFacts(is_filtered=True),
        "outside of that sandbox",
    ),
    "this kernel or a security module": (NamespaceFacts(max_user_namespaces=1000), "CONFIG_USER_NS"),
}


@pytest.mark.parametrize(("cause", "facts", "remedy"), [(cause, *case) for cause, case in CASES.items()])
def test_the_advice_names_what_was_found_and_the_way_out(
    cause: str, facts: NamespaceFacts, remedy: str
) -> None:
    given = advice(facts)
    assert cause in given.cause
    assert remedy in given.remedy


def test_advice_names_the_forbidding_setting_before_the_container() -> None:
    given = advice(NamespaceFacts(max_user_namespaces=0, is_container=True, is_filtered=True))
    assert given.cause == "user.max_user_namespaces is 0"


def test_advice_names_a_limit_before_apparmor_which_is_asked_after_it() -> None:
    """create_user_ns() in kernel/user_namespace.c counts first, and fails with ENOSPC."""
    given = advice(NamespaceFacts(max_user_namespaces=0, apparmor_restricts=True))
    assert given.cause == "user.max_user_namespaces is 0"
