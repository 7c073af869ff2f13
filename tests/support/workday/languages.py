"""Everyday commands of languages and their package managers."""

from __future__ import annotations

from functools import partial

from support.workday.case import Case
from support.workday.files import CRATE, GO, GO_TEST, JAVA, MEMORY, PACKAGE_JS, TEMPORARY, TEST_JS, WHEEL

MODULE = "mkdir m; echo 'def f(): return 1' > m/__init__.py; "
TESTED = (
    MODULE + "mkdir t; "
    "printf 'import m\\ndef test_f(tmp_path, capsys, monkeypatch): assert m.f() == 1\\n' > t/test_f.py; "
)
PYPROJECT = (
    'printf \'[build-system]\\nrequires = ["setuptools"]\\nbuild-backend = '
    '"setuptools.build_meta"\\n[project]\\nname = "m"\\nversion = "1"\\n[tool.setuptools]\\npackages '
    '= ["m"]\\n\' > pyproject.toml; '
)
JUNIT = (
    "mkdir -p src/main/java/a; "
    "printf 'package a;\\npublic class A { public static void main(String[] x) { "
    "System.out.println(1); } }\\n' > src/main/java/a/A.java; "
)
WORKSPACE = (
    "mkdir -p a b; cd a; cargo init -q --lib --vcs none; cd ../b; cargo init -q --vcs none; cd ..; "
    'printf \'[workspace]\\nmembers = ["a", "b"]\\nresolver = "2"\\n\' > Cargo.toml; '
)


python = partial(Case, profile="python-dev")
node = partial(Case, profile="node-dev")
rust = partial(Case, profile="rust-dev")
go = partial(Case, profile="go-dev")
java = partial(Case, profile="java-dev", is_slow=True)

PYTHON = [
    python(
        "pytest uses temporary directories",
        TESTED + "PYTHONPATH=. python3 -m pytest -q -p no:cacheprovider t",
        is_slow=True,
    ),
    python(
        "pytest keeps its cache",
        TESTED + "PYTHONPATH=. python3 -m pytest -q t; test -d .pytest_cache",
        is_slow=True,
    ),
    python(
        "pytest runs the last failures",
        "printf 'import os\\ndef test_a(): assert os.path.exists(\"made\")\\n' > test_a.py; "
        "! python3 -m pytest -q; touch made; python3 -m pytest -q --lf",
        is_slow=True,
    ),
    python(
        "a package is installed for editing",
        MODULE + PYPROJECT + "python3 -m venv --system-site-packages v; "
        "v/bin/pip install -q --no-index --no-build-isolation --no-deps -e . && v/bin/python -c 'import m'",
        is_slow=True,
    ),
    python("a wheel is looked into", WHEEL + "python3 -m zipfile -l m-1-py3-none-any.whl | grep -q METADATA"),
    python(
        "a virtual environment is entered",
        "python3 -m venv --without-pip v; . v/bin/activate; test $(python -c 'import sys; "
        "print(sys.prefix)') = $(realpath v)",
    ),
    python(
        "uv makes a project and runs it",
        "uv init -q --no-workspace --offline p; cd p; uv run -q --offline python -c 1",
    ),
    python(
        "uv locks a project",
        "uv init -q --no-workspace --offline p; cd p; uv lock -q --offline; test -f uv.lock",
    ),
    python(
        "uv finds pythons", "uv python list --offline > /dev/null; uv python find > /dev/null", is_slow=True
    ),
    python(
        "python compiles a tree", MODULE + "python3 -m compileall -q m; test -d m/__pycache__", is_slow=True
    ),
    python(
        "python profiles",
        MODULE + "python3 -m cProfile -o p -c 'import m; "
        "m.f()' 2> /dev/null || python3 -m cProfile -o p m/__init__.py; test -s p",
        is_slow=True,
    ),
    python("python times", "python3 -m timeit -n 9 1+1 > /dev/null"),
    python("python traces", MODULE + "python3 -m trace --count -C c m/__init__.py > /dev/null; test -d c"),
    python(
        "python's doctest runs",
        'printf \'"""\\n>>> 1 + 1\\n2\\n"""\\n\' > a.py; python3 -m doctest a.py',
        is_slow=True,
    ),
    python(
        "python logs by turns",
        "python3 -c 'import logging.handlers as l; "
        'h = l.RotatingFileHandler("a", maxBytes=9, backupCount=2); '
        '[h.emit(__import__("logging").makeLogRecord({"msg": "words"})) for _ in range(9)]\'; test -f a.1',
    ),
    python("python formats JSON", "echo '{\"a\": 1}' | python3 -m json.tool | grep -q a"),
    python("python reads time zones", "python3 -c 'import zoneinfo; zoneinfo.ZoneInfo(\"Europe/Berlin\")'"),
    python("python knows its user's home", "python3 -c 'import pathlib; pathlib.Path.home()'", is_slow=True),
    python(
        "python shares a queue between processes",
        "python3 -c 'import multiprocessing as m; q = m.Queue(); p = m.Process(target=q.put, args=(1,)); "
        "p.start(); assert q.get() == 1; p.join()'",
        unshared=MEMORY,
    ),
    python(
        "python makes a zip application",
        "mkdir a; echo 'print(1)' > a/__main__.py; python3 -m zipapp a; python3 a.pyz | grep -qx 1",
        is_slow=True,
    ),
    python(
        "python watches with asyncio",
        "python3 -c 'import asyncio; asyncio.run(asyncio.sleep(0.01))'",
        is_slow=True,
    ),
    Case(
        "pytest runs for Claude Code",
        TESTED + "PYTHONPATH=. python3 -m pytest -q t",
        profile="claude-code",
        is_slow=True,
    ),
    Case("python runs for somebody without a profile", TESTED + "PYTHONPATH=. python3 -m pytest -q t"),
]
NODE = [
    node(
        "node runs ES modules",
        "echo 'export const a = 1' > a.mjs; echo 'import {a} from \"./a.mjs\"; console.log(a)' > b.mjs; "
        "node b.mjs | grep -qx 1",
    ),
    node(
        "node's test runner counts",
        PACKAGE_JS + TEST_JS + "node --test > log; grep -q 'pass 1' log",
        is_slow=True,
    ),
    node(
        "node starts workers",
        'node -e \'const w = require("worker_threads"); new w.Worker("process.exit(0)", {eval: true})\'',
        is_slow=True,
    ),
    node("node starts a child", 'node -e \'require("child_process").execFileSync("true")\'', is_slow=True),
    node(
        "node forks with a channel",
        "echo 'process.send(1); process.disconnect()' > c.js; "
        'node -e \'require("child_process").fork("./c.js").on("message", m => process.exit(m - 1))\'',
        is_slow=True,
    ),
    node(
        "node streams and compresses",
        "seq 999 > f; "
        'node -e \'fs.createReadStream("f").pipe(zlib.createGzip()).pipe(fs.createWriteStream("f.gz"))\'; '
        "zcat f.gz | cmp - f",
        is_slow=True,
    ),
    node(
        "node makes keys",
        'node -e \'crypto.generateKeyPairSync("ed25519"); crypto.scryptSync("a", "b", 9)\'',
        is_slow=True,
    ),
    node(
        "node reads about the machine",
        "node -e 'os.cpus(); os.freemem(); os.loadavg(); os.userInfo; os.hostname()'",
    ),
    node("node writes a heap snapshot", "node -e 'v8.writeHeapSnapshot(\"h\")'; test -s h", is_slow=True),
    node("node profiles", "node --cpu-prof --cpu-prof-dir=p -e 1; ls p/*.cpuprofile > /dev/null"),
    node("npm begins a package", "npm init -y > /dev/null; test -f package.json", is_slow=True),
    node(
        "npm runs a script with its arguments",
        PACKAGE_JS
        + "npm pkg set scripts.say='echo said'; npm run --silent say -- more | grep -q 'said more'",
        is_slow=True,
    ),
    node(
        "npm tells its settings",
        "npm config list > /dev/null; npm config get cache > /dev/null",
        is_slow=True,
    ),
    node(
        "npm lists what is installed",
        "mkdir p; cd p; "
        + PACKAGE_JS
        + "cd ..; npm install --offline ./p > log; npm ls --offline | grep -q m@",
        is_slow=True,
    ),
    node(
        "npm links a workspace",
        "mkdir -p w/a; cd w/a; "
        + PACKAGE_JS
        + 'cd ../..; printf \'{"name":"r","workspaces":["w/a"]}\' > package.json; '
        "npm install --offline > log; test -L node_modules/m",
        is_slow=True,
    ),
    node(
        "npm installs for the person",
        "mkdir p; cd p; "
        + PACKAGE_JS
        + "cd ..; npm install --offline -g --prefix $PWD/g ./p > log; test -e g/lib/node_modules/m",
        is_slow=True,
    ),
    node(
        "npm sets a version with git",
        "git init -q .; "
        + PACKAGE_JS
        + "git add .; git commit -qm one; npm version patch > /dev/null; git tag | grep -q v1.0.1",
        is_slow=True,
    ),
    Case(
        "npm tests for Claude Code",
        PACKAGE_JS + TEST_JS + "npm test --silent",
        profile="claude-code",
        is_slow=True,
    ),
    Case("node runs without a profile", PACKAGE_JS + TEST_JS + "node --test > log"),
]
RUST = [
    rust("cargo begins a crate", "cargo init -q --vcs git --name m .; test -f src/main.rs"),
    rust("cargo runs", CRATE + "cargo run -q --offline | grep -qx 1", is_slow=True),
    rust("cargo checks", CRATE + "cargo check -q --offline"),
    rust(
        "cargo builds for release",
        CRATE + "cargo build -q --offline --release; target/release/m",
        is_slow=True,
    ),
    rust("cargo makes documentation", CRATE + "cargo doc -q --offline --no-deps", is_slow=True),
    rust("cargo formats", CRATE + "cargo fmt; cargo fmt --check"),
    rust("cargo lints", CRATE + "cargo clippy -q --offline", is_slow=True),
    rust(
        "cargo tells metadata and a tree",
        CRATE + "cargo metadata -q --offline --format-version 1 > /dev/null; cargo tree -q --offline",
        is_slow=True,
    ),
    rust("cargo builds a workspace", WORKSPACE + "cargo build -q --offline", is_slow=True),
    rust(
        "cargo runs a build script",
        CRATE + 'echo \'fn main() { println!("cargo:rustc-cfg=x"); '
        'std::fs::write(std::env::var("OUT_DIR").unwrap() + "/a", "1").unwrap() }\' > build.rs; '
        "cargo build -q --offline",
        is_slow=True,
    ),
    rust("cargo packs", CRATE + "cargo package -q --offline --no-verify --allow-dirty", is_slow=True),
    rust(
        "cargo installs into the project",
        CRATE + "cargo install -q --offline --root i --path .; i/bin/m",
        is_slow=True,
    ),
    rust("cargo cleans", CRATE + "mkdir -p target; cargo clean -q; test ! -e target"),
    rust(
        "rustc makes a library and links it",
        "echo 'pub fn f() {}' > l.rs; rustc --crate-type lib l.rs; echo 'fn main() { l::f() }' > a.rs; "
        "rustc -L . --extern l=libl.rlib a.rs; ./a",
        is_slow=True,
    ),
    rust("rustc tells its settings", "rustc --print sysroot > /dev/null; rustc -vV > /dev/null"),
    Case(
        "cargo tests for Claude Code", CRATE + "cargo test -q --offline", profile="claude-code", is_slow=True
    ),
]
GO_CASES = [
    go("go runs", GO + "go run .", is_slow=True),
    go("go formats", GO + "gofmt -l -w .; gofmt -d ."),
    go("go begins a module", "export GOTOOLCHAIN=local; go mod init example.org/m; grep -q example go.mod"),
    go("go tidies and lists", GO + "go mod tidy; go list ./... | grep -qx m", is_slow=True),
    go(
        "go measures coverage",
        GO + GO_TEST + "go test -coverprofile=c ./... > log; go tool cover -func=c > /dev/null",
        is_slow=True,
    ),
    go(
        "go runs a benchmark",
        GO + 'printf \'package main\\nimport "testing"\\nfunc BenchmarkF(b *testing.B) { for range b.N { '
        "F() } }\\n' > b_test.go; sed -i s/1.21/1.22/ go.mod; go test -bench=. -benchtime=9x > log",
        is_slow=True,
    ),
    go(
        "go builds with C",
        "export GOTOOLCHAIN=local; printf 'module m\\ngo 1.21\\n' > go.mod; "
        "printf 'package main\\n// int one(void) { return 1; "
        '}\\nimport "C"\\nfunc main() { println(C.one()) }\\n\' > a.go; go build -o a .; ./a',
        is_slow=True,
    ),
    go(
        "go builds for another machine",
        GO + "GOOS=windows GOARCH=amd64 go build -o a.exe .; test -s a.exe",
        is_slow=True,
    ),
    go("go keeps a vendor directory", GO + "go mod vendor; go build -o a .", is_slow=True),
    go("go tells its environment", "go env > /dev/null; go version > /dev/null"),
    go("go installs a program", GO + "GOBIN=$PWD/bin go install .; bin/m", is_slow=True),
    go("go generates", GO + "echo '//go:generate touch made' >> a.go; go generate ./...; test -f made"),
    go("go documents", GO + "go doc . > /dev/null"),
]
JAVA_CASES = [
    java("java runs one source", JAVA + "java A.java | grep -qx 1"),
    java(
        "javac builds a package and a jar with a main class",
        JUNIT + "javac -d o src/main/java/a/A.java; jar cfe a.jar a.A -C o .; java -jar a.jar | grep -qx 1",
    ),
    java("jshell evaluates", "echo 'System.out.println(6 * 7)' | jshell -s - | grep -q 42"),
    java(
        "javadoc documents",
        JUNIT + "javadoc -quiet -d d src/main/java/a/A.java > log 2>&1; test -f d/index.html",
    ),
    java("javap shows a class", JAVA + "javac A.java; javap -c A | grep -q main"),
    java(
        "java tells its settings",
        "java -XshowSettings:properties -version > log 2>&1; grep -q java.io.tmpdir log",
    ),
    java(
        "jps and jcmd list machines",
        "jps > /dev/null; jcmd -l > /dev/null",
        unshared=f"Java lists its machines in /tmp: {TEMPORARY}",
    ),
    java(
        "java makes a core of its heap", JAVA + "javac A.java; java -XX:+HeapDumpOnOutOfMemoryError -Xmx32m A"
    ),
    java("java reads its authorities", "keytool -list -cacerts -storepass changeit > log; grep -q Entry log"),
    java(
        "java forks threads",
        "printf 'class A { public static void main(String[] a) throws Exception { var t = new Thread(() "
        "-> System.out.println(1)); t.start(); t.join(); "
        'new ProcessBuilder("true").inheritIO().start().waitFor(); } }\' > A.java; java A.java',
    ),
]
CASES = [*PYTHON, *NODE, *RUST, *GO_CASES, *JAVA_CASES]
