/* Large memory on this machine, whatever it has: what was got is said truly, and what can't be had does not cost the memory.
 * Huge pages and several nodes are tried on the machine of scripts/check-vm.
 */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <unistd.h>

#include "mem/block.h"
#include "tap.h"

#define MIB ((size_t)1 << 20)

static bool is_all(const char *p, size_t n, char c)
{
	return p[0] == c && memcmp(p, p + 1, n - 1) == 0;
}

static void test_sizes(void)
{
	static const struct { size_t bytes; bool heap; size_t align; } rows[] = {
		{ 1, true, 64 }, { 100, true, 64 }, { 2 * MIB - 1, true, 64 }, { 2 * MIB, false, 4096 }, { 5 * MIB + 1, false, 4096 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct zn_block b;
		struct zn_block_ask ask = { .bytes = rows[i].bytes };
		bool good = zn_block_get(&ask, &b, NULL) == 0 && b.bytes >= rows[i].bytes && (b.got == ZN_PAGES_HEAP) == rows[i].heap &&
		            (uintptr_t)b.p % rows[i].align == 0 && !b.policy_rc && !b.lock_rc;
		if (good && !rows[i].heap)
			good = is_all(b.p, b.bytes, 0);
		if (good)
			memset(b.p, 7, b.bytes);
		tap_ok(good, "%zu bytes come from %s", rows[i].bytes, good ? zn_pages_name(b.got) : "nowhere");
		zn_block_put(&b);
	}
}

static void test_refused(void)
{
	struct zn_block b = { .p = &b };
	struct zn_err err = { 0 };

	tap_ok(zn_block_get(&(struct zn_block_ask){ 0 }, &b, &err) == -EINVAL && b.p == &b, "no bytes: %s", err.text);
	tap_ok(zn_block_get(&(struct zn_block_ask){ .bytes = MIB, .policy = ZN_BLOCK_BIND }, &b, &err) == -EINVAL, "bound to no node: %s", err.text);
	tap_ok(zn_block_get(&(struct zn_block_ask){ .bytes = SIZE_MAX }, &b, &err) == -ENOMEM, "more than there is: %s", err.text);
	tap_ok(zn_block_get(&(struct zn_block_ask){ .bytes = SIZE_MAX / 2 - 4096 }, &b, &err) == -ENOMEM && b.p == &b, "nearly so");
}

static void test_placed(void)
{
	struct zn_block_ask ask = { .bytes = 8 * MIB, .policy = ZN_BLOCK_BIND, .touch = 3 };
	uint64_t at[64];
	struct zn_block b;
	char text[ZN_BLOCK_TEXT];

	zn_idset_add(&ask.nodes, 0);
	if (zn_block_get(&ask, &b, NULL) < 0) {
		tap_ok(false, "bound to node 0");
		return;
	}
	if (b.policy_rc || zn_block_where(&b, at, 64) < 0)
		tap_ok(true, "where a page is can't be asked here # SKIP %s", zn_block_text(&b, text));
	else
		tap_ok(at[0] == b.bytes, "three threads have touched all of it, on its node");
	zn_block_put(&b);
	ask.touch = 0;
	zn_block_get(&ask, &b, NULL);
	tap_ok(zn_block_where(&b, at, 64) < 0 || at[0] == 0, "asked for no touch, nothing is there yet");
	zn_block_put(&b);
}

/* As Docker's default profile does. */
static int refuse_mbind(void)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mbind, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = sizeof(f) / sizeof(*f), .filter = f };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -1 : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

static int without_mbind(void)
{
	struct zn_block_ask ask = { .bytes = 3 * MIB, .policy = ZN_BLOCK_BIND, .touch = 1 };
	struct zn_block b;
	char text[ZN_BLOCK_TEXT];

	zn_idset_add(&ask.nodes, 0);
	if (refuse_mbind() < 0)
		return 2;
	return zn_block_get(&ask, &b, NULL) == 0 && is_all(b.p, b.bytes, 0) && strstr(zn_block_text(&b, text), "; memory policy: Operation not permitted") ? 0 : 1;
}

static int without_lock(void)
{
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
	return 2; /* it locks nothing, whoever asks */
#endif
#endif
	struct zn_block_ask ask = { .bytes = 3 * MIB, .lock = true };
	struct rlimit none = { 0 };
	struct zn_block b;
	char text[ZN_BLOCK_TEXT];

	if (setrlimit(RLIMIT_MEMLOCK, &none) < 0 || (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0))
		return 2;
	return zn_block_get(&ask, &b, NULL) == 0 && is_all(b.p, b.bytes, 0) && strstr(zn_block_text(&b, text), "; not locked: ") ? 0 : 1;
}

static void test_lacking(void)
{
	static const struct { int (*run)(void); const char *title; } rows[] = {
		{ without_mbind, "a policy that is refused costs the policy, and says so" },
		{ without_lock, "so does a lock" },
	};

	for (size_t i = 0; i < 2; i++) {
		int status = -1;
		fflush(stdout);
		pid_t pid = fork();
		if (pid == 0)
			_exit(rows[i].run());
		waitpid(pid, &status, 0);
		int code = WIFEXITED(status) ? WEXITSTATUS(status) : 3;
		tap_ok(code == 0 || code == 2, "%s%s", rows[i].title, code == 2 ? " # SKIP it can't be tried here" : "");
	}
}

int main(void)
{
	test_sizes();
	test_refused();
	test_placed();
	test_lacking();
	return tap_done();
}
