/* connect(2) by the other gates into an x86-64 kernel: foreign_abi GATE PORT
 *
 *     i386        int $0x80 with the numbers of i386, sockaddr below 4 GiB
 *     socketcall  int $0x80 with the multiplexer of old
 *     x32         the numbers of x86-64 with bit 30
 *     native      none of them
 *
 * Prints the results of socket and connect, negative errno values among them.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

static long int80(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c)
                     : "memory", "r8", "r9", "r10", "r11");
    return (int)result;
}

static long native(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "memory", "rcx", "r11");
    return result;
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    struct sockaddr_in *address =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    uint32_t *words = (uint32_t *)(address + 1);
    address->sin_family = AF_INET;
    address->sin_port = htons(atoi(argv[2]));
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    long made, connected;
    if (strcmp(argv[1], "i386") == 0) {
        made = int80(359, AF_INET, SOCK_STREAM, 0);
        /* On a socket of the native call, so that the second result stands for itself. */
        connected = int80(362, native(41, AF_INET, SOCK_STREAM, 0), (long)address, sizeof *address);
    } else if (strcmp(argv[1], "socketcall") == 0) {
        words[0] = AF_INET, words[1] = SOCK_STREAM, words[2] = 0;
        made = int80(102, 1, (long)words, 0);
        words[0] = native(41, AF_INET, SOCK_STREAM, 0);
        words[1] = (uint32_t)(uintptr_t)address, words[2] = sizeof *address;
        connected = int80(102, 3, (long)words, 0);
    } else {
        long bit = strcmp(argv[1], "x32") == 0 ? 0x40000000 : 0;
        made = native(bit | 41, AF_INET, SOCK_STREAM, 0);
        connected = native(bit | 42, native(41, AF_INET, SOCK_STREAM, 0), (long)address, sizeof *address);
    }
    printf("{\"socket\": %ld, \"connect\": %ld}\n", made, connected);
    return 0;
}
