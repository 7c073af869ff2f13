"""List everyday commands of C and C++: libraries, build systems, analysers and debuggers."""

from __future__ import annotations

from support.workday.case import Case
from support.workday.files import HELLO_C, HELLO_CC

LIB = (
    "printf 'int two(void) { return 2; }\\n' > two.c; "
    "printf 'int two(void);\\nint main(void) { return two() - 2; }\\n' > m.c; "
)
PTHREAD = (
    "printf '#include <pthread.h>\\nstatic void *f(void *a) { return a; }\\nint main(void) { pthread_t t; "
    "return pthread_create(&t, 0, f, 0) || pthread_join(t, 0); }\\n' > t.c; "
)
CMAKE = (
    f"{HELLO_C}; "
    f"printf 'cmake_minimum_required(VERSION 3.10)\\nproject(a "
    f"C)\\nenable_testing()\\nadd_executable(a a.c)\\nadd_test(NAME a COMMAND a)\\ninstall(TARGETS "
    f"a)\\n' > CMakeLists.txt; "
)

CASES = [
    Case(
        "gcc builds a shared library",
        LIB + "gcc -shared -fPIC two.c -o libtwo.so; gcc m.c -L. -ltwo -o m; LD_LIBRARY_PATH=. ./m",
    ),
    Case(
        "gcc links a static library", LIB + "gcc -c two.c; ar rcs libtwo.a two.o; gcc m.c -L. -ltwo -o m; ./m"
    ),
    Case("gcc links statically", f"{HELLO_C}; gcc -static a.c -o a; ./a"),
    Case("gcc optimises at link time", LIB + "gcc -O2 -flto m.c two.c -o m; ./m"),
    Case("gcc writes dependencies", f"{HELLO_C}; gcc -MD -c a.c; grep -q stdio.h a.d"),
    Case("gcc builds with threads", PTHREAD + "gcc -pthread t.c -o t; ./t"),
    Case("gcc precompiles a header", "echo '#include <stdio.h>' > p.h; gcc p.h; test -s p.h.gch"),
    Case("gcc reads a program from a pipe", "echo 'int main(void) { return 0; }' | gcc -xc - -o a; ./a"),
    Case("gcc compiles side by side", LIB + "gcc -c two.c & gcc -c m.c & wait; gcc two.o m.o -o m; ./m"),
    Case("an undefined-behaviour sanitizer runs", f"{HELLO_C}; gcc -fsanitize=undefined a.c -o a; ./a"),
    Case("a thread sanitizer runs", PTHREAD + "gcc -fsanitize=thread -pthread t.c -o t; ./t"),
    Case("a leak sanitizer runs", f"{HELLO_C}; gcc -fsanitize=leak a.c -o a; ./a"),
    Case(
        "gcov counts lines",
        f"{HELLO_C}; gcc --coverage -c a.c; gcc --coverage a.o -o a; ./a; gcov a.c > log; "
        f"grep -q executed log",
    ),
    Case("gprof reads a profile", f"{HELLO_C}; gcc -pg a.c -o a; ./a; gprof a gmon.out > log; test -s log"),
    Case(
        "g++ compiles C++20",
        "printf '#include <ranges>\\nint main() { auto v = std::views::iota(1, 3); return v.size() != 2; "
        "}\\n' > a.cc; g++ -std=c++20 a.cc -o a; ./a",
        is_slow=True,
    ),
    Case(
        "g++ throws and catches",
        'printf \'#include <stdexcept>\\nint main() { try { throw std::runtime_error("a"); '
        "} catch (std::exception &) { return 0; } return 1; }\\n' > a.cc; g++ a.cc -o a; ./a",
    ),
    Case("g++ compiles for an agent", f"{HELLO_CC}; g++ a.cc -o a; ./a", profile="claude-code", is_slow=True),
    Case(
        "objdump, strip and size read a program",
        f"{HELLO_C}; gcc -g a.c -o a; objdump -d a > /dev/null; size a > /dev/null; strip a; ./a",
    ),
    Case(
        "addr2line names a line",
        f"{HELLO_C}; gcc -g a.c -o a; addr2line -e a $(nm a | awk '/ T main/ {{print $1}}') | grep -q a.c",
    ),
    Case(
        "ld makes an object of data", "echo 1 > d; ld -r -b binary d -o d.o; nm d.o | grep -q _binary_d_start"
    ),
    Case("make keeps up to date", "printf 'b: a\\n\\tcp a b\\n' > Makefile; echo 1 > a; make; make -q"),
    Case(
        "make calls itself",
        "mkdir s; printf 'all:\\n\\ttouch made\\n' > s/Makefile; "
        "printf 'all:\\n\\t$(MAKE) -C s\\n' > Makefile; make -j2; test -f s/made",
    ),
    Case(
        "make keeps output of each target together",
        "printf 'all: a b\\na b:\\n\\t@echo $@\\n' > Makefile; "
        "make -j2 --output-sync | sort | head -1 | grep -q a",
    ),
    Case(
        "make passes a job server on",
        "printf 'all:\\n\\t+@sh -c \"make -f n a b\"\\n' > Makefile; printf 'a b:\\n\\t@true\\n' > n; "
        "make -j3",
    ),
    Case(
        "ninja builds",
        "printf 'rule c\\n command = cp $in $out\\nbuild b: c a\\n' > build.ninja; echo 1 > a; ninja; "
        "cmp a b",
    ),
    Case(
        "cmake builds with ninja, ctest tests",
        CMAKE + "cmake -G Ninja -B b; cmake --build b; ctest --test-dir b",
    ),
    Case(
        "cmake installs into the project",
        CMAKE + "cmake -B b -DCMAKE_INSTALL_PREFIX=$PWD/i; cmake --build b -t install; i/bin/a",
        is_slow=True,
    ),
    Case(
        "cmake builds for an agent",
        CMAKE + "cmake -B b; cmake --build b",
        profile="claude-code",
        is_slow=True,
    ),
    Case(
        "pkg-config finds a library",
        "pkg-config --version; mkdir p; "
        "printf 'Name: a\\nDescription: a\\nVersion: 1\\nCflags: -Da\\n' > p/a.pc; "
        "PKG_CONFIG_PATH=p pkg-config --cflags a | grep -q Da",
    ),
    Case(
        "autoconf makes a configure that runs",
        "printf 'AC_INIT([a],[1])\\nAC_PROG_CC\\nAC_CHECK_HEADERS([stdlib.h])\\nAC_OUTPUT\\n' > "
        "configure.ac; autoconf; ./configure --quiet",
        is_slow=True,
    ),
    Case(
        "meson sets up",
        f"{HELLO_C}; printf \"project('a', 'c')\\nexecutable('a', 'a.c')\\n\" > meson.build; "
        f"meson setup b; ninja -C b; b/a",
        is_slow=True,
    ),
    Case(
        "a Python extension is built",
        "printf '#include <Python.h>\\n' > e.c; gcc -fPIC -c $(python3 -c 'import sysconfig; "
        'print("-I" + sysconfig.get_path("include"))\') e.c',
    ),
    Case(
        "valgrind checks a program",
        f"{HELLO_C}; gcc -g a.c -o a; valgrind -q --error-exitcode=9 ./a",
        is_slow=True,
    ),
    Case(
        "valgrind's callgrind profiles",
        f"{HELLO_C}; gcc -g a.c -o a; valgrind -q --tool=callgrind ./a; ls callgrind.out.* > /dev/null",
        is_slow=True,
    ),
    Case(
        "gdb stops at a breakpoint",
        f"{HELLO_C}; gcc -g a.c -o a; "
        f"gdb -nx -batch -ex 'break main' -ex run -ex bt -ex c ./a | grep -q '#0.*main'",
        is_slow=True,
    ),
    Case(
        "gdb attaches to a process",
        "sleep 30 & p=$!; gdb -nx -batch -p $p -ex bt > log 2>&1; kill $p; grep -q '#0' log",
    ),
    Case(
        "gdb reads a core of gcore",
        "sleep 30 & p=$!; gdb -nx -batch -p $p -ex 'gcore core' > log 2>&1; kill $p; test -s core",
        is_slow=True,
    ),
    Case("strace counts calls", "strace -c -f -o t sh -c 'ls; ls' > /dev/null; grep -q execve t"),
    Case(
        "strace attaches to a process",
        "sleep 30 & p=$!; timeout 20 strace -o t -p $p 2> log & s=$!; until grep -q attached log; "
        "do sleep 0.1; done; kill $p; wait $s || true; "
        "grep -q SIGTERM t",
    ),
]
