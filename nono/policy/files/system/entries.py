"""Grant what a directory of the system holds, entry by entry, without what keeps secrets.

Landlock cannot take an entry out of a granted directory, and a mask needs namespaces.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from posixpath import dirname, join

from nono.policy.builtin.shipped import Group
from nono.policy.capability import Access, Grant
from nono.policy.path_expansion import Filesystem, is_within

PATTERN = "/*"  # the end of a group's path that stands for the entries of a directory

# Where a link of such a directory may lead. NixOS has the entries of /etc in its store.
_SYSTEM = ("/usr", "/opt", "/nix/store")

# Entries of /etc that hold secrets, or may, though everybody on the machine may read them. Also `NAME.*`,
# such as fstab.bak, and with a version (tomcat10). What programs need in one of them is a path of its own in
# a group (/etc/ssh/ssh_config).
_USERS = "passwd group"  # have a group of their own, which can be excluded
_ACCOUNTS = (
    "shadow gshadow sudoers sudo-ldap doas.conf security krb5.keytab krb5kdc sssd ipa freeradius raddb "
    "ntp.keys ntpsec chrony chrony.keys sasldb2 netrc radsecproxy radcli radiusclient radiusclient-ng "
    "tacacs duo oath authelia dex keycloak grub"
)
# With the password of who may search. On Debian ldap.conf is in /etc/ldap.
_DIRECTORIES = (
    "libnss-ldap libnss-mysql libnss-mysql-root nss_ldap nss-pgsql ldap.conf ldap.secret nslcd pam_duo "
    "pam_ldap pam_mysql pam-mysql pam_pgsql pam_radius_auth"
)
_MACHINE = "machine-id"  # machine-id(5)
_KEYS = "ssh dropbear letsencrypt acme ipsec ipsec.conf strongswan swanctl racoon wireguard openvpn"
_NETWORKS = (
    "NetworkManager netplan network netctl connman wicd wpa_supplicant iwd hostapd ppp pptpd chatscripts "
    "xl2tpd fstab auto autofs samba davfs2 cifs smbcredentials dhcp kea dnsmasq frr quagga bird"
)
_TUNNELS = (
    "openconnect ocserv vpnc tinc fastd nebula zerotier-one headscale netbird stunnel shadowsocks "
    "shadowsocks-libev shadowsocks-rust v2ray xray sing-box trojan hysteria frp ngrok"
)
_PACKAGES = "apt apt-cacher-ng yum dnf zypp rhsm"
_MAIL = (
    "mail msmtprc esmtprc ssmtp nullmailer fetchmailrc getmail dma exim exim4 postfix opensmtpd smtpd "
    "dovecot courier cyrus imapd mailman rspamd spamassassin amavis opendkim dkimkeys roundcube sogo"
)
_DATABASES = (
    "mysql my mariadb maxscale proxysql odbc postgresql patroni pgbackrest pgbouncer pgpool barman redis "
    "valkey mongod mongos mongodb cassandra scylla elasticsearch opensearch influxdb clickhouse-server "
    "clickhouse-client couchdb neo4j rabbitmq kafka nats mosquitto emqx etcd minio ceph glusterfs "
    "dbconfig-common"
)
# What services are given.
_STARTS = (
    "environment default sysconfig conf systemd init rc.local sv service supervisor supervisord uwsgi "
    "monit monitrc cron crontab anacrontab"
)
_CLUSTERS = (
    "kubernetes rancher k0s crio cni containerd containers docker corosync pacemaker libvirt xen pve "
    "proxmox openstack nova keystone glance cinder neutron swift boto cloud amazon waagent s3cmd s3fs "
    "rclone"
)
_BACKUPS = (
    "backup backupninja bacula bareos borg borgmatic burp duplicity duply restic resticprofile autorestic "
    "rsnapshot rsyncd tarsnap kopia urbackup amanda"
)
_MANAGERS = (
    "vault consul nomad teleport ansible salt puppet puppetlabs chef cinc cfengine rudder foreman "
    "foreman-proxy rundeck jenkins buildkite-agent woodpecker drone gitea forgejo gitlab gitlab-runner "
    "act_runner"
)
_MONITORS = (
    "grafana prometheus alertmanager loki promtail alloy otelcol otelcol-contrib vector fluent fluent-bit "
    "td-agent filebeat metricbeat auditbeat heartbeat packetbeat elastic-agent logstash kibana graylog "
    "rsyslog syslog-ng telegraf collectd netdata munin nagios nrpe icinga icingaweb check_mk sensu zabbix "
    "zabbix_agent zabbix_agentd zabbix_proxy zabbix_server datadog-agent newrelic-infra cloudflared "
    "tailscale fail2ban crowdsec wazuh ossec"
)
# Their settings hold passwords of what stands behind them, or of who may use them.
_SERVERS = (
    "apache apache2 httpd tomcat nginx lighttpd caddy traefik envoy haproxy varnish squid tinyproxy "
    "privoxy danted 3proxy cntlm redsocks proxychains proftpd pure-ftpd vsftpd keepalived snmp bind named "
    "rndc knot nsd unbound powerdns pdns ddclient inadyn phpmyadmin wordpress nextcloud mattermost "
    "matrix-synapse prosody ejabberd asterisk freeswitch kamailio turnserver ngircd inspircd znc icecast "
    "mpd mopidy motion zm xrdp guacamole x11vnc deluge transmission-daemon nut apcupsd gammu-smsdrc"
)
KEPT_BACK = frozenset(
    name
    for names in (
        *(_USERS, _ACCOUNTS, _DIRECTORIES, _MACHINE, _KEYS, _NETWORKS, _TUNNELS, _PACKAGES, _MAIL),
        *(_DATABASES, _STARTS, _CLUSTERS, _BACKUPS, _MANAGERS, _MONITORS, _SERVERS),
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
        if _is_kept_back(name):
            continue
        path = join(root, name)
        found = fs.entry(path)
        if found is not None and found.kind == "link":
            path = fs.canonical(path) or ""
            found = fs.entry(path) if _may_lead_to(path, root, fs) else None
        if found is not None and found.is_public:
            yield Grant(path, Access.READ, found.kind == "dir", source, join(directory, name))


def _is_kept_back(name: str) -> bool:
    stem = name.partition(".")[0].rstrip("-~")
    return not KEPT_BACK.isdisjoint((name, stem, stem.rstrip("0123456789")))


def _may_lead_to(path: str, root: str, fs: Filesystem) -> bool:
    """Check where a link leads: in `root` to nothing that is kept back or closed by a directory above."""
    if path == root or not is_within(path, root):
        return any(is_within(path, home) for home in _SYSTEM)
    if _is_kept_back(path[len(root) :].strip("/").partition("/")[0]):
        return False
    above = dirname(path)
    while above != root:
        entry = fs.entry(above)
        if entry is None or not entry.is_public:
            return False
        above = dirname(above)
    return True
