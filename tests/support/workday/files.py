"""List everyday commands that need only files and terminals: toolchains, git, editors, archives."""

from __future__ import annotations

from support.workday.case import Case

HELLO_C = "printf '#include <stdio.h>\\nint main(void) { return puts(\"hi\") < 0; }\\n' > a.c"
HELLO_CC = "printf '#include <iostream>\\nint main() { std::cout << \"hi\"; }\\n' > a.cc"
GO = "export GOTOOLCHAIN=local; printf 'module m\\ngo 1.21\\n' > go.mod; "
GO += "printf 'package main\\nfunc main() { println(F()) }\\nfunc F() int { return 1 }\\n' > a.go; "
GO_TEST = 'printf \'package main\\nimport "testing"\\n'
GO_TEST += 'func TestF(t *testing.T) { if F() != 1 || t.TempDir() == "" { t.Fatal() } }\\n\' > a_test.go; '
JAVA = "printf 'class A { public static void main(String[] a) throws Exception {"
JAVA += ' java.nio.file.Files.delete(java.nio.file.Files.createTempFile("a", "b"));'
JAVA += " System.out.println(1); } }' > A.java; "
CRATE = 'mkdir -p src; printf \'[package]\\nname="m"\\nversion="0.1.0"\\nedition="2021"\\n\' > Cargo.toml; '
CRATE += "printf 'fn main() { println!(\"{}\", 1) }\\n#[test]\\nfn t() { assert!(true) }\\n' > src/main.rs; "
REPOSITORY = "git init -q .; echo 1 > f; git add f; git commit -qm one; "
PACKAGE_JS = 'printf \'{"name":"m","version":"1.0.0","scripts":{"test":"node --test"}}\' > package.json; '
TEST_JS = 'printf \'require("node:test")("t", () => {})\' > a.test.js; '
WHEEL = (
    "python3 -c \"import zipfile as z; w = z.ZipFile('m-1-py3-none-any.whl', 'w');"
    " w.writestr('m.py', 'x = 1'); w.writestr('m-1.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: m\\n"
    "Version: 1\\n'); w.writestr('m-1.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\n"
    "Tag: py3-none-any\\n'); w.writestr('m-1.dist-info/RECORD', ''); w.close()\"; "
)

# Why these fail without namespaces.
TERMINALS = "the person's other terminals lie in the same directory, and only the caller's own is granted"
TEMPORARY = (
    "the temporary files of the person's other programs lie in the same directory; TMPDIR names another"
)
MEMORY = "the shared memory of the person's other programs lies in the same directory"

CASES = [
    # Temporary files.
    Case("mktemp makes a file that can be read", 'f=$(mktemp); echo 1 > "$f"; grep -q 1 "$f"; rm "$f"'),
    Case(
        "mktemp -d makes a directory that can be listed", 'd=$(mktemp -d); touch "$d/a"; ls "$d" | grep -q a'
    ),
    Case(
        "a literal /tmp is written and read",
        "trap 'rm /tmp/x$$.py' EXIT; echo 'print(1)' > /tmp/x$$.py; python3 /tmp/x$$.py",
        profile="coding-agent",
        unshared=TEMPORARY,
    ),
    Case("sort spills a big file", "seq 400000 -1 1 > n; sort -n -S 200K n | head -1 | grep -qx 1"),
    Case("mkfifo joins two commands", "p=$(mktemp -u); mkfifo $p; echo 1 > $p & grep -q 1 $p; rm $p"),
    Case("python makes a temporary directory", "python3 -c 'import tempfile as t; t.mkdtemp()'"),
    Case("perl makes a temporary file", "perl -MFile::Temp=tempfile -e 'tempfile()'"),
    Case(
        "node makes a temporary directory",
        "node -e 'const d = fs.mkdtempSync(os.tmpdir() + \"/a\"); fs.readdirSync(d)'",
        profile="node-dev",
    ),
    Case("a here-document reaches a shell", "cat <<E | grep -q 1\n1\nE"),
    Case("bash substitutes a process", "bash -c 'diff <(echo 1) <(echo 1)'"),
    # C and C++.
    Case("gcc compiles and links", f"{HELLO_C}; gcc a.c -o a; ./a | grep -q hi"),
    Case("gcc compiles in steps", f"{HELLO_C}; gcc -S a.c; as a.s -o a.o; gcc a.o -o a; ./a | grep -q hi"),
    Case("gcc preprocesses system headers", "echo '#include <stdlib.h>' | gcc -E - > /dev/null"),
    Case("gcc compiles for an agent", f"{HELLO_C}; gcc a.c && ./a.out", profile="coding-agent"),
    Case("g++ compiles", f"{HELLO_CC}; g++ a.cc -o a; ./a | grep -q hi"),
    Case("make builds by its built-in rules", f"{HELLO_C}; make a; ./a"),
    Case(
        "make runs jobs side by side",
        "printf 'all: a b\\na b:\\n\\techo $@ > $@\\n' > Makefile; make -j2; cat a b",
    ),
    Case(
        "cmake configures and builds",
        f"{HELLO_C}; printf 'cmake_minimum_required(VERSION 3.10)\\nproject(a C)\\n"
        "add_executable(a a.c)\\n' > CMakeLists.txt; cmake -B b . && cmake --build b && b/a",
    ),
    Case("ar and nm handle a library", f"{HELLO_C}; gcc -c a.c; ar rcs liba.a a.o; nm liba.a | grep -q main"),
    Case("an address sanitizer runs", f"{HELLO_C}; gcc -fsanitize=address a.c -o a; ./a"),
    Case(
        "ccache keeps what it compiled",
        f"{HELLO_C}; ccache gcc -c a.c; ccache gcc -c a.c; ccache -s | grep -q Hits",
    ),
    Case("gdb runs a program", f"{HELLO_C}; gcc -g a.c -o a; gdb -nx -batch -ex run ./a | grep -q hi"),
    Case("strace follows a program", "strace -f -o t true; grep -q execve t"),
    Case("ldd and file name what a program is", "ldd /bin/ls > /dev/null; readelf -h /bin/ls > /dev/null"),
    # git.
    Case("git makes a repository and commits", REPOSITORY + "git log --oneline | grep -q one"),
    Case("git reads the settings of its user", "git config user.name | grep -q Person"),
    Case("git clones a repository beside", REPOSITORY + "git clone -q . c; test -f c/f"),
    Case(
        "git runs hooks",
        "git init -q .; printf '#!/bin/sh\\ntouch ran\\n' > .git/hooks/pre-commit; "
        "chmod +x .git/hooks/pre-commit; git commit -qm one --allow-empty; test -f ran",
    ),
    Case("git adds a worktree", REPOSITORY + "git worktree add -q w; cd w; git status --short"),
    Case("git stashes", REPOSITORY + "echo 2 > f; git stash -q; git stash pop -q; grep -q 2 f"),
    Case(
        "git rebases with an editor",
        REPOSITORY + "git commit -qm two --allow-empty; "
        "GIT_SEQUENCE_EDITOR=: git rebase -qi --keep-empty HEAD~1",
    ),
    Case(
        "git adds a submodule",
        "git init -q s; git -C s commit -qm one --allow-empty; git init -q .; "
        "git -c protocol.file.allow=always submodule --quiet add ./s t; git -C t log --oneline | grep -q one",
    ),
    Case("git collects garbage", REPOSITORY + "git gc -q"),
    Case(
        "git applies a patch",
        REPOSITORY + "echo 2 > f; git diff > p; git checkout -q f; git apply p; grep -q 2 f",
    ),
    Case(
        "git bisects",
        REPOSITORY + "git commit -qm two --allow-empty; git bisect start HEAD HEAD~1; git bisect reset > log",
    ),
    Case(
        "git works for an agent in a repository of its user",
        "echo 2 > f; git commit -qam two; git status --short",
        profile="coding-agent",
        stage=REPOSITORY,
    ),
    Case("git adds all although something is denied", "git add -A", stage=REPOSITORY),
    Case(
        "git works below the root of its repository",
        "echo 1 > g; git add g; git commit -qm two; git log --oneline | grep -q two",
        stage=REPOSITORY + "mkdir sub; echo 1 > sub/f",
        at="sub",
    ),
    Case(
        "git works in a worktree of a repository elsewhere",
        "echo 2 > f; git commit -qam two; git status --short",
        stage="git init -q ../origin; git -C ../origin commit -qm one --allow-empty; "
        'git -C ../origin worktree add -q "$PWD/w"; echo 1 > w/f; git -C w add f',
        at="w",
    ),
    Case(
        "git works in a submodule alone",
        "echo 2 > f; git add f; git commit -qm two; git log --oneline | grep -q two",
        stage="git init -q ../origin; git -C ../origin commit -qm one --allow-empty; git init -q .; "
        'git -c protocol.file.allow=always submodule --quiet add "$PWD/../origin" s',
        at="s",
    ),
    # Python.
    Case(
        "python runs a script", "echo 'import json, sqlite3, ssl' > a.py; python3 a.py", profile="python-dev"
    ),
    Case(
        "python makes an environment with pip", "python3 -m venv v; v/bin/pip --version", profile="python-dev"
    ),
    Case(
        "pip installs a wheel",
        WHEEL + "python3 -m venv v; v/bin/pip install -q --no-index ./m-1-py3-none-any.whl; "
        "v/bin/python -c 'import m'",
        profile="python-dev",
        is_slow=True,
    ),
    Case(
        "pip names its cache", "python3 -m venv v; v/bin/pip cache info", profile="python-dev", is_slow=True
    ),
    Case(
        "pip writes its cache",
        'python3 -m venv v; d=$(v/bin/pip cache dir); mkdir -p "$d"; touch "$d/a"',
        profile="python-dev",
        is_slow=True,
    ),
    Case(
        "uv makes an environment",
        WHEEL + "uv venv -q v; uv pip install -q --offline -p v ./m-1-py3-none-any.whl; "
        "v/bin/python -c 'import m'",
        profile="python-dev",
    ),
    Case("uv locks its cache without a profile", "uv cache prune -q"),
    Case(
        "pytest runs a test",
        "echo 'def test_a(tmp_path): assert tmp_path.exists()' > test_a.py; python3 -m pytest -q",
        profile="python-dev",
    ),
    Case(
        "python's unittest runs a test",
        "printf 'import unittest as u\\nclass T(u.TestCase):\\n def test(self): pass\\n' "
        "> test_a.py; python3 -m unittest -q",
        profile="python-dev",
    ),
    Case(
        "python shares work between processes",
        "python3 -c 'import multiprocessing as m; p = m.Pool(2); p.map(abs, [1]); p.close(); p.join()'",
        profile="python-dev",
        unshared=MEMORY,
    ),
    Case(
        "python shares memory",
        "python3 -c 'from multiprocessing.shared_memory import SharedMemory as S;"
        " s = S(create=True, size=9); s.close(); s.unlink()'",
        unshared=MEMORY,
    ),
    Case("python opens a terminal", "python3 -c 'import pty; pty.spawn([\"true\"])'", unshared=TERMINALS),
    Case("python compiles in a cache of its own", "mkdir m; touch m/__init__.py; python3 -m compileall -q m"),
    # Node.
    Case("npm runs the tests of a package", PACKAGE_JS + TEST_JS + "npm test --silent", profile="node-dev"),
    Case(
        "npm installs a package of this disk",
        "mkdir p; cd p; " + PACKAGE_JS + "cd ..; npm install --offline ./p; test -d node_modules/m",
        profile="node-dev",
    ),
    Case("npm packs", PACKAGE_JS + "npm pack --silent", profile="node-dev"),
    Case(
        "npm installs again from its lock",
        "mkdir p; cd p; " + PACKAGE_JS + "cd ..; npm install --offline ./p; "
        "rm -r node_modules; npm ci --offline; test -d node_modules/m",
        profile="node-dev",
    ),
    Case("npm verifies its cache", "npm cache verify", profile="node-dev"),
    Case(
        "npm installs for an agent",
        "mkdir p; cd p; " + PACKAGE_JS + "cd ..; npm install --offline ./p",
        profile="coding-agent",
    ),
    Case(
        "npx runs a program of the project",
        "mkdir -p node_modules/.bin; printf '#!/bin/sh\\necho ran\\n' > "
        "node_modules/.bin/own; chmod +x node_modules/.bin/own; npx --offline own | grep -q ran",
        profile="node-dev",
    ),
    Case(
        "node reads its memory use from a shell",
        "sh -c 'node -e \"process.memoryUsage()\"; true'",
        profile="node-dev",
    ),
    Case(
        "node watches a directory",
        'node -e \'fs.watch(".").on("change", () => process.exit()); '
        'setInterval(() => fs.writeFileSync("x", ""), 50)\'',
        profile="node-dev",
    ),
    # Go, Rust, Java.
    # A first build compiles the library of Go, 9 s of CPU; test_hello_world.py does that each day.
    Case("go builds", GO + "go build -o a .; ./a", profile="go-dev", is_slow=True),
    Case("go tests", GO + GO_TEST + "go test ./...", profile="go-dev", is_slow=True),
    Case("go vets", GO + "go vet ./...", profile="go-dev", is_slow=True),
    Case("go builds without a profile", GO + "go build -o a .; ./a", is_slow=True),
    Case("go builds for an agent", GO + "go build -o a .; ./a", profile="coding-agent", is_slow=True),
    Case(
        "go names a cache of modules it can write",
        'd=$(go env GOMODCACHE); mkdir -p "$d"; touch "$d/a"',
        profile="go-dev",
    ),
    Case("cargo builds", CRATE + "cargo build -q --offline; target/debug/m", profile="rust-dev"),
    Case("cargo tests", CRATE + "cargo test -q --offline", profile="rust-dev"),
    Case("cargo builds without a profile", CRATE + "cargo build -q --offline", is_slow=True),
    Case("rustc compiles", "echo 'fn main() {}' > a.rs; rustc a.rs; ./a", profile="rust-dev"),
    Case("javac compiles, java runs", JAVA + "javac A.java; java A", profile="java-dev", is_slow=True),
    Case("java makes temporary files for an agent", JAVA + "javac A.java; java A", profile="coding-agent"),
    Case("jar packs", JAVA + "javac A.java; jar cf a.jar A.class", profile="java-dev", is_slow=True),
    Case("maven starts", "mvn -q -o --version", profile="java-dev"),
    Case(
        "maven writes its repository",
        "printf '<project><modelVersion>4.0.0</modelVersion><groupId>g</groupId><artifactId>a</artifactId>"
        "<version>1</version><packaging>pom</packaging></project>' > pom.xml; mvn -o -q validate",
        profile="java-dev",
        is_slow=True,
    ),
    # Terminals and editors.
    Case("script records a terminal", "script -qc 'echo typed' log; grep -q typed log", unshared=TERMINALS),
    Case(
        "script records for an agent",
        "script -qc 'echo typed' log; grep -q typed log",
        profile="coding-agent",
        unshared=TERMINALS,
    ),
    Case(
        "expect drives a program",
        "expect -c 'if {[catch {spawn echo hi}]} {exit 1}; expect hi'",
        unshared=TERMINALS,
    ),
    Case("vim edits in a batch", "echo 1 > f; vim -u NONE -es -c '%s/1/2/' -c wq f; grep -q 2 f"),
    Case(
        "vim starts with the settings of the system",
        "echo 1 > f; script -qc 'TERM=xterm vim -c q f' /dev/null",
        unshared=TERMINALS,
    ),
    Case(
        "nano writes a file, and says of nothing but its history that it cannot",
        """(sleep 1; printf 'hi\\017\\r\\030'; sleep 1; printf '\\r') |
        TERM=xterm timeout 9 script -qc 'nano f' log; grep -q hi f
        ! grep -ai 'permission' log | grep -v '/.local/share/nano/: Permission denied'""",
        unshared=TERMINALS,
    ),
    Case(
        "less shows a file",
        "seq 99 > f; TERM=xterm script -qc 'less -F -X +q f' /dev/null < /dev/null",
        unshared=TERMINALS,
    ),
    Case("man shows a page", "printf '.TH A 1\\n.SH NAME\\na\\n' > a.1; man -P cat ./a.1 > /dev/null"),
    Case("tput knows the terminal", "TERM=xterm tput cols"),
    Case("bash starts without complaint", "bash -lc true 2> err; ! grep -i denied err"),
    # Keys, databases, archives.
    Case("ssh-keygen makes a key", "ssh-keygen -q -t ed25519 -N '' -f key"),
    Case("ssh reads its settings", "ssh -G host.example > /dev/null"),
    Case(
        "openssl makes a certificate",
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=a -keyout k -out c",
    ),
    Case("gpg lists no keys", "mkdir -m 700 g; GNUPGHOME=$PWD/g gpg --batch --list-keys"),
    Case(
        "gpg encrypts with a passphrase",
        "mkdir -m 700 g; export GNUPGHOME=$PWD/g; echo 1 > f; gpg --batch "
        "--no-symkey-cache --pinentry-mode loopback --passphrase x -c f; test -f f.gpg",
    ),
    Case(
        "sqlite3 writes a database",
        "sqlite3 d 'pragma journal_mode=wal; create table t(x); insert into t values(1)'",
    ),
    Case(
        "tar packs with its owner and times",
        "mkdir a; touch a/f; tar -czf a.tgz a; rm -r a; tar -xpzf a.tgz; test -f a/f",
    ),
    Case("cp keeps attributes", "cp -a /etc/ssl/certs copied"),
    Case("rsync copies", "mkdir a; touch a/f; rsync -a a/ b/; test -f b/f"),
    Case("gzip, xz and zip pack", "echo 1 > f; gzip -k f; xz -k f; zcat f.gz | grep -q 1"),
    Case("flock takes a lock", "flock lock true"),
    Case("install sets modes", "echo 1 > f; install -m 755 f g; test -x g"),
    Case("ln makes hard and soft links", "echo 1 > f; ln f g; ln -s f h; cat g h"),
    Case("find removes what it finds", "mkdir a; touch a/f; find a -delete"),
    Case("xargs runs side by side", "seq 9 | xargs -P 3 -n 1 echo > /dev/null"),
    # The system.
    Case("ps lists processes", "ps -ef > /dev/null"),
    Case("top reads the system", "TERM=xterm top -bn1 > /dev/null"),
    Case(
        "pgrep and pkill find their own",
        # By a name of its own: outside, everybody's would be found.
        "cp /usr/bin/sleep nap$$; ./nap$$ 60 &"
        " for i in $(seq 100); do pgrep -x nap$$ > /dev/null && break; done; pkill -x nap$$",
    ),
    Case("uptime, free and vmstat read the system", "uptime; free; vmstat"),
    Case("df and findmnt see mounts", "df . ; findmnt > /dev/null"),
    Case("mount lists mounts", "mount > /dev/null"),
    Case("lscpu and nproc count processors", "lscpu > /dev/null; nproc"),
    Case("sysctl reads the kernel", "/sbin/sysctl kernel.ostype"),
    Case("id and getent know the user", "id > /dev/null; getent passwd root > /dev/null"),
    Case("locale lists what is there", "locale -a > /dev/null"),
    Case("date knows time zones", "TZ=Europe/Berlin date | grep -q CE"),
    Case("lsof lists open files", "lsof -p $$ > /dev/null"),
    Case("ls shows temporary and installed files", "ls /tmp /usr > /dev/null", unshared=TEMPORARY),
    Case("getconf and ulimit answer", "getconf PAGESIZE; ulimit -a > /dev/null"),
    Case("dpkg tells about packages", "dpkg -l > /dev/null; dpkg -L bash > /dev/null"),
    Case("apt lists what is installed", "apt list --installed > l && grep -q ^dpkg/ l"),
    Case("fc-list and fonts are there", "fc-list > /dev/null"),
    Case("curl reads a file", "echo 1 > f; curl -sf file://$PWD/f > /dev/null"),
    Case(
        "ls is refused in the home directory",
        "ls ~",
        by_design="a home directory is granted by nobody but the person",
    ),
]
