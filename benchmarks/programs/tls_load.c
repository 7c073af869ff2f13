/* Makes load over TLS, through a proxy's CONNECT or without one, with as little of its own as possible.
 *
 *   tls_load keep|new PORT HEAD HOST CA_FILE CONNECTIONS SECONDS
 *   tls_load h2       PORT HEAD HOST CA_FILE CONNECTIONS SECONDS STREAMS
 *   tls_load bulk     PORT HEAD HOST CA_FILE
 *
 * It connects to 127.0.0.1:PORT. The first HEAD bytes of stdin are the head of a CONNECT (0: there is none);
 * the rest is the request: a head of HTTP/1.1, or for h2 the fragment of a HEADERS frame. Each connection is
 * a process. Prints "answers failures", for bulk the bytes of the body and the ns from the request to its end.
 *
 * keep: as long as the response does not announce the end of the connection; then on a new one. A connection
 * that ends in any other way is a failure. h2: STREAMS requests at a time on each connection (RFC 9113). In
 * both, SECONDS begin when the first connections of all processes are there.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PROCESSES = 256, REQUEST = 8192, BUFFER = 65536, PATIENCE_S = 10 };
enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, FRAME_HEAD = 9 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

static struct sockaddr_in proxy = {.sin_family = AF_INET};
static const char *host;
static char request[2 * REQUEST];
static size_t connect_length, request_length;
static SSL_CTX *context;
static long *good, *bad; /* of this process */

/* Between the processes. */
static struct {
	_Atomic long ready;	/* connections that are there, or could not be had */
	_Atomic long long stop; /* when to end; 0 until all are ready */
	long counts[PROCESSES][2];
} *shared;

static long long now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Closing sends a reset: thousands of sockets in TIME_WAIT would use up the ports. */
static int connected(void)
{
	struct linger reset = {1, 0};
	struct timeval patience = {PATIENCE_S, 0};
	int one = 1, s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		err(1, "socket");
	setsockopt(s, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(s, (const struct sockaddr *)&proxy, sizeof proxy) == 0)
		return s;
	close(s);
	return -1;
}

/* Whether the proxy has said yes. It says nothing more before the handshake. */
static int tunnelled(int s)
{
	char answer[REQUEST + 1];
	size_t have = 0;
	if (!connect_length)
		return 1;
	if (send(s, request, connect_length, MSG_NOSIGNAL) != (ssize_t)connect_length)
		return 0;
	do {
		ssize_t got = recv(s, answer + have, REQUEST - have, 0);
		if (got <= 0)
			return 0;
		have += got;
		answer[have] = 0;
	} while (!strstr(answer, "\r\n\r\n"));
	return have > 12 && !strncmp(answer + 8, " 200", 4);
}

static void end(SSL *tls)
{
	if (tls) {
		close(SSL_get_fd(tls));
		SSL_free(tls);
	}
}

/* TLS to the host, whose certificate is checked; NULL when it cannot be had. */
static SSL *secured(void)
{
	int s = connected();
	if (s < 0)
		return NULL;
	SSL *tls = SSL_new(context);
	if (!tls)
		errx(1, "SSL_new");
	if (tunnelled(s) && SSL_set_fd(tls, s) && SSL_set_tlsext_host_name(tls, host) && SSL_set1_host(tls, host) &&
	    SSL_connect(tls) == 1)
		return tls;
	SSL_free(tls);
	close(s);
	return NULL;
}

static int send_all(SSL *tls, const void *bytes, size_t length)
{
	return SSL_write(tls, bytes, length) == (int)length;
}

/* One response with a Content-Length, the only kind that the load asks for: its length, or -1 when it does not
 * come whole. *closes: whether it announces the end of the connection. */
static long read_response(SSL *tls, int *closes)
{
	char buffer[BUFFER + 1];
	size_t have = 0;
	char *end = NULL;
	while (!end) {
		int got = have < BUFFER ? SSL_read(tls, buffer + have, BUFFER - have) : -1;
		if (got <= 0)
			return -1;
		have += got;
		buffer[have] = 0;
		end = strstr(buffer, "\r\n\r\n");
	}
	if (strncmp(buffer, "HTTP/1.1 200", 12))
		return -1;
	char *length = strcasestr(buffer, "\r\ncontent-length:"), *close = strcasestr(buffer, "\r\nconnection: close");
	*closes = close && close < end;
	if (!length || length > end)
		return -1;
	long total = atol(length + 17), left = total - (long)(have - (end + 4 - buffer));
	while (left > 0) {
		int got = SSL_read(tls, buffer, left < BUFFER ? left : BUFFER);
		if (got <= 0)
			return -1;
		left -= got;
	}
	return total;
}

/* Until all processes have got here; when to end. */
static long long together(void)
{
	shared->ready++;
	while (!shared->stop)
		usleep(200);
	return shared->stop;
}

static void http1(int keep)
{
	SSL *tls = keep ? secured() : NULL;
	long long stop = together();
	while (now_ns() < stop) {
		int closes = 0;
		if (!tls)
			tls = secured();
		int answered =
			tls && send_all(tls, request + connect_length, request_length) && read_response(tls, &closes) >= 0;
		++*(answered ? good : bad);
		if (!answered || closes || !keep) {
			end(tls);
			tls = NULL;
		}
	}
	end(tls);
}

static int read_exactly(SSL *tls, unsigned char *into, size_t length)
{
	while (length) {
		int got = SSL_read(tls, into, length);
		if (got <= 0)
			return 0;
		into += got;
		length -= got;
	}
	return 1;
}

static size_t put_frame(unsigned char *at, size_t length, int kind, int flags, unsigned stream, const void *payload)
{
	unsigned char head[FRAME_HEAD] = {length >> 16, length >> 8, length,      kind,  flags,
					  stream >> 24, stream >> 16, stream >> 8, stream};
	memcpy(at, head, FRAME_HEAD);
	memcpy(at + FRAME_HEAD, payload, length);
	return FRAME_HEAD + length;
}

/* Whether a field block begins with the indexed field ":status: 200" (RFC 7541 appendix A), behind changes of the
 * table's size if any: how both peers write it. */
static int says_200(const unsigned char *block, size_t length)
{
	while (length && (*block & 0xe0) == 0x20) {
		block++, length--;
	}
	return length && *block == 0x88;
}

static int ask(SSL *tls, unsigned *stream, int count)
{
	static unsigned char out[PROCESSES * (REQUEST + FRAME_HEAD)];
	size_t length = 0;
	for (int i = 0; i < count; i++, *stream += 2)
		length += put_frame(out + length, request_length, HEADERS, END_HEADERS | END_STREAM, *stream,
				    request + connect_length);
	return !length || send_all(tls, out, length);
}

static int greet(SSL *tls)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	/* SETTINGS_INITIAL_WINDOW_SIZE and the connection's window: as wide as they can be. */
	static const unsigned char settings[] = {0, 4, 0x7f, 0xff, 0xff, 0xff}, window[] = {0x7f, 0xff, 0, 0};
	unsigned char out[128];
	memcpy(out, preface, 24);
	size_t length = 24 + put_frame(out + 24, sizeof settings, SETTINGS, 0, 0, settings);
	length += put_frame(out + length, sizeof window, 8, 0, 0, window);
	const unsigned char *protocol;
	unsigned protocol_length;
	SSL_get0_alpn_selected(tls, &protocol, &protocol_length);
	return protocol_length == 2 && !memcmp(protocol, "h2", 2) && send_all(tls, out, length);
}

/* Takes one frame, and answers it where it must be. How many requests it ends; -1: the connection is of no use. */
static int take_frame(SSL *tls)
{
	static unsigned char payload[1 << 24];
	unsigned char head[FRAME_HEAD], out[64];
	if (!read_exactly(tls, head, FRAME_HEAD))
		return -1;
	size_t length = head[0] << 16 | head[1] << 8 | head[2];
	int kind = head[3], flags = head[4];
	if (!read_exactly(tls, payload, length))
		return -1;
	if (kind == HEADERS && !says_200(payload, length))
		return -1;
	if (kind == RST_STREAM || kind == GOAWAY)
		return -1;
	if (kind == SETTINGS && !(flags & ACK) && !send_all(tls, out, put_frame(out, 0, SETTINGS, ACK, 0, "")))
		return -1;
	if (kind == PING && !(flags & ACK) && !send_all(tls, out, put_frame(out, 8, PING, ACK, 0, payload)))
		return -1;
	return (kind == HEADERS || kind == DATA) && flags & END_STREAM;
}

static SSL *greeted(void)
{
	SSL *tls = secured();
	if (tls && greet(tls))
		return tls;
	end(tls);
	return NULL;
}

static void http2(int streams)
{
	SSL *tls = greeted();
	long long stop = together();
	unsigned next = 1;
	int missing = streams; /* requests to be sent, so that as many as wanted are on their way */
	while (now_ns() < stop) {
		if (!tls) {
			tls = greeted();
			next = 1;
			missing = streams;
		}
		int ended = -1;
		if (tls && ask(tls, &next, missing)) {
			missing = 0;
			/* What the proxy sent at once is answered at once. */
			do {
				ended = take_frame(tls);
				missing += ended > 0 ? ended : 0;
			} while (ended >= 0 && SSL_pending(tls));
			*good += missing;
		}
		if (ended < 0) {
			++*bad;
			end(tls);
			tls = NULL;
		}
	}
	end(tls);
}

static void bulk(void)
{
	int closes;
	SSL *tls = secured();
	long long start = now_ns();
	long length = -1;
	if (tls && send_all(tls, request + connect_length, request_length))
		length = read_response(tls, &closes);
	if (length < 0)
		errx(1, "the body did not come whole");
	printf("%ld %lld\n", length, now_ns() - start);
	end(tls);
}

static void many(const char *kind, int processes, double seconds, int streams)
{
	long total[2] = {0, 0};
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		err(1, "mmap");
	if (processes < 1 || processes > PROCESSES || streams > PROCESSES)
		errx(1, "1 to %d connections and streams", PROCESSES);
	for (int me = 0; me < processes; me++) {
		pid_t pid = fork();
		if (pid < 0)
			err(1, "fork");
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL); /* who waits for the start would wait for ever */
			good = &shared->counts[me][0];
			bad = &shared->counts[me][1];
			if (streams)
				http2(streams);
			else
				http1(!strcmp(kind, "keep"));
			_exit(0);
		}
	}
	while (shared->ready < processes && waitpid(-1, NULL, WNOHANG) == 0)
		usleep(200);
	shared->stop = now_ns() + (long long)(seconds * 1e9);
	while (wait(NULL) > 0)
		;
	for (int me = 0; me < processes; me++) {
		total[0] += shared->counts[me][0];
		total[1] += shared->counts[me][1];
	}
	printf("%ld %ld\n", total[0], total[1]);
}

int main(int argc, char **argv)
{
	const char *kind = argc > 5 ? argv[1] : "";
	int is_h2 = !strcmp(kind, "h2"), is_bulk = !strcmp(kind, "bulk");
	if (argc != (is_bulk ? 6 : is_h2 ? 9 : 8))
		errx(1, "see the head of tls_load.c");
	signal(SIGPIPE, SIG_IGN);
	proxy.sin_port = htons(atoi(argv[2]));
	proxy.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	host = argv[4];
	connect_length = atol(argv[3]);
	request_length = fread(request, 1, sizeof request, stdin);
	if (request_length <= connect_length || request_length - connect_length > REQUEST)
		errx(1, "no request, or one that is too long");
	request_length -= connect_length;
	context = SSL_CTX_new(TLS_client_method());
	if (!context || !SSL_CTX_load_verify_locations(context, argv[5], NULL))
		errx(1, "cannot trust %s", argv[5]);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_alpn_protos(context, (const unsigned char *)(is_h2 ? "\2h2" : "\10http/1.1"), is_h2 ? 3 : 9);
	if (is_bulk)
		bulk();
	else
		many(kind, atoi(argv[6]), atof(argv[7]), is_h2 ? atoi(argv[8]) : 0);
	return 0;
}
