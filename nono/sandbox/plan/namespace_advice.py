"""Explain why a namespace was refused, and what would change that."""

from typing import Literal

from nono.named_tuple import NamedTuple
from nono.sandbox.plan.facts import NamespaceFacts


class Advice(NamedTuple):
    """A cause and a remedy, each worded as part of a sentence."""

    cause: str
    remedy: str


def advice(facts: NamespaceFacts, kind: Literal["net", "mnt"] = "net") -> Advice:
    """Return the most likely obstacle: of several, the one that the kernel checks first.

    kind: The namespace that was requested beside a user namespace.
    """
    flag, option = (
        ("CLONE_NEWNET", "CONFIG_NET_NS") if kind == "net" else ("CLONE_NEWNS", "CONFIG_NAMESPACES")
    )
    limit_of_kind = facts.max_net_namespaces if kind == "net" else facts.max_mnt_namespaces
    if facts.clone_is_off:
        return Advice(
            "kernel.unprivileged_userns_clone is 0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"
        )
    for name, limit in (
        ("user.max_user_namespaces", facts.max_user_namespaces),
        (f"user.max_{kind}_namespaces", limit_of_kind),
    ):
        if limit == 0:
            return Advice(f"{name} is 0", f"sudo sysctl -w {name}=1000")
    if facts.apparmor_restricts:
        return Advice(
            "AppArmor restricts unprivileged user namespaces",
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, "
            "or an AppArmor profile for nono that allows `userns`",
        )
    if facts.failed.startswith("fsmount(proc)"):
        # mount_too_revealing() in fs/namespace.c: a new procfs would reveal what is covered in this one.
        return Advice(
            "files of /proc are covered here, as in a container, so no new /proc can be mounted",
            "start the container with --security-opt systempaths=unconfined (Docker) or "
            "--security-opt unmask=ALL (Podman)",
        )
    if facts.is_container:
        return Advice(
            "the container's seccomp profile or capabilities do not allow it",
            "start the container with --security-opt seccomp=FILE, where FILE allows unshare(2) with "
            f"CLONE_NEWUSER and {flag} (seccomp=unconfined allows everything)",
        )
    if facts.is_filtered:
        return Advice(
            "a seccomp filter of whatever started nono may refuse it",
            "start nono outside of that sandbox, or have its filter allow unshare(2) with CLONE_NEWUSER and "
            f"{flag}",
        )
    return Advice(
        "this kernel or a security module refuses it",
        f"a kernel with CONFIG_USER_NS and {option}, whose policy lets this user have both",
    )
