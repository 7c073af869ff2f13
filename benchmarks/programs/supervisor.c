/* A supervisor of connect() as short as one in C can be, to stand beside nono's.
 *
 *   supervisor CPU PROBE COUNT    on CPU; `PROBE connect PORT COUNT` below it, which prints what it measured
 *
 * For each call it makes the system calls that nono makes: it copies the address, duplicates the socket, checks
 * that the caller still waits, connects without blocking, and answers; PORT is its own, where it accepts and closes.
 * Exit status 1 and a line on stderr when something that must work does not.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS /* Linux 6.6 */
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP 1UL
#endif

enum { PATIENCE_MS = 10000 };

static int listening(char *port, size_t size)
{
	struct sockaddr_in here = {.sin_family = AF_INET};
	socklen_t length = sizeof here;
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (s < 0 || bind(s, (struct sockaddr *)&here, length) || listen(s, 64) ||
	    getsockname(s, (struct sockaddr *)&here, &length))
		err(1, "listen");
	snprintf(port, size, "%d", ntohs(here.sin_port));
	return s;
}

/* Never returns. The parent takes the descriptor whose number it reads from `told`, and then closes `go`. */
static void run_trapped(char *const argv[], int told, int go)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_connect, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof rules / sizeof *rules, rules};
	char none;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		err(1, "no_new_privs");
	int fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	if (fd < 0)
		err(1, "seccomp");
	if (write(told, &fd, sizeof fd) != sizeof fd || read(go, &none, 1) != 0)
		err(1, "pipe");
	execv(argv[0], argv);
	err(1, "%s", argv[0]);
}

static int connected(const struct seccomp_notif *call, int pidfd, int notify)
{
	struct sockaddr_storage to;
	struct iovec ours = {&to, call->data.args[2]}, theirs = {(void *)call->data.args[1], call->data.args[2]};
	if (ours.iov_len > sizeof to || process_vm_readv(call->pid, &ours, 1, &theirs, 1, 0) != (ssize_t)ours.iov_len)
		return -EFAULT;
	int s = syscall(SYS_pidfd_getfd, pidfd, (int)call->data.args[0], 0);
	if (s < 0 || ioctl(notify, SECCOMP_IOCTL_NOTIF_ID_VALID, &call->id))
		return -EBADF;
	int flags = fcntl(s, F_GETFL), on = 1, off = 0;
	ioctl(s, FIONBIO, &on);
	int result = connect(s, (struct sockaddr *)&to, ours.iov_len) ? -errno : 0;
	if (result == -EINPROGRESS) /* on loopback it is done by now, which a second call says, but under load */
		result = connect(s, (struct sockaddr *)&to, ours.iov_len) ? -errno : 0;
	if (result == -EALREADY) {
		struct pollfd writable = {s, POLLOUT, 0};
		result = poll(&writable, 1, PATIENCE_MS) == 1 ? 0 : -ETIMEDOUT;
	}
	if (!(flags & O_NONBLOCK))
		ioctl(s, FIONBIO, &off);
	close(s);
	return result;
}

int main(int argc, char *argv[])
{
	char port[8];
	int told[2], go[2], fd;
	cpu_set_t cpu;
	if (argc != 4)
		errx(1, "supervisor CPU PROBE COUNT");
	int listener = listening(port, sizeof port);
	if (pipe2(told, O_CLOEXEC) || pipe2(go, O_CLOEXEC))
		err(1, "pipe");
	pid_t child = fork();
	if (child == 0) {
		close(go[1]);
		run_trapped((char *[]){argv[2], "connect", port, argv[3], NULL}, told[1], go[0]);
	}
	close(told[1]);
	CPU_ZERO(&cpu);
	CPU_SET(atoi(argv[1]), &cpu);
	sched_setaffinity(0, sizeof cpu, &cpu);
	int pidfd = syscall(SYS_pidfd_open, child, 0);
	if (read(told[0], &fd, sizeof fd) != sizeof fd)
		errx(1, "the command did not start");
	int notify = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	if (notify < 0)
		err(1, "pidfd_getfd");
	ioctl(notify, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	close(go[1]);

	int poll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event asked = {EPOLLIN, {.fd = notify}}, arrived = {EPOLLIN, {.fd = listener}}, event;
	if (epoll_ctl(poll, EPOLL_CTL_ADD, notify, &asked) || epoll_ctl(poll, EPOLL_CTL_ADD, listener, &arrived))
		err(1, "epoll_ctl");
	while (epoll_wait(poll, &event, 1, -1) == 1 || errno == EINTR) {
		if (event.data.fd == listener) {
			int s = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
			if (s >= 0)
				close(s);
			continue;
		}
		if (!(event.events & EPOLLIN)) /* nobody is left whose calls are trapped */
			break;
		struct seccomp_notif call = {0};
		struct seccomp_notif_resp answer = {0};
		if (ioctl(notify, SECCOMP_IOCTL_NOTIF_RECV, &call))
			continue;
		answer.id = call.id;
		answer.error = connected(&call, pidfd, notify);
		ioctl(notify, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	}
	int status;
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		errx(1, "the command was killed");
	return WEXITSTATUS(status);
}
