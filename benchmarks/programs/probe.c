/* Measures system calls and makes load, with as little as possible of its own between the two.
 *
 *   probe open FILE COUNT                    ns per open + read + close, in the median of batches of 1,000
 *   probe stat FILE COUNT                    ns per stat, in the same
 *   probe connect PORT COUNT                 p50 of connect() to 127.0.0.1:PORT, ns
 *   probe flood PORT PROCESSES SECONDS       connect() from many processes; "started" once they all run,
 *                                            then how many succeeded
 *   probe load PORT CONNECTIONS SECONDS keep|new
 *                                            the request on stdin again and again; "answers failures"
 *
 * Exit status 1 and a line on stderr when something that must work does not.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 1000, PROCESSES = 256, REQUEST = 8192, BUFFER = 65536, PATIENCE_S = 10 };

static long long now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static struct sockaddr_in address(const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

/* Closing sends a reset: thousands of sockets in TIME_WAIT would use up the ports and slow connect() down. */
static int new_socket(void)
{
	struct linger reset = {1, 0};
	struct timeval patience = {PATIENCE_S, 0};
	int one = 1, s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		err(1, "socket");
	setsockopt(s, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return s;
}

static int connected(const struct sockaddr_in *to)
{
	int s = new_socket();
	if (connect(s, (const struct sockaddr *)to, sizeof *to) == 0)
		return s;
	close(s);
	return -1;
}

static int ascending(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;
	return (x > y) - (x < y);
}

static void open_read_close(const char *file)
{
	char buffer[BUFFER];
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, buffer, sizeof buffer) < 0)
		err(1, "%s", file);
	close(fd);
}

static void stat_it(const char *file)
{
	struct stat status;
	if (stat(file, &status))
		err(1, "%s", file);
}

/* A sandbox adds a few hundredths: less than a mean takes from whoever interrupts it. */
static void time_batches(void (*call)(const char *), const char *file, long count)
{
	long batches = count / BATCH;
	long long *taken = calloc(batches > 0 ? batches : 1, sizeof *taken);
	if (!taken || batches < 1)
		errx(1, "at least %d calls", BATCH);
	for (long i = 0; i < batches; i++) {
		long long start = now_ns();
		for (long j = 0; j < BATCH; j++)
			call(file);
		taken[i] = now_ns() - start;
	}
	qsort(taken, batches, sizeof *taken, ascending);
	printf("%.1f\n", (double)taken[batches / 2] / BATCH);
}

static void time_connect(const char *port, long count)
{
	struct sockaddr_in to = address(port);
	long long *taken = calloc(count, sizeof *taken);
	if (!taken)
		err(1, "calloc");
	for (long i = 0; i < count; i++) {
		int s = new_socket();
		long long start = now_ns();
		if (connect(s, (struct sockaddr *)&to, sizeof to))
			err(1, "connect to port %s", port);
		taken[i] = now_ns() - start;
		close(s);
	}
	qsort(taken, count, sizeof *taken, ascending);
	printf("%lld\n", taken[count / 2]);
}

struct counts {
	long good[PROCESSES], bad[PROCESSES];
};

static struct counts *shared_counts(void)
{
	void *page = mmap(NULL, sizeof(struct counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		err(1, "mmap");
	return page;
}

static void flood_until(long long end, const struct sockaddr_in *to, struct counts *counts, int me)
{
	while (now_ns() < end) {
		int s = connected(to);
		if (s < 0) {
			counts->bad[me]++;
			continue;
		}
		counts->good[me]++;
		close(s);
	}
}

/* One response with a Content-Length, the only kind that the load asks for; -1 when it does not come whole. */
static int read_response(int s)
{
	char buffer[BUFFER + 1];
	size_t have = 0;
	char *end = NULL;
	while (!end) {
		ssize_t got = recv(s, buffer + have, BUFFER - have, 0);
		if (got <= 0)
			return -1;
		have += got;
		buffer[have] = 0;
		end = strstr(buffer, "\r\n\r\n");
	}
	if (strncmp(buffer, "HTTP/1.1 200", 12))
		return -1;
	char *length = strcasestr(buffer, "\r\ncontent-length:");
	if (!length || length > end)
		return -1;
	long left = atol(length + 17) - (long)(have - (end + 4 - buffer));
	while (left > 0) {
		ssize_t got = recv(s, buffer, left < BUFFER ? left : BUFFER, 0);
		if (got <= 0)
			return -1;
		left -= got;
	}
	return 0;
}

static void load_until(long long end, const struct sockaddr_in *to, struct counts *counts, int me,
		       const char *request, size_t length, int keep)
{
	int s = -1;
	while (now_ns() < end) {
		if (s < 0)
			s = connected(to);
		int answered = s >= 0 && send(s, request, length, MSG_NOSIGNAL) == (ssize_t)length && !read_response(s);
		if (answered)
			counts->good[me]++;
		else
			counts->bad[me]++;
		if (s >= 0 && !(answered && keep)) {
			close(s);
			s = -1;
		}
	}
}

static void many(char **argv, int loads)
{
	struct sockaddr_in to = address(argv[2]);
	struct counts *counts = shared_counts();
	int processes = atoi(argv[3]), keep = loads && !strcmp(argv[5], "keep");
	char request[REQUEST];
	size_t length = loads ? fread(request, 1, sizeof request, stdin) : 0;
	long good = 0, bad = 0;
	if (processes < 1 || processes > PROCESSES)
		errx(1, "1 to %d processes", PROCESSES);
	long long end = now_ns() + (long long)(atof(argv[4]) * 1e9);
	for (int me = 0; me < processes; me++) {
		pid_t pid = fork();
		if (pid < 0)
			err(1, "fork");
		if (pid == 0) {
			if (loads)
				load_until(end, &to, counts, me, request, length, keep);
			else
				flood_until(end, &to, counts, me);
			_exit(0);
		}
	}
	if (!loads) {
		puts("started");
		fflush(stdout);
	}
	while (wait(NULL) > 0)
		;
	for (int me = 0; me < processes; me++) {
		good += counts->good[me];
		bad += counts->bad[me];
	}
	printf("%ld %ld\n", good, bad);
}

int main(int argc, char **argv)
{
	const char *what = argc > 3 ? argv[1] : "";
	if (!strcmp(what, "open"))
		time_batches(open_read_close, argv[2], atol(argv[3]));
	else if (!strcmp(what, "stat"))
		time_batches(stat_it, argv[2], atol(argv[3]));
	else if (!strcmp(what, "connect"))
		time_connect(argv[2], atol(argv[3]));
	else if (!strcmp(what, "flood") && argc == 5)
		many(argv, 0);
	else if (!strcmp(what, "load") && argc == 6)
		many(argv, 1);
	else
		errx(1, "see the head of probe.c");
	return 0;
}
