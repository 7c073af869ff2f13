/* Runs a program under Landlock and nothing else, to stand beside the sandbox whose rules these are.
 *
 *   landlock RULES PROGRAM ARGUMENT...    RULES is a file: `handled FS NET SCOPED FLAGS` once, and then
 *                                         `path RIGHTS PATH` or `port RIGHTS PORT`, the masks in hexadecimal,
 *                                         or `filter`: a seccomp filter as well, which allows every call
 *
 * Exit status 1 and a line on stderr when a rule cannot be applied or the program cannot be executed.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* <linux/landlock.h> of a build host may be older than the kernel that runs this. */
struct ruleset {
	unsigned long long fs, net, scoped;
};
struct path_beneath {
	unsigned long long rights;
	int directory;
} __attribute__((packed));
struct net_port {
	unsigned long long rights, port;
};
enum { PATH_BENEATH = 1, NET_PORT = 2 };

static void add(int ruleset, int kind, const void *rule, const char *line)
{
	/* EBADFD: /dev/stdin is a pipe, which nobody can look up and no rule can name. */
	if (syscall(SYS_landlock_add_rule, ruleset, kind, rule, 0) && errno != EBADFD)
		err(1, "landlock_add_rule: %s", line);
}

static void add_line(int ruleset, const char *line)
{
	unsigned long long rights;
	int start = 0;
	if (sscanf(line, "path %llx %n", &rights, &start) == 1 && start) {
		struct path_beneath rule = {rights, open(line + start, O_PATH | O_CLOEXEC)};
		if (rule.directory < 0)
			err(1, "%s", line);
		add(ruleset, PATH_BENEATH, &rule, line);
		close(rule.directory);
		return;
	}
	struct net_port rule;
	if (sscanf(line, "port %llx %llu", &rule.rights, &rule.port) != 2)
		errx(1, "not a rule: %s", line);
	add(ruleset, NET_PORT, &rule, line);
}

static void allow_every_call(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {1, &allow};
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
		err(1, "seccomp");
}

int main(int argc, char **argv)
{
	FILE *rules = argc > 2 ? fopen(argv[1], "re") : NULL;
	struct ruleset handled;
	unsigned flags;
	char *line = NULL;
	size_t size = 0;
	int filtered = 0;
	if (!rules)
		err(1, "see the head of landlock.c");
	if (fscanf(rules, "handled %llx %llx %llx %x\n", &handled.fs, &handled.net, &handled.scoped, &flags) != 4)
		errx(1, "%s: the first line says what is handled", argv[1]);
	/* A kernel accepts what it does not know as zeros. */
	int ruleset = syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
	if (ruleset < 0)
		err(1, "landlock_create_ruleset");
	while (getline(&line, &size, rules) > 0) {
		line[strcspn(line, "\n")] = 0;
		if (!strcmp(line, "filter"))
			filtered = 1;
		else
			add_line(ruleset, line);
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_landlock_restrict_self, ruleset, flags))
		err(1, "landlock_restrict_self");
	close(ruleset);
	if (filtered)
		allow_every_call();
	execvp(argv[2], argv + 2);
	err(1, "%s", argv[2]);
}
