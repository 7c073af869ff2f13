/* A second thread changes which file an open is about, while the open is being judged.
 *
 *     race_open MODE TRIES PAUSE_US GOOD BAD
 *
 * path  the bytes of the path flip between GOOD and BAD, which are equally long
 * how   as path, with openat2, whose flags flip between reading and O_PATH meanwhile
 * link  the path is that of a link in the working directory, which flips between GOOD and BAD
 * step  the path leads through a link to a directory, which flips between those of GOOD and BAD
 *
 * Prints how often the open gave what GOOD begins with, 'g', and how often anything else.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *mode, *good, *bad;
static char path[4096];
static struct open_how how;
static atomic_int done;

static int is(const char *name) { return strcmp(mode, name) == 0; }

static void point(const char *target) {
    unlink("flip-new");
    if (symlink(target, "flip-new") == 0)
        rename("flip-new", "flip");
}

static void *flip(void *unused) {
    (void)unused;
    char good_copy[4096], bad_copy[4096];
    strcpy(good_copy, good);
    strcpy(bad_copy, bad);
    const char *good_step = is("step") ? dirname(good_copy) : good;
    const char *bad_step = is("step") ? dirname(bad_copy) : bad;
    for (unsigned turn = 0; !atomic_load(&done); turn++) {
        if (is("path") || is("how")) {
            memcpy(path, turn % 2 ? bad : good, strlen(good));
            how.flags = is("how") && turn % 3 == 0 ? O_PATH : O_RDONLY;
        } else {
            point(turn % 2 ? bad_step : good_step);
        }
    }
    return NULL;
}

int main(int count, char **arguments) {
    if (count != 6)
        return 2;
    mode = arguments[1];
    long tries = atol(arguments[2]);
    useconds_t pause_us = (useconds_t)atol(arguments[3]);
    good = arguments[4];
    bad = arguments[5];
    char copy[4096];
    strcpy(copy, good);
    if (is("step"))
        snprintf(path, sizeof path, "flip/%s", basename(copy));
    else
        strcpy(path, is("link") ? "flip" : good);
    pthread_t thread;
    if (pthread_create(&thread, NULL, flip, NULL))
        return 2;
    long as_meant = 0, otherwise = 0;
    for (long i = 0; i < tries; i++) {
        int opened = is("how") ? (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how)
                               : open(path, O_RDONLY | (is("step") ? O_CLOEXEC : 0));
        if (opened >= 0) {
            char first = 0;
            if (read(opened, &first, 1) == 1) {
                if (first == 'g')
                    as_meant++;
                else
                    otherwise++;
            }
            close(opened);
        }
        if (pause_us)
            usleep(pause_us);
    }
    atomic_store(&done, 1);
    pthread_join(thread, NULL);
    printf("{\"as_meant\": %ld, \"otherwise\": %ld}\n", as_meant, otherwise);
    return 0;
}
