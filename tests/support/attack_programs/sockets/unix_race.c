/* Another process or thread changes what a path means while a connect or a bind with it is being judged.
 *
 *     unix_race MODE TRIES DIRECTORY
 *
 * symlink  DIRECTORY/link leads to good.sock and to bad.sock in turns, and is connected to
 * path     the bytes of the path in the sockaddr flip between the two
 * parent   DIRECTORY/way leads to the directories good and bad in turns, and way/s is bound
 * name     the bytes of the path in the sockaddr flip between good/s and bad/s, and it is bound
 *
 * Prints how often a call succeeded with the permitted object, and how often with the other.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *mode;
static struct sockaddr_un target = {.sun_family = AF_UNIX};
static char good[108], bad[108];
static atomic_int done;

static int is(const char *name) { return strcmp(mode, name) == 0; }

static void *flip_bytes(void *unused) {
    (void)unused;
    volatile char *path = target.sun_path;
    size_t length = strlen(good);
    for (unsigned turn = 0; !atomic_load(&done); turn++)
        for (size_t at = 0; at < length; at++)
            path[at] = turn % 2 ? bad[at] : good[at];
    return NULL;
}

static void flip_link(const char *link) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (unsigned turn = 0;; turn++) {
        symlink(turn % 2 ? bad : good, "next");
        rename("next", link);
    }
}

static int reached(int fd) {
    struct sockaddr_un peer = {0};
    socklen_t length = sizeof peer;
    if (getpeername(fd, (struct sockaddr *)&peer, &length) != 0)
        return 0;
    return strstr(peer.sun_path, "good.sock") ? 1 : -1;
}

static int try_once(void) {
    int result, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        exit(2);
    if (is("symlink") || is("path")) {
        connect(fd, (struct sockaddr *)&target, sizeof target);
        result = reached(fd);
    } else {
        bind(fd, (struct sockaddr *)&target, sizeof target);
        result = unlink("bad/s") == 0 ? -1 : unlink("good/s") == 0 ? 1 : 0;
    }
    close(fd);
    return result;
}

int main(int argc, char **argv) {
    if (argc != 4 || chdir(argv[3]) != 0)
        return 2;
    mode = argv[1];
    long tries = atol(argv[2]), permitted = 0, forbidden = 0;
    int binds = is("parent") || is("name");
    const char *link = is("parent") ? "way" : "link";
    /* The two of a thread have one length: a mixture of both names nothing. */
    strcpy(good, is("parent") ? "good" : binds ? "good/s" : "good.sock");
    strcpy(bad, is("parent") ? "bad" : binds ? "bad//s" : "bad..sock");
    pid_t flipper = 0;
    pthread_t thread;
    strcpy(target.sun_path, is("parent") ? "way/s" : is("symlink") ? "link" : good);
    if (is("symlink") || is("parent"))
        symlink(good, link);
    permitted += try_once() > 0; /* before the race: what is permitted works, however it goes on */
    if (is("symlink") || is("parent")) {
        flipper = fork();
        if (flipper == 0)
            flip_link(link);
    } else {
        pthread_create(&thread, NULL, flip_bytes, NULL);
    }
    for (long i = 0; i < tries; i++) {
        int result = try_once();
        permitted += result > 0;
        forbidden += result < 0;
    }
    atomic_store(&done, 1);
    if (flipper) {
        kill(flipper, SIGKILL);
        waitpid(flipper, NULL, 0);
    } else {
        pthread_join(thread, NULL);
    }
    printf("{\"permitted\": %ld, \"forbidden\": %ld}\n", permitted, forbidden);
    return 0;
}
