"""Everyday commands of archives, checksums, keys and databases without a server."""

from __future__ import annotations

from support.workday.case import Case

SQL = "create table t(a integer primary key, b text); insert into t(b) values ('x'), ('y');"

ARCHIVES = [
    Case("tar packs with xz", "mkdir a; echo 1 > a/f; tar -cJf a.txz a; tar -tJf a.txz | grep -q a/f"),
    Case("tar packs with bzip2", "mkdir a; echo 1 > a/f; tar -cjf a.tbz a; tar -xjf a.tbz -C .; test -f a/f"),
    Case(
        "tar packs with zstd", "mkdir a; echo 1 > a/f; tar --zstd -cf a.tzst a; tar -tf a.tzst | grep -q a/f"
    ),
    Case("tar takes members from a pipe", "echo 1 > f; tar -c f | tar -t | grep -qx f"),
    Case(
        "tar leaves out what it is told to",
        "mkdir a; touch a/f a/g; tar -cf a.tar --exclude=g a; ! tar -tf a.tar | grep -q g",
    ),
    Case(
        "tar packs sparse files", "truncate -s 10M f; tar -cSf a.tar f; test $(stat -c %s a.tar) -lt 100000"
    ),
    Case(
        "cpio packs and unpacks",
        "echo 1 > f; echo f | cpio -o --quiet > a; mkdir d; cd d; cpio -i --quiet < ../a; test -f f",
    ),
    Case(
        "zip and unzip pack a tree",
        "mkdir a; echo 1 > a/f; zip -qr a.zip a; rm -r a; unzip -q a.zip; test -f a/f",
    ),
    Case(
        "python packs a zip and a tar",
        "echo 1 > f; python3 -m zipfile -c a.zip f; python3 -m tarfile -c a.tar f; "
        "python3 -m zipfile -t a.zip",
    ),
    Case(
        "zstd and lz4 compress",
        "seq 999 > f; zstd -q f -o f.zst; zstd -dcq f.zst | cmp - f; lz4 -q f f.lz4; "
        "lz4 -dcq f.lz4 | cmp - f",
    ),
    Case("bzip2 compresses", "seq 999 > f; bzip2 -k f; bzcat f.bz2 | cmp - f"),
    Case("xz uses several threads", "seq 99999 > f; xz -k -T2 f; xzcat f.xz | cmp - f"),
    Case("ar lists members", "echo 1 > f; ar rc a.a f; ar t a.a | grep -qx f"),
    Case(
        "dpkg-deb builds a package",
        "mkdir -p p/DEBIAN; "
        "printf 'Package: p\\nVersion: 1\\nArchitecture: all\\nMaintainer: A <a@b.example>\\nDescription: "
        "p\\n' > p/DEBIAN/control; dpkg-deb --root-owner-group -b p p.deb; dpkg-deb -c p.deb > /dev/null",
    ),
    Case("rsync deletes what is gone", "mkdir a b; touch a/f b/g; rsync -a --delete a/ b/; test ! -e b/g"),
]
CRYPTO = [
    Case("sha256sum checks", "echo 1 > f; sha256sum f > s; sha256sum -c --quiet s"),
    Case("md5sum, b2sum and cksum hash", "echo 1 > f; md5sum f; b2sum f; cksum f"),
    Case(
        "openssl hashes and encodes",
        "echo 1 | openssl dgst -sha512 > /dev/null; openssl rand -hex 8 | grep -q .",
    ),
    Case(
        "openssl encrypts with a passphrase",
        "echo 1 > f; openssl enc -aes-256-cbc -pbkdf2 -k x -in f -out e; "
        "openssl enc -d -aes-256-cbc -pbkdf2 -k x -in e | cmp - f",
    ),
    Case(
        "openssl signs and verifies",
        "openssl genpkey -algorithm ed25519 -out k; openssl pkey -in k -pubout -out p; echo 1 > f; "
        "openssl pkeyutl -sign -inkey k -rawin -in f -out s; "
        "openssl pkeyutl -verify -pubin -inkey p -rawin -in f -sigfile s",
    ),
    Case(
        "openssl reads the authorities of the system",
        "openssl x509 -noout -subject -in $(ls /etc/ssl/certs/*.pem | head -1)",
    ),
    Case(
        "openssl verifies by an authority",
        "openssl req -x509 -newkey ed25519 -nodes -subj /CN=ca -keyout ck -out c; "
        "openssl req -newkey ed25519 -nodes -subj /CN=a -keyout k -out r; "
        "openssl x509 -req -in r -CA c -CAkey ck -out a 2> /dev/null; openssl verify -CAfile c a",
    ),
    Case(
        "ssh-keygen signs and verifies",
        "ssh-keygen -q -t ed25519 -N '' -f k; echo 1 > f; ssh-keygen -q -Y sign -f k -n file f; "
        'echo "me $(cat k.pub)" > a; ssh-keygen -q -Y verify -f a -I me -n file -s f.sig < f',
    ),
    Case("ssh-keygen tells a fingerprint", "ssh-keygen -q -t ecdsa -N '' -f k; ssh-keygen -lf k.pub"),
    Case(
        "git signs with a key of ssh",
        "ssh-keygen -q -t ed25519 -N '' -f k; git init -q .; "
        "git -c gpg.format=ssh -c user.signingkey=$PWD/k.pub commit -q -S -m one --allow-empty; "
        "git cat-file commit HEAD | grep -q 'SSH SIGNATURE'",
    ),
    Case(
        "gpg checks a digest", "echo 1 > f; mkdir -m 700 g; GNUPGHOME=$PWD/g gpg --batch --print-md sha256 f"
    ),
    Case(
        "python hashes with scrypt",
        'python3 -c \'import hashlib; hashlib.scrypt(b"a", salt=b"b", n=2**10, r=8, p=1)\'',
    ),
    Case(
        "keytool makes a key store",
        "keytool -genkeypair -keyalg EC -alias a -dname CN=a -keystore s -storepass password",
        profile="java-dev",
        is_slow=True,
    ),
]
DATABASES = [
    Case(
        "sqlite3 dumps and restores",
        f"sqlite3 d \"{SQL}\"; sqlite3 d .dump | sqlite3 e; test $(sqlite3 e 'select count(*) from t') = 2",
    ),
    Case(
        "sqlite3 waits for a lock",
        f'sqlite3 d "{SQL}"; for i in 1 2 3; '
        f"do sqlite3 -cmd '.timeout 5000' d \"insert into t(b) values ('z')\" & done; wait; "
        f"test $(sqlite3 d 'select count(*) from t') = 5",
    ),
    Case(
        "sqlite3 sorts in temporary files",
        "sqlite3 d 'pragma temp_store=1; pragma cache_size=10; "
        "create table t as with recursive n(x) as (select 1 union all select x + 1 from n limit 20000) "
        "select x, hex(randomblob(20)) r from n; create index i on t(r);'",
    ),
    Case(
        "sqlite3 takes in CSV",
        "printf 'a,b\\n1,2\\n' > c; sqlite3 d -cmd '.mode csv' '.import c t'; "
        "test $(sqlite3 d 'select b from t') = 2",
    ),
    Case(
        "python's sqlite3 uses a journal",
        'python3 -c \'import sqlite3; c = sqlite3.connect("d"); c.execute("create table t(x)"); '
        'c.executemany("insert into t values(?)", [(1,)] * 99); c.commit()\'',
        profile="python-dev",
    ),
    Case(
        "node's sqlite writes a database",
        'node -e \'try { require("node:sqlite") } catch { process.exit(0) } const d = new '
        '(require("node:sqlite").DatabaseSync)("d"); d.exec("create table t(x)")\'',
        profile="node-dev",
    ),
    Case(
        "python's dbm keeps a value",
        'python3 -c \'import dbm; d = dbm.open("d", "c"); d["a"] = "1"; d.close()\'',
    ),
    Case(
        "initdb makes a cluster and a server of one user answers",
        "initdb -A trust -D d > /dev/null; "
        "echo 'select 6 * 7;' | postgres --single -D d postgres | grep -q 42",
        is_slow=True,
    ),
]
CASES = [*ARCHIVES, *CRYPTO, *DATABASES]
