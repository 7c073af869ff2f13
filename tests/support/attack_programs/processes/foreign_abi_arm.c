/* connect(2) by the 32-bit gate into an aarch64 kernel: foreign_abi_arm PORT
 *
 * Built for 32-bit ARM, without a C library, because every call of one would be foreign. Ends with 0 once it
 * is connected, with the errno otherwise, and by SIGILL if it may not even exit.
 */
#define AF_INET 2
#define SOCK_STREAM 1

enum { EXIT = 1, SOCKET = 281, CONNECT = 283 };

struct address {
    unsigned short family, port;
    unsigned ip, zero[2];
};

static long call(long number, long a, long b, long c) {
    register long r7 __asm__("r7") = number;
    register long r0 __asm__("r0") = a;
    register long r1 __asm__("r1") = b;
    register long r2 __asm__("r2") = c;
    __asm__ volatile("svc #0" : "+r"(r0) : "r"(r7), "r"(r1), "r"(r2) : "memory");
    return r0;
}

__attribute__((used)) static void start(long *stack) {
    unsigned port = 0;
    for (const char *digit = (const char *)stack[2]; *digit; digit++)
        port = port * 10 + (*digit - '0');
    struct address to = {AF_INET, (unsigned short)(port << 8 | port >> 8), 0x0100007f, {0, 0}};
    long made = call(SOCKET, AF_INET, SOCK_STREAM, 0);
    long connected = made < 0 ? made : call(CONNECT, made, (long)&to, sizeof to);
    call(EXIT, -connected, 0, 0);
    __builtin_trap();
}

__attribute__((naked, used)) void _start(void) { __asm__("mov r0, sp\n\tbl start\n"); }
