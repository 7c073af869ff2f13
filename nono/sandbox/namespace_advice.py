"""Words why a private network namespace cannot be had, and what would change that."""

from typing import NamedTuple

from nono.sandbox.facts import NamespaceFacts


class Advice(NamedTuple):
    """Both parts as parts of a sentence."""

    cause: str
    remedy: str


def advice(facts: NamespaceFacts) -> Advice:
    """What was found to stand in the way; of several things the one that is looked at first."""
    if facts.apparmor_restricts:
        return Advice(
            "AppArmor restricts unprivileged user namespaces",
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, "
            "or an AppArmor profile for nono that allows `userns`",
        )
    if facts.clone_is_off:
        return Advice(
            "kernel.unprivileged_userns_clone is 0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"
        )
    for name, limit in (
        ("user.max_user_namespaces", facts.max_user_namespaces),
        ("user.max_net_namespaces", facts.max_net_namespaces),
    ):
        if limit == 0:
            return Advice(f"{name} is 0", f"sudo sysctl -w {name}=1000")
    if facts.is_container:
        return Advice(
            "the container's seccomp profile or capabilities do not allow it",
            "start the container with --security-opt seccomp=FILE, where FILE allows unshare(2) with "
            "CLONE_NEWUSER and CLONE_NEWNET (seccomp=unconfined allows everything)",
        )
    if facts.is_filtered:
        return Advice(
            "a seccomp filter of whatever started nono may refuse it",
            "start nono outside of that sandbox, or have its filter allow unshare(2) with CLONE_NEWUSER and "
            "CLONE_NEWNET",
        )
    return Advice(
        "this kernel or a security module refuses it",
        "a kernel with CONFIG_USER_NS and CONFIG_NET_NS, whose policy lets this user have both",
    )
