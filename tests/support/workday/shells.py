"""Everyday commands of shells and coreutils: scripts, text, files and their attributes."""

from __future__ import annotations

from support.workday.case import Case

LINES = "printf 'b 2\\na 1\\nc 3\\n' > f; "
TREE = "mkdir -p a/b; echo 1 > a/f; echo 2 > a/b/g; "

SHELLS = [
    Case("a pipeline of four ends", "seq 99 | grep 1 | sort -r | tail -1 | grep -qx 1"),
    Case(
        "a shell waits for jobs in the background",
        "sleep 0.1 & p=$!; wait $p; (exit 3) & wait $! || test $? = 3",
    ),
    Case("a trap runs at the end", "sh -c 'trap \"echo bye > bye\" EXIT; exit 0'; grep -q bye bye"),
    Case("a trap catches a signal", "sh -c 'trap \"exit 7\" TERM; kill -TERM $$; sleep 5' || test $? = 7"),
    Case(
        "bash runs a coprocess",
        "bash -c 'coproc cat; echo 1 >&${COPROC[1]}; read -ru ${COPROC[0]} a; test $a = 1'",
    ),
    Case(
        "bash reads and writes by descriptors",
        "bash -c 'exec 7<>f; echo 1 >&7; exec 7<f; read -u 7 a; test $a = 1'",
    ),
    Case(
        "bash knows arrays and patterns",
        "bash -c 'shopt -s globstar; mkdir -p a/b; touch a/b/f; l=(**/f); test ${#l[@]} = 1'",
    ),
    Case("bash controls jobs", "bash -mc 'sleep 9 & kill -STOP %1; kill -CONT %1; kill %1; wait %1 || true'"),
    Case("bash times a command", "bash -c 'time true' 2> t; grep -q real t"),
    Case("zsh runs a script", "zsh -fc 'a=(3 1 2); a=(${(o)a}); test $a[1] = 1'"),
    Case("fish runs a script", "HOME=$PWD fish -c 'set a 1; test $a = 1'"),
    Case(
        "a script with a shebang runs",
        "printf '#!/usr/bin/env python3\\nprint(1)\\n' > s; chmod +x s; ./s | grep -qx 1",
    ),
    Case(
        "a program of the project is found by PATH",
        "mkdir bin; printf '#!/bin/sh\\n' > bin/own; chmod +x bin/own; PATH=$PWD/bin:$PATH own",
    ),
    Case("env passes a variable", "env -i A=1 /bin/sh -c 'test $A = 1'"),
    Case("timeout ends what takes too long", "timeout 0.1 sleep 9 || test $? = 124"),
    Case("nohup lets a command go on", "nohup sh -c 'echo 1 > f' > log 2>&1; grep -q 1 f"),
    Case("setsid starts a session", "setsid -w sh -c 'echo 1 > f'; grep -q 1 f"),
    Case("nice and ionice lower a command", "nice -n 5 true; ionice -c 3 true"),
    Case("taskset binds to a processor", "taskset -c $(taskset -cp $$ | sed 's/.*: //; s/[-,].*//') true"),
    Case(
        "watch draws once",
        "TERM=xterm timeout 5 script -qc 'watch -g -n 0.1 date +%N' log < /dev/null || test -s log",
        unshared="the person's other terminals lie in the same directory, and only the caller's own is "
        "granted",
    ),
    Case("read waits for a line of a fifo", "mkfifo p; echo word > p & read a < p; test $a = word"),
    Case("printf and test know numbers", "test $(printf %d 0x1f) = 31"),
    Case("ulimit lowers descriptors", "sh -c 'ulimit -n 64; test $(ulimit -n) = 64'"),
    Case("umask is kept", "umask 077; touch f; test $(stat -c %a f) = 600"),
    Case("hostname and uname answer", 'uname -a > /dev/null; test -n "$(uname -n)"'),
    Case("whoami names the user", "id -u > /dev/null; test $(id -u) = $(stat -c %u .)"),
]

TEXT = [
    Case("grep searches a tree", TREE + "grep -rn 2 a | grep -q g:1:2"),
    Case("sed edits in place", LINES + "sed -i s/a/z/ f; grep -q z f"),
    Case("sed keeps a backup", LINES + "sed -i.bak s/a/z/ f; grep -q a f.bak"),
    Case("awk sums a column", LINES + "test $(awk '{n += $2} END {print n}' f) = 6"),
    Case("sort, uniq and wc count", LINES + "test $(sort f f | uniq -d | wc -l) = 3"),
    Case(
        "cut, paste and join take columns",
        LINES + "sort f -o f; cut -d' ' -f1 f > k; cut -d' ' -f2 f > v; "
        "paste -d' ' k v | join - f | grep -q 'a 1 1'",
    ),
    Case(
        "tr, rev and tac turn text",
        "test $(echo abc | tr a-c A-C | rev) = CBA; seq 2 | tac | head -1 | grep -qx 2",
    ),
    Case(
        "diff and patch carry a change",
        LINES + "sed s/a/z/ f > g; diff -u f g > p || true; patch -s f p; cmp f g",
    ),
    Case("diff3 merges", "echo 1 > a; cp a b; echo 2 > c; diff3 -m a b c | grep -q 2"),
    Case("comm compares sorted files", "seq 3 > a; seq 2 4 > b; test $(comm -12 a b | wc -l) = 2"),
    Case("split and cat divide and join", "seq 100 > f; split -l 30 f p.; cat p.* | cmp - f"),
    Case("csplit divides at a pattern", "seq 9 > f; csplit -s f /5/; grep -qx 5 xx01"),
    Case(
        "head, tail and shuf choose lines", "seq 9 > f; shuf f | sort -n | cmp - f; tail -n +9 f | grep -qx 9"
    ),
    Case(
        "tail follows a growing file",
        "touch f; timeout 20 tail -f f > log & p=$!; echo grown >> f; "
        "for i in $(seq 100); do grep -q grown log && break; sleep 0.1; done; kill $p; "
        "grep -q grown log",
    ),
    Case("tee writes two files", "echo 1 | tee a b > /dev/null; cmp a b"),
    Case(
        "od, xxd and base64 show bytes",
        "echo 1 > f; od -c f > /dev/null; xxd f | xxd -r | cmp - f; base64 f | base64 -d | cmp - f",
    ),
    Case(
        "iconv changes an encoding", "printf 'caf\\303\\251' | iconv -f UTF-8 -t LATIN1 | od -c | grep -q 351"
    ),
    Case("numfmt and expr calculate", "test $(numfmt --to=iec 1024) = 1.0K; test $(expr 2 + 3) = 5"),
    Case("bc calculates", "test $(echo '2^10' | bc) = 1024"),
    Case("jq picks from JSON", "test $(echo '{\"a\": [1, 2]}' | jq .a[1]) = 2"),
    Case("column lines up a table", LINES + "column -t f | grep -q 'a  1'"),
    Case("fmt, fold and nl lay out text", "echo a b c | fold -w 2 | fmt | nl | grep -q 1"),
    Case("tsort orders", "test \"$(echo a b b c | tsort | tr '\\n' ' ')\" = 'a b c '"),
    Case("m4 expands", "echo 'define(A, 1)A' > f; test $(m4 f) = 1"),
    Case("perl rewrites a file", LINES + "perl -pi -e 's/a/z/' f; grep -q z f"),
    Case("tclsh runs a script", "test $(echo 'puts [expr 6 * 7]' | tclsh) = 42"),
]

FILES = [
    Case(
        "find selects by time, size and name",
        TREE + "find a -type f -size -9k -newermt 2000-01-01 -name g | grep -q g",
    ),
    Case(
        "find runs a command for each", TREE + "find a -type f -exec cat {} + | sort | head -1 | grep -qx 1"
    ),
    Case(
        "xargs handles names with blanks",
        "touch 'a b'; find . -name 'a*' -print0 | xargs -0 rm; test ! -e 'a b'",
    ),
    Case("du and stat tell sizes", TREE + "du -sb a > /dev/null; test $(stat -c %s a/f) = 2"),
    Case("touch sets times", "touch -d 2001-01-01 f; test $(date -r f +%Y) = 2001"),
    Case("chmod changes modes of a tree", TREE + "chmod -R go-rwx a; test $(stat -c %a a/f) = 600"),
    Case("chgrp gives a file to the user's group", "touch f; chgrp $(id -g) f"),
    Case("truncate makes a sparse file", "truncate -s 1G f; test $(stat -c %b f) -lt 100"),
    Case("fallocate reserves room", "fallocate -l 1M f; test $(stat -c %s f) = 1048576"),
    Case(
        "dd copies blocks",
        "dd if=/dev/zero of=f bs=4k count=4 conv=fsync status=none; test $(stat -c %s f) = 16384",
    ),
    Case("dd reads random bytes", "dd if=/dev/urandom of=f bs=1k count=1 status=none; test -s f"),
    Case("mv moves a directory into another", TREE + "mkdir d; mv a d/; test -f d/a/b/g"),
    Case("mv changes a name over an existing file", "echo 1 > a; echo 2 > b; mv -f a b; grep -qx 1 b"),
    Case("cp copies a tree with links", TREE + "ln -s f a/l; cp -a a c; test -L c/l"),
    Case("cp makes a reflink or a copy", "echo 1 > a; cp --reflink=auto --sparse=always a b; cmp a b"),
    Case("rm removes a tree", TREE + "rm -rf a; test ! -e a"),
    Case("realpath and readlink resolve", "touch f; ln -s f l; test $(readlink -f l) = $(realpath f)"),
    Case("mkdir and rmdir make and remove parents", "mkdir -p x/y/z; rmdir -p x/y/z; test ! -e x"),
    Case("mknod makes a pipe", "mknod p p; test -p p"),
    Case("sync writes out", "echo 1 > f; sync f; sync ."),
    Case(
        "file attributes are kept",
        'touch f; python3 -c \'import os; os.setxattr("f", "user.a", b"1"); os.getxattr("f", "user.a")\'',
    ),
    Case("hard links count", "echo 1 > a; ln a b; test $(stat -c %h a) = 2"),
    Case(
        "a file is written through an open descriptor after it was removed",
        "sh -c 'exec 3<>f; rm f; echo 1 >&3'",
    ),
    Case(
        "/dev/null, zero, full and random are there",
        "head -c 9 /dev/zero /dev/random > /dev/null; ! echo 1 > /dev/full",
    ),
    Case(
        "/dev/stdin, stdout and fd are there",
        "echo 1 | cat /dev/stdin | tee /dev/fd/1 > /dev/null; echo 1 | cat /dev/fd/0",
    ),
    Case(
        "a lock of fcntl is taken", 'python3 -c \'import fcntl; fcntl.lockf(open("l", "w"), fcntl.LOCK_EX)\''
    ),
    Case(
        "a file is mapped into memory",
        'python3 -c \'import mmap; f = open("f", "w+b"); f.truncate(4096); m = mmap.mmap(f.fileno(), 0); '
        "m[0] = 1; m.flush()'",
    ),
    Case("an unnamed file is made", "python3 -c 'import os; os.open(\".\", os.O_TMPFILE | os.O_RDWR)'"),
    Case("a file in memory is made", 'python3 -c \'import os; os.write(os.memfd_create("a"), b"1")\''),
    Case(
        "inotify tells of a change",
        "python3 -c 'import ctypes, os; c = ctypes.CDLL(None); n = c.inotify_init1(0); "
        'assert c.inotify_add_watch(n, b".", 0x100) > 0; open("f", "w"); os.read(n, 99)\'',
    ),
    Case("which and type find programs", "command -v ls > /dev/null; which cat > /dev/null"),
    Case("less than all of a home is listed", "ls -d ~ > /dev/null"),
]

CASES = [*SHELLS, *TEXT, *FILES]
