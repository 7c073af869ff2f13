/* A second thread changes what the first one's system call is about, while the call is being judged.
 *
 *     race MODE TRIES GOOD_PORT BAD_PORT BAD_ADDRESS
 *
 * port     the port of the sockaddr flips between GOOD_PORT and BAD_PORT
 * address  its address flips between 127.0.0.1 and BAD_ADDRESS
 * family   descriptor and sockaddr flip between TCP and AF_UNIX; read as a path, the bytes of the sockaddr
 *          are those of a socket in the working directory: the port's two bytes and 0x7f
 * unmap    the page of the sockaddr, which names BAD_PORT, is protected and opened again
 * bind     the port that is bound flips between GOOD_PORT and BAD_PORT
 * listen   the descriptor flips between a socket bound to GOOD_PORT and one that is not bound
 *
 * Prints how often a call succeeded with the permitted object, and how often with the other.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PAGE = 4096, FLIPPED = 100, BATCH = 50 };

static const char *mode;
static in_port_t good_port, bad_port;
static in_addr_t good_address, bad_address;
static volatile struct sockaddr_in *target;
static int spare[2]; /* what dup2 puts in the place of FLIPPED */
static int placeholder;
static atomic_int done;
static atomic_uint turns;

static int is(const char *name) { return strcmp(mode, name) == 0; }

static void fail(const char *what) {
    perror(what);
    exit(2);
}

static void *flip(void *unused) {
    (void)unused;
    for (unsigned turn = 0; !atomic_load(&done); atomic_store(&turns, ++turn)) {
        if (is("port") || is("bind")) {
            target->sin_port = turn % 2 ? bad_port : good_port;
        } else if (is("address")) {
            target->sin_addr.s_addr = turn % 2 ? bad_address : good_address;
        } else if (is("unmap")) {
            mprotect((void *)target, PAGE, turn % 2 ? PROT_NONE : PROT_READ | PROT_WRITE);
        } else {
            if (is("family") && turn % 3 == 0)
                target->sin_family = turn % 2 ? AF_UNIX : AF_INET;
            dup2(spare[turn % 2], FLIPPED);
        }
    }
    return NULL;
}

/* A thousand tries take less than a time slice: on a busy machine all of them would meet what was there at first. */
static void wait_for_flip(void) {
    unsigned before = atomic_load(&turns);
    while (atomic_load(&turns) == before)
        sched_yield();
}

static int tcp_socket(void) {
    int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct linger reset = {1, 0}; /* no TIME_WAIT: twenty thousand of them would use up the ports */
    int yes = 1;
    if (made < 0)
        fail("socket");
    setsockopt(made, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    return made;
}

/* 1: the permitted one, -1: the other, 0: none. */
static int reached(int fd) {
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    if (getpeername(fd, (struct sockaddr *)&peer, &length) != 0)
        return 0;
    struct sockaddr_in *inet = (struct sockaddr_in *)&peer;
    if (peer.ss_family != AF_INET)
        return -1;
    return inet->sin_port == good_port && inet->sin_addr.s_addr == good_address ? 1 : -1;
}

/* Emulated machines copy byte by byte: GOOD_PORT's first and BAD_PORT's second. It is a port for everybody. */
static int torn(in_port_t port) {
    return ntohs(port) == ((ntohs(good_port) & 0xff00) | (ntohs(bad_port) & 0xff)) && ntohs(port) > 1023;
}

static int bound(int fd) {
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    getsockname(fd, (struct sockaddr *)&name, &length);
    if (name.sin_port != 0 && name.sin_port != good_port && !torn(name.sin_port))
        fprintf(stderr, "bound to %d\n", ntohs(name.sin_port));
    return name.sin_port == 0 || torn(name.sin_port) ? 0 : name.sin_port == good_port ? 1 : -1;
}

static int listens(int fd) {
    int value = 0;
    socklen_t length = sizeof value;
    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length);
    return value;
}

static int try_on(int fd) {
    if (is("bind")) {
        bind(fd, (struct sockaddr *)target, sizeof *target);
        return bound(fd);
    }
    connect(fd, (struct sockaddr *)target, sizeof *target);
    return reached(fd);
}

static int try_pair(void) {
    int result = 0;
    int first = tcp_socket();
    int second = is("family") ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : tcp_socket();
    if (second < 0)
        fail("socket");
    while (is("listen") && bind(first, (struct sockaddr *)target, sizeof *target) != 0) {
        if (errno != EADDRINUSE) /* the thread has just put the socket of the last try back */
            fail("bind");
        dup2(placeholder, FLIPPED);
    }
    /* The thread goes on with the old pair until both of these are in place. */
    dup2(first, spare[0]);
    dup2(second, spare[1]);
    dup2(first, FLIPPED);
    if (is("listen")) {
        listen(FLIPPED, 1);
        result = listens(second) ? -1 : listens(first) ? 1 : 0;
    } else {
        connect(FLIPPED, (struct sockaddr *)target, sizeof *target);
        result = reached(second) != 0 ? -1 : reached(first);
    }
    close(first);
    close(second);
    dup2(placeholder, spare[0]);
    dup2(placeholder, spare[1]);
    dup2(placeholder, FLIPPED);
    return result;
}

int main(int argc, char **argv) {
    if (argc != 6)
        return 2;
    mode = argv[1];
    long tries = atol(argv[2]), permitted = 0, forbidden = 0;
    good_port = htons(atoi(argv[3]));
    bad_port = htons(atoi(argv[4]));
    good_address = htonl(INADDR_LOOPBACK);
    inet_pton(AF_INET, argv[5], &bad_address);
    target = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (target == MAP_FAILED)
        fail("mmap");
    target->sin_family = AF_INET;
    target->sin_port = is("unmap") ? bad_port : good_port;
    target->sin_addr.s_addr = good_address;
    int pairs = is("family") || is("listen");
    if (pairs) {
        placeholder = tcp_socket();
        spare[0] = dup(placeholder);
        spare[1] = dup(placeholder);
        dup2(placeholder, FLIPPED);
    }
    pthread_t flipper;
    if (pthread_create(&flipper, NULL, flip, NULL) != 0)
        fail("pthread_create");
    for (long i = 0; i < tries; i++) {
        int result;
        if (i % BATCH == 0)
            wait_for_flip();
        if (pairs) {
            result = try_pair();
        } else {
            int fd = tcp_socket();
            result = try_on(fd);
            close(fd);
        }
        permitted += result > 0;
        forbidden += result < 0;
    }
    atomic_store(&done, 1);
    pthread_join(flipper, NULL);
    printf("{\"permitted\": %ld, \"forbidden\": %ld}\n", permitted, forbidden);
    return 0;
}
