"""Everyday commands about processes, terminals and editors."""

from __future__ import annotations

from support.workday.case import Case
from support.workday.files import TEMPORARY, TERMINALS

TMUX = 'export TERM=xterm; t() { tmux -S ./s -f /dev/null "$@"; }; '
WAIT = "for i in $(seq 100); do %s && break; sleep 0.05; done; "

PROCESSES = [
    Case("kill ends a process by its number", "sleep 9 & kill $!; wait $! || test $? = 143"),
    Case(
        "kill ends a group",
        "setsid sh -c 'echo $$ > p; sleep 9 & wait' & "
        + WAIT % "test -s p"
        + "kill -TERM -$(cat p); wait || true",
    ),
    Case(
        "a stopped process goes on",
        "sleep 9 & kill -STOP $!; until ps -o stat= -p $! | grep -q T; do sleep 0.01; done;"
        " kill -CONT $!; kill $!",
    ),
    Case("ps shows a tree of its own", "ps -o pid,ppid,args --forest > log; grep -q ps log"),
    Case(
        "pstree and pidof find a process",
        "sleep 9 & " + WAIT % "pidof sleep > /dev/null" + "pidof sleep > /dev/null; kill $!",
    ),
    Case(
        "a daemon goes on after its parent",
        "sh -c '(sleep 0.1; echo 1 > f) &'; " + WAIT % "test -s f" + "test -s f",
    ),
    Case(
        "/proc/self tells of the reader",
        'cat /proc/self/status | grep -q Name; test $(readlink /proc/self/cwd) = "$(pwd -P)"; '
        "cat /proc/self/maps > /dev/null",
    ),
    Case(
        "/proc/$$ tells of a shell's child",
        # The child runs sleep a moment later.
        "sleep 9 & until tr '\\0' ' ' < /proc/$!/cmdline | grep -q '^sleep'; do sleep 0.1; done; kill $!",
    ),
    Case(
        "/proc tells of processors and memory",
        "grep -q processor /proc/cpuinfo; grep -q MemTotal /proc/meminfo; "
        "cat /proc/loadavg /proc/stat /proc/version > /dev/null",
    ),
    Case(
        "the limits of a container can be read",  # joblib, and so scikit-learn, opens those that are there
        "cd /sys/fs/cgroup; for f in cpu.max memory.max cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us "
        "memory/memory.limit_in_bytes; do test ! -e $f || cat $f > /dev/null; done",
    ),
    Case(
        "the limits of its control group can be read",  # DuckDB opens them
        "while IFS=: read -r _ names path; do "
        "for f in memory.max cpu.max memory.limit_in_bytes cpu.cfs_quota_us; do "
        "f=/sys/fs/cgroup/$names$path/$f; test ! -e $f || cat $f > /dev/null; done; done < /proc/self/cgroup",
    ),
    Case(
        "/proc/self/mountinfo and cgroup can be read",
        "cat /proc/self/mountinfo /proc/self/cgroup > /dev/null",
    ),
    Case("prlimit tells limits", "prlimit --nofile > /dev/null"),
    Case(
        "python counts its children",
        'python3 -c \'import subprocess as s; assert s.run(["true"]).returncode == 0; import resource; '
        "resource.getrusage(resource.RUSAGE_CHILDREN)'",
    ),
    Case(
        "python runs threads",
        "python3 -c 'from concurrent.futures import ThreadPoolExecutor as T; "
        "assert sum(T(8).map(abs, range(99)))'",
    ),
    Case(
        "python forks a pool of executors",
        "python3 -c 'from concurrent.futures import ProcessPoolExecutor as P; "
        "assert sum(P(2).map(abs, range(9))) == 36'",
        profile="python-dev",
        unshared="the shared memory of the person's other programs lies in the same directory",
    ),
    Case(
        "python spawns by another start method",
        'printf \'import multiprocessing as m\\nif __name__ == "__main__":\\n p = '
        'm.get_context("spawn").Process(target=print, args=(1,)); p.start(); p.join(); '
        "assert p.exitcode == 0\\n' > a.py; python3 a.py",
        profile="python-dev",
    ),
    Case(
        "python waits by asyncio for a process",
        "python3 -c 'import asyncio as a; p = a.run((lambda: a.create_subprocess_exec(\"true\"))())'",
    ),
    Case(
        "a socket pair joins two processes",
        "python3 -c 'import socket, os; a, b = socket.socketpair(); "
        'os.fork() or (a.send(b"1"), os._exit(0)); assert b.recv(1) == b"1"\'',
    ),
    Case(
        "shared memory of System V is made",
        "python3 -c 'import ctypes; c = ctypes.CDLL(None); n = c.shmget(0, 4096, 0o600); assert n >= 0; "
        "c.shmctl(n, 0, 0)'",
        unshared="System V IPC is one space for all programs of the machine, so it is refused",
    ),
    Case("ipcs lists shared memory", "ipcs > /dev/null"),
    Case(
        "a timer fires",
        "python3 -c 'import signal; signal.setitimer(0, 0.05); "
        "signal.sigwait({signal.SIGALRM})' || test $? = 142",
    ),
    Case("lsns and namespaces are listed", "ls -l /proc/self/ns > /dev/null"),
    Case("w and last end", "w > /dev/null"),
    Case("free tells memory", "free -m | grep -q Mem"),
    Case("pmap shows the memory of a child", "sleep 9 & pmap $! > /dev/null; kill $!"),
    Case("lsof finds who holds a file", "exec 3> f; lsof f > /dev/null"),
    Case(
        "perf counts, or says what the kernel forbids",
        "perf stat true > log 2>&1 || grep -qi 'permission\\|access\\|kernel' log",
    ),
    Case(
        "perf samples a program, or says what the kernel forbids",
        "perf record -e cpu-clock -o p sh -c 'i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done' > log 2>&1 "
        "|| grep -qi 'permission\\|access\\|kernel' log; "
        "test ! -s p || perf report -i p --stdio 2> /dev/null | grep -q '[0-9]%'",
    ),
]
TERMINAL = [
    Case(
        "tmux runs a command in a window",
        TMUX
        + "t new -d 'echo $((6 * 7)) > f; sleep 5'; "
        + WAIT % "test -s f"
        + "t kill-server; grep -q 42 f",
        unshared=TERMINALS,
    ),
    Case(
        "tmux takes keys and shows the screen",
        TMUX
        + "t new -d -x 80 -y 24 'PS1= sh'; t send-keys 'echo $((40 + 2))' Enter; "
        + WAIT % "t capture-pane -p | grep -qx 42"
        + "t capture-pane -p | grep -qx 42; t kill-server",
        unshared=TERMINALS,
    ),
    Case(
        "tmux splits and resizes",
        TMUX + "t new -d 'sleep 9'; t split-window 'sleep 9'; t resize-pane -U 2; "
        "test $(t list-panes | wc -l) = 2; t kill-server",
        unshared=TERMINALS,
    ),
    Case(
        "tmux works for Claude Code",
        TMUX.replace("./s", "$TMPDIR/s")
        + "t new -d 'echo 1 > f; sleep 5'; "
        + WAIT % "test -s f"
        + "t kill-server; test -s f",
        profile="claude-code",
        unshared=TERMINALS,
    ),
    Case(
        "tmux works by its own name",
        "export TERM=xterm; tmux -L own new -d 'echo 1 > f; sleep 5'; "
        + WAIT % "test -s f"
        + "tmux -L own kill-server; test -s f",
        unshared=TERMINALS,
    ),
    Case(
        "script runs a shell with a terminal",
        "script -qec 'tty && test -t 0' log < /dev/null > /dev/null",
        unshared=TERMINALS,
    ),
    Case(
        "stty sets a terminal",
        "script -qec 'stty -echo; stty size; stty sane' /dev/null < /dev/null > log; test -s log",
        unshared=TERMINALS,
    ),
    Case(
        "expect talks with a shell",
        'expect -c \'spawn sh; expect -re {[$#] $}; send "exit 3\\r"; expect eof; '
        "exit [lindex [wait] 3]' > /dev/null && exit 1 || test $? = 3",
        unshared=TERMINALS,
    ),
    Case(
        "expect presses Ctrl-C",
        'expect -c \'spawn sh -c {trap "echo caught; exit 0" INT; echo ready; while :; do sleep 0.1; '
        "done}; expect ready; send \\003; expect caught {exit 7}' > /dev/null && exit 1 || test $? = 7",
        unshared=TERMINALS,
    ),
    Case(
        "python reads keys of a terminal",
        "script -qec \"python3 -c 'import tty; tty.setraw(0)'; stty sane\" /dev/null < /dev/null > /dev/null",
        unshared=TERMINALS,
    ),
    Case(
        "an interactive bash ends by exit",
        "echo exit | script -qec 'bash --norc -i' /dev/null > /dev/null",
        unshared=TERMINALS,
    ),
    Case(
        "python's prompt ends by exit",
        "echo 'exit()' | script -qec 'python3 -q' /dev/null > /dev/null",
        unshared=TERMINALS,
    ),
    Case(
        "a Python debugger steps",
        "echo 'a = 1' > a.py; printf 'n\\nq\\n' | python3 -m pdb a.py > log || true; grep -q a.py log",
    ),
    Case("infocmp and toe know terminals", "infocmp xterm > /dev/null; tput -T xterm bold > /dev/null"),
    Case(
        "less searches in a terminal",
        "seq 99 > f; TERM=xterm script -qec 'less +/50 +q f' /dev/null < /dev/null > /dev/null",
        unshared=TERMINALS,
    ),
    Case(
        "top draws in a terminal",
        "TERM=xterm script -qec 'top -n1 -d0.1' log < /dev/null > /dev/null; test -s log",
        unshared=TERMINALS,
    ),
]
EDITORS = [
    Case(
        "ed edits",
        "printf 'a\\none\\n.\\nw f\\nq\\n' | ed -s; grep -qx one f",
        unshared=f"ed takes no other place than /tmp: {TEMPORARY}",
    ),
    Case("ex edits", "echo 1 > f; printf 's/1/2/\\nx\\n' | ex -s f; grep -qx 2 f"),
    Case(
        "vim types and saves in a terminal",
        "printf 'iword\\033:wq\\r' > keys; "
        "TERM=xterm script -qec 'vim -u NONE -s keys f' /dev/null < /dev/null > /dev/null; grep -qx word f",
        unshared=TERMINALS,
    ),
    Case(
        "vim keeps swap, undo and history",
        "echo 1 > f; vim -Nu NONE -es -c 'set udf undodir=.' -c '%s/1/2/' -c 'wundo u' -c wq f; test -f u",
    ),
    Case(
        "vim filters by a command",
        "printf 'b\\na\\n' > f; vim -Nu NONE -es -c '%!sort' -c wq f; head -1 f | grep -qx a",
    ),
    Case("vim compares two files", "echo 1 > a; echo 2 > b; vim -Nu NONE -es -d a b -c qa"),
    Case(
        "git commits with an editor",
        "git init -q .; printf '#!/bin/sh\\necho edited > \"$1\"\\n' > e; chmod +x e; "
        "GIT_EDITOR=$PWD/e git commit -q --allow-empty; git log -1 --format=%s | grep -qx edited",
    ),
    Case(
        "git commits with vim",
        "git init -q .; "
        "GIT_EDITOR=\"vim -u NONE -es -c 's/^/edited/' -c wq\" git commit -q --allow-empty; "
        "git log -1 --format=%s | grep -q edited",
    ),
]
CASES = [*PROCESSES, *TERMINAL, *EDITORS]
