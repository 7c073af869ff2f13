/* connect(2) in threads and moods that a supervisor may stumble over: storm MODE COUNT GOOD_PORT BAD_PORT
 *
 *     restart      a timer fires every 50 us, SA_RESTART
 *     interrupt    the same without SA_RESTART: EINTR is the program's own wish, anything else is not
 *     leader       the thread group leader has ended, another thread connects
 *     undumpable   PR_SET_DUMPABLE 0, as ssh-agent does
 *     closed       descriptors 0 to 2 are closed, so that the socket becomes number 0; 1 is a copy kept at 100
 *     nonblocking  SOCK_NONBLOCK, finished by poll
 *
 * Prints how many connects to the good port succeeded, how many to the bad port, and the errno values of both.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { OUTPUT = 100 };

static const char *mode;
static long count;
static int good_port, bad_port;

static int is(const char *name) { return strcmp(mode, name) == 0; }

static void ignore(int number) { (void)number; }

static int try_connect(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | (is("nonblocking") ? SOCK_NONBLOCK : 0), 0), result = 0;
    struct linger reset = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        result = errno;
    if (result == EINPROGRESS) {
        struct pollfd writable = {fd, POLLOUT, 0};
        socklen_t length = sizeof result;
        poll(&writable, 1, 10000);
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &length);
    }
    close(fd);
    return result;
}

static void *work(void *leader) {
    long good = 0, bad = 0, interrupted = 0;
    int good_error = 0, bad_error = 0;
    if (leader != NULL)
        pthread_join(*(pthread_t *)leader, NULL);
    for (long i = 0; i < count; i++) {
        int result = try_connect(good_port);
        good += result == 0;
        interrupted += result == EINTR;
        if (result != 0 && result != EINTR)
            good_error = result;
        result = try_connect(bad_port);
        bad += result == 0;
        if (result != 0 && result != EINTR)
            bad_error = result;
    }
    if (bad == 0 && bad_error == 0) { /* each refusal took longer than the timer */
        struct itimerval never = {{0, 0}, {0, 0}};
        setitimer(ITIMER_REAL, &never, NULL);
        bad_error = try_connect(bad_port);
    }
    dprintf(OUTPUT, "{\"good\": %ld, \"bad\": %ld, \"interrupted\": %ld, \"good_errno\": %d, \"bad_errno\": %d}\n",
            good, bad, interrupted, good_error, bad_error);
    exit(0);
}

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    mode = argv[1], count = atol(argv[2]), good_port = atoi(argv[3]), bad_port = atoi(argv[4]);
    dup2(STDOUT_FILENO, OUTPUT);
    if (is("restart") || is("interrupt")) {
        struct sigaction action = {.sa_handler = ignore, .sa_flags = is("restart") ? SA_RESTART : 0};
        struct itimerval often = {{0, 50}, {0, 50}};
        sigaction(SIGALRM, &action, NULL);
        setitimer(ITIMER_REAL, &often, NULL);
    } else if (is("undumpable")) {
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    } else if (is("closed")) {
        for (int fd = 0; fd < 3; fd++)
            close(fd);
    } else if (is("leader")) {
        static pthread_t self, other;
        self = pthread_self();
        if (pthread_create(&other, NULL, work, &self) != 0)
            return 2;
        pthread_exit(NULL);
    }
    work(NULL);
}
