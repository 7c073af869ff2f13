"""A plain `--allow` and every shipped profile build, test and run hello-world in seven languages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.nono_run import NONO, NonoRun, nono_run

PROFILES = sorted(path.stem for path in (Path(__file__).parents[2] / "profiles").glob("*.json"))
# What a first program is tested with takes Go 12 s of CPU time to compile.
GO_TEST = "; go test -vet=off" if os.environ.get("NONO_TEST_LONG") else ""
# Each builds, tests and runs, with what Debian has.
LANGUAGES = {
    "C": (
        "gcc",
        """printf '#include <stdio.h>\\nint main(void) { puts("hello"); return 0; }\\n' > a.c
        printf 'all: a\\ntest: a\\n\\ttest "$$(./a)" = hello\\n' > Makefile; make test; ./a""",
    ),
    "C++": (
        "g++",
        """printf '#include <iostream>\\nint main() { std::cout << "hello\\\\n"; }\\n' > a.cc
        g++ a.cc -o b; test "$(./b)" = hello; ./b""",
    ),
    "Rust": ("cargo", "cargo init -q --vcs none --name hello .; cargo build -q; cargo test -q; cargo run -q"),
    "Go": (
        "go",
        """printf 'module hello\\n' > go.mod
        printf 'package main\\nfunc main() { println("hello") }\\n' > main.go
        printf 'package main\\nimport "testing"\\nfunc TestMain(t *testing.M) { main() }\\n' > main_test.go
        go build; ./hello"""
        + GO_TEST,
    ),
    "Node": (
        "npm",
        """printf '{"scripts": {"build": "node -c a.js", "test": "node --test"}}' > package.json
        echo 'console.log("hello")' > a.js
        echo 'require("node:test")("a", () => require("./a.js"))' > a.test.js
        npm run build; npm test; node a.js""",
    ),
    "Python": (
        "python3",
        """echo 'print("hello")' > a.py; printf 'import unittest\\nimport a\\n' > test_a.py
        printf 'class A(unittest.TestCase):\\n    def test_a(self): a\\n' >> test_a.py
        python3 -m venv --without-pip v; v/bin/python -m compileall a.py; v/bin/python -m unittest
        v/bin/python a.py""",
    ),
    "Java": (
        "javac",
        """printf 'class A { public static void main(String[] a) { System.out.println("hello"); } }' > A.java
        printf 'class T { public static void main(String[] a) { A.main(a); } }' > T.java
        javac A.java T.java; java T; java A""",
    ),
}
KEYS = ("openai", "github")  # which the start of some profiles asks for


@pytest.fixture(scope="module")
def runner() -> Iterator[NonoRun]:
    with nono_run() as made:
        for name in KEYS:
            made.user.run([*NONO, "credential", "set", name], stdin=f"canary-of-{name}-0123456789")
        yield made


@pytest.mark.parametrize(
    "profile",
    [pytest.param(each, marks=() if each == "default" else pytest.mark.slow) for each in PROFILES],
)
def test_a_first_program_of_each_language_is_built_tested_and_run(profile: str, runner: NonoRun) -> None:
    scripts = {name: script for name, (program, script) in LANGUAGES.items() if shutil.which(program)}
    lines = ['set -e; cd "$(mktemp -d -p .)"']
    for at, (name, script) in enumerate(scripts.items()):
        lines += [f"mkdir {at}; cd {at}; cat > do <<'END'", script, "END"]
        lines += [f"sh -eu do > log 2>&1 || {{ echo '{name}'; cat log; }}", "cd .."]
    run = runner.run(["sh", "-c", "\n".join(lines)], profile={"extends": profile}, timeout_s=240)
    assert (run.exit_code, run.stdout) == (0, ""), run.stderr
