"""Two kernels and a proxied run, for tests of what each rung makes of them."""

from nono.policy.capability import Access, CapabilitySet, Grant, NetworkMode, Scopes, Wsl2ProxyPolicy
from nono.sandbox.plan.facts import HostFacts, Listener

NATIVE = HostFacts("6.12.0", 6, Listener.AVAILABLE, "", True, False)
WSL2 = HostFacts("6.6.87-microsoft", 3, Listener.BUSY, "seccomp user notification returns EBUSY", True, True)
PROXIED = CapabilitySet(
    grants=(
        Grant("/usr", Access.READ, True, "group:system_read_linux_core", "/usr"),
        Grant("/work", Access.READWRITE, True, "user", "/work"),
    ),
    denials=(),
    network=NetworkMode.PROXY,
    scopes=Scopes(),
    wsl2_proxy_policy=Wsl2ProxyPolicy.ERROR,
    workdir="/work",
)
