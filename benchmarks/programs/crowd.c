/* Many processes, on every CPU, that do what delays others most; prints "started", then how often they did it.
 *
 *   crowd calls FILE PROCESSES SECONDS   connect and bind to where nobody may, open of FILE: rounds of the three
 *   crowd bomb PROCESSES SECONDS         a fork bomb that never has more than so many alive: forks
 *
 * Exit status 1 and a line on stderr when something that must work does not.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 64 };

struct shared {
	atomic_long done, alive;
};

static long long now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void call_until(long long end, const char *file, struct shared *shared)
{
	struct sockaddr_in elsewhere = {.sin_family = AF_INET, .sin_port = htons(1)};
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		err(1, "socket");
	elsewhere.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	while (now_ns() < end) {
		if (!connect(s, (struct sockaddr *)&elsewhere, sizeof elsewhere) ||
		    !bind(s, (struct sockaddr *)&elsewhere, sizeof elsewhere))
			errx(1, "what should be refused is not");
		int fd = open(file, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			close(fd);
		atomic_fetch_add(&shared->done, 1);
	}
}

/* One that keeps finding no room to fork ends, often before its children; the first one never does. */
static void fork_until(long long end, long most, struct shared *shared)
{
	int first = 1, tries = 0;
	while (now_ns() < end && (first || tries < TRIES)) {
		if (atomic_fetch_add(&shared->alive, 1) >= most) {
			atomic_fetch_sub(&shared->alive, 1);
			tries++;
			if (first)
				while (waitpid(-1, NULL, WNOHANG) > 0)
					;
			continue;
		}
		pid_t pid = fork();
		if (pid < 0)
			atomic_fetch_sub(&shared->alive, 1);
		else if (pid > 0)
			atomic_fetch_add(&shared->done, 1);
		else
			first = tries = 0;
	}
	if (first)
		return;
	atomic_fetch_sub(&shared->alive, 1);
	_exit(0);
}

static void call_from_many(const char *file, const char *processes, long long end, struct shared *shared)
{
	for (long count = atol(processes); count > 0; count--) {
		pid_t pid = fork();
		if (pid < 0)
			err(1, "fork");
		if (pid == 0) {
			call_until(end, file, shared);
			_exit(0);
		}
	}
	int status, failed = 0;
	while (wait(&status) > 0)
		failed |= status;
	if (failed)
		errx(1, "one of the callers failed");
}

int main(int argc, char **argv)
{
	const char *what = argc > 3 ? argv[1] : "";
	cpu_set_t all;
	memset(&all, 0xff, sizeof all);
	if (sched_setaffinity(0, sizeof all, &all))
		err(1, "sched_setaffinity");
	struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		err(1, "mmap");
	puts("started");
	fflush(stdout);
	long long end = now_ns() + (long long)(atof(argv[argc - 1]) * 1e9);
	if (!strcmp(what, "calls") && argc == 5) {
		call_from_many(argv[2], argv[3], end, shared);
	} else if (!strcmp(what, "bomb") && argc == 4) {
		fork_until(end, atol(argv[2]), shared);
		while (atomic_load(&shared->alive))
			usleep(1000);
	} else {
		errx(1, "see the head of crowd.c");
	}
	printf("%ld\n", atomic_load(&shared->done));
	return 0;
}
