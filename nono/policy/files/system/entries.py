"""Grant what a directory of the system holds, entry by entry, without what keeps secrets.

Landlock cannot take an entry out of a granted directory, and a mask needs namespaces.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from posixpath import join

from nono.policy.builtin.shipped import Group
from nono.policy.capability import Access, Grant
from nono.policy.path_expansion import Filesystem, is_within

PATTERN = "/*"  # the end of a group's path that stands for the entries of a directory

# Where a link of such a directory may lead. NixOS has the entries of /etc in its store.
_SYSTEM = ("/usr", "/opt", "/nix/store")

# Entries of /etc that hold secrets, or may, though everybody on the machine may read them. Also `NAME.*`,
# such as fstab.bak. What programs need in one of them is a path of its own in a group (/etc/ssh/ssh_config).
_USERS = "passwd group"  # have a group of their own, which can be excluded
_ACCOUNTS = (
    "shadow gshadow sudoers doas.conf security krb5.keytab ldap.secret sssd freeradius ntp.keys sasldb2"
)
_DIRECTORIES = "libnss-ldap pam_ldap nslcd"  # with the password of who may search
_MACHINE = "machine-id"  # machine-id(5)
_KEYS = "ssh letsencrypt acme ipsec ipsec.conf strongswan swanctl wireguard openvpn"
_NETWORKS = (
    "NetworkManager netplan network wpa_supplicant iwd ppp chatscripts fstab auto autofs samba davfs2 cifs"
)
_PACKAGES = "apt yum dnf zypp"
_MAIL = "mail msmtprc esmtprc ssmtp nullmailer fetchmailrc exim4 postfix dovecot"
_DATABASES = "mysql my odbc postgresql redis valkey mongod cassandra elasticsearch influxdb rabbitmq ceph"
_STARTS = "environment default sysconfig conf systemd init cron crontab anacrontab"  # what services are given
_CLUSTERS = "kubernetes rancher cni containerd containers docker boto cloud amazon rclone"
_MANAGERS = "vault consul nomad ansible salt puppet chef gitlab gitlab-runner restic"
_MONITORS = "grafana telegraf zabbix datadog-agent newrelic-infra cloudflared tailscale"
# Their settings hold passwords of what stands behind them.
_SERVERS = (
    "apache2 httpd nginx lighttpd caddy haproxy squid tinyproxy proxychains proftpd vsftpd keepalived snmp"
)
KEPT_BACK = frozenset(
    name
    for names in (
        *(_USERS, _ACCOUNTS, _DIRECTORIES, _MACHINE, _KEYS, _NETWORKS, _PACKAGES, _MAIL, _DATABASES),
        *(_STARTS, _CLUSTERS, _MANAGERS, _MONITORS, _SERVERS),
    )
    for name in names.split()
)


def listed_directories(groups: Iterable[Group]) -> tuple[Grant, ...]:
    """Return a grant of the names, and no more, in each directory that groups grant entry by entry."""
    found = [
        Grant(path, Access.READ, False, f"group:{group.name}", path)
        for group in groups
        for path in (text.removesuffix(PATTERN) for text in group.read if text.endswith(PATTERN))
    ]
    return tuple(dict.fromkeys(found))


def entry_grants(directory: str, source: str, fs: Filesystem) -> Iterator[Grant]:
    """Yield a grant to read each entry that everybody may read and that is not kept back."""
    root = fs.canonical(directory)
    if root is None:
        return
    for name in fs.names(root):
        if name in KEPT_BACK or name.partition(".")[0].rstrip("-~") in KEPT_BACK:
            continue
        path = join(root, name)
        found = fs.entry(path)
        if found is not None and found.kind == "link":
            path = fs.canonical(path) or ""
            is_system = any(is_within(path, home) for home in (root, *_SYSTEM))
            found = fs.entry(path) if is_system else None
        if found is not None and found.is_public:
            yield Grant(path, Access.READ, found.kind == "dir", source, join(directory, name))
