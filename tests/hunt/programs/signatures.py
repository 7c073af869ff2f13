"""System calls with the types of their arguments: names of `calls.POOLS`, numbers, or a word of `values`."""

from __future__ import annotations

from collections.abc import Iterator

SIGNATURES = """
fcntl fd int:4 oflags; fcntl fd:stdin int:4 int:10240; fcntl fd:stdout int:4 int:2048
fcntl fd:stderr int:4 int:2048; fcntl fd:stdin int:8 pid; fcntl fd:stdin int:10 sig
open path oflags mode; openat at path oflags mode; openat2 at path how int:24; creat path mode
read fd buf len; write fd in len; pread64 fd out len int; pwrite64 fd in len int; preadv fd iov int int
pwritev fd iov int int; process_vm_readv pid iov int iov int 0; process_vm_writev pid iov int iov int 0
ptrace flags pid any any; ptrace int:16902 pid 0 0; ptrace int:16 pid 0 0; kcmp pid pid int fd fd
process_madvise fd iov int int 0; pidfd_open pid flags; pidfd_getfd fd int 0
pidfd_send_signal fd sig 0 flags; kill pid sig; tkill pid sig; tgkill pid pid sig
rt_sigqueueinfo pid sig in; rt_tgsigqueueinfo pid pid sig in; setpriority int pid int; getpriority int pid
sched_setscheduler pid policy in; sched_setparam pid in; sched_setaffinity pid len in
sched_setattr pid in 0; sched_getaffinity pid len out; ioprio_set int pid int; ioprio_set int:3 id int
ioprio_get int pid; prlimit64 pid int in out; move_pages pid int in 0 out flags; migrate_pages pid len in in
get_robust_list pid out out; setpgid pid pid; getsid pid; perf_event_open in pid int fd flags; stat path out
lstat path out; statx at path flags flags out; access path int; faccessat2 at path int flags
readlink path out len; readlinkat at path out len; getdents64 fd out len; chmod path mode
fchmodat at path mode; fchmodat2 at path mode flags; chown path id id; lchown path id id
fchownat at path id id flags; utimensat at path in flags; truncate path int; ftruncate fd int
fallocate fd int int int; rename path path; renameat at path at path; renameat2 at path at path flags
link path path; linkat at path at path flags; linkat fd text: at path flags:4096; symlink path path
symlinkat path at path; unlink path; unlinkat at path flags; rmdir path; mkdir path mode
mkdirat at path mode; mknod path mode int; mknodat at path mode int; setxattr path text in len flags
getxattr path text out len; listxattr path out len; removexattr path text; lsetxattr path text in len flags
fsetxattr fd text in len flags; name_to_handle_at at path out out flags; open_by_handle_at fd in oflags
chdir path; fchdir fd; chroot path; pivot_root path path; mount path path text flags 0; umount2 path flags
open_tree at path flags; open_tree int:-100 path int:1; move_mount fd path at path flags; fsopen text flags
fsmount fd flags flags; fspick at path flags; mount_setattr at path flags in len; statmount in out len 0
listmount in out len 0; quotactl int path id out; quotactl_fd fd int id out; swapon path flags; swapoff path
acct path; bpf int in len; userfaultfd flags; io_uring_setup int in; io_uring_enter fd int int flags 0 0
io_uring_register fd int in int; inotify_add_watch fd path int; fanotify_init flags flags
fanotify_mark fd flags int at path; add_key keytype text in len key; request_key keytype text text key
keyctl int key out len key; keyctl int text out len key; shmget shmkey len ipc; shmat shmid 0 flags
shmctl shmid ipc out; msgget shmkey ipc; msgsnd shmid in len flags; msgrcv shmid out len int int:2048
msgctl shmid ipc out; semget shmkey int ipc; semop shmid in int; semtimedop shmid in int 0
semctl shmid int ipc out; mq_open queue oflags mode 0; mq_unlink queue; mq_timedsend fd in len int 0
mq_timedreceive fd out len 0 in; mq_notify fd in; socket family socktype proto
socketpair family socktype proto out; connect fd sa salen; bind fd sa salen; listen fd int
accept4 fd 0 0 flags; sendto fd in len flags sa salen; sendto fd in len int:0x20000000 sa int:16
sendmsg fd msg flags; sendmmsg fd msg int:1 flags; recvfrom fd out len flags 0 0; getsockname fd out in
getpeername fd out in; setsockopt fd int int in len; getsockopt fd int int out in; shutdown fd int
splice fd 0 fd 0 len flags; tee fd fd len flags; vmsplice fd iov int flags; sendfile fd fd 0 len
copy_file_range fd 0 fd 0 len 0; dup3 fd int flags; fcntl fd int int; fcntl fd int:8 pid; fcntl fd int:15 in
fcntl fd int:1024 int; fcntl fd int:10 sig; ioctl fd flags out; flock fd int; epoll_ctl fd int fd in
epoll_create1 flags; unshare flags; setns fd int; clone3 in len; execve path 0 0; execveat at path 0 0 flags
execveat fd text: 0 0 int:4096; prctl int any any any any; arch_prctl int any; seccomp int flags in
landlock_create_ruleset in len flags; landlock_add_rule fd int in 0; landlock_restrict_self fd flags
setuid id; setgid id; setresuid id id id; setresgid id id id; setgroups int in; setfsuid id; capset in in
capget in out; personality int; setrlimit int in; umask mode; setitimer int in 0; timer_create int in out
timerfd_create int flags; memfd_create text flags; memfd_secret flags; mmap 0 len int int:1 fd 0
remap_file_pages buf len int int int; mlock buf len; mbind buf len int in len int; set_mempolicy int in len
futex out int int 0 out int; sysfs int text out; ustat int out; sysinfo out; getrandom out len flags
syslog int:3 out len; lookup_dcookie int out len; vmsplice fd iov int int; lsm_get_self_attr int out out 0
lsm_list_modules out out 0; cachestat fd in out 0; map_shadow_stack 0 len 0
removexattrat at path flags text; setxattrat at path flags text in len; open_tree_attr at path flags in len
file_getattr at path out len 0; file_setattr at path in len 0
"""


def signatures() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Return the types of each system call that is known by them; some have several."""
    for each in SIGNATURES.replace("\n", ";").split(";"):
        if each.strip():
            name, *types = each.split()
            yield name, tuple(types)
