/* Where one process should run, row by row; then the kernel is asked to do it and read back. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine.h"
#include "plan/plan.h"
#include "proc/pin.h"
#include "tap.h"

#define HT "numa:2 core:4 pu:2 gpu:2 nv:4" /* node 0: 0-3,8-11; node 1: 4-7,12-15 */
#define ALL "0-2047"

static const struct row {
	const char *machine, *gpus, *numas, *cpus, *nic;
	uint64_t cores;
	enum zn_mem_policy mem;
	const char *allowed_cpus, *allowed_numas;
	int rc;
	const char *got_cpus, *got_numas;
	uint32_t got_cores;
	enum zn_mem_policy got_mem;
	const char *sentence; /* degraded, or the error */
} rows[] = {
	{ HT, "", "", "0-3", NULL, 0, 0, ALL, ALL, 0, "0-3", "0", 4, 0, "" },
	{ HT, "", "", "8,0", NULL, 0, 0, ALL, ALL, 0, "0,8", "0", 1, 0, "" },
	{ HT, "", "1", "", NULL, 0, 0, ALL, ALL, 0, "4-7,12-15", "1", 4, 0, "" },
	{ HT, "0", "", "", NULL, 0, 0, ALL, ALL, 0, "0-3,8-11", "0", 4, 0, "" },
	{ HT, "1-2", "", "", NULL, 0, 0, ALL, ALL, 0, "0-15", "0-1", 8, 0, "" },
	{ HT, "0", "", "", "mlx5_1", 0, 0, ALL, ALL, 0, "0-15", "0-1", 8, 0, "" },
	{ HT, "", "", "", "mlx5_1", 0, 0, ALL, ALL, 0, "4-7,12-15", "1", 4, 0, "" },
	{ HT, "", "", "", "eth7", 0, 0, ALL, ALL, 0, "4-7,12-15", "1", 4, 0, "" },
	/* numas and cpus narrow */
	{ HT, "0,2", "1", "", NULL, 0, 0, ALL, ALL, 0, "4-7,12-15", "1", 4, 0, "" },
	{ HT, "0", "", "2-5", NULL, 0, 0, ALL, ALL, 0, "2-3", "0", 2, 0, "" },
	{ HT, "0", "1", "", NULL, 0, 0, ALL, ALL, -ENOSPC, "", "", 0, 0,
	  "there is no cpu next to gpu 0 on numa node 1" },
	{ HT, "0", "", "4", NULL, 0, 0, ALL, ALL, -ENOSPC, "", "", 0, 0, "none of cpus 4 is next to gpu 0" },
	/* cores: whole ones, places in turn, a list in its order */
	{ HT, "0", "", "", NULL, 2, 0, ALL, ALL, 0, "0-1,8-9", "0", 2, 0, "" },
	{ HT, "0,2", "", "", NULL, 3, 0, ALL, ALL, 0, "0-1,4,8-9,12", "0-1", 3, 0, "" },
	{ HT, "", "", "3-15", NULL, 2, 0, ALL, ALL, 0, "3-4,11-12", "0-1", 2, 0, "" },
	{ HT, "0", "", "", NULL, 9, 0, ALL, ALL, 0, "0-3,8-11", "0", 4, 0, "asked for 9 cores, got 4" },
	/* what the cgroup leaves */
	{ HT, "", "", "0-3", NULL, 0, 0, "2-5", ALL, 0, "2-3", "0", 2, 0,
	  "asked for cpus 0-3, got 2-3: 0-1 are not allowed here" },
	{ HT, "0", "", "", NULL, 0, 0, "0-10", ALL, 0, "0-3,8-10", "0", 4, 0,
	  "asked for cpus 0-3,8-11 next to gpu 0, got 0-3,8-10: 11 is not allowed here" },
	{ HT, "", "", "14-17", NULL, 0, 0, "0-14", ALL, 0, "14", "1", 1, 0,
	  "asked for cpus 14-17, got 14: 16-17 do not exist, 15 is not allowed here" },
	{ HT, "0", "", "0-16", NULL, 0, 0, ALL, ALL, 0, "0-3,8-11", "0", 4, 0,
	  "asked for cpus 0-16 next to gpu 0, got 0-3,8-11: 16 does not exist" },
	{ HT, "", "", "0-3", NULL, 0, 0, "4-7", ALL, -ENOSPC, "", "", 0, 0,
	  "none of cpus 0-3 is allowed here, only 4-7" },
	{ HT, "2", "", "", NULL, 0, 0, "0-3", ALL, -ENOSPC, "", "", 0, 0,
	  "none of cpus 4-7,12-15 next to gpu 2 is allowed here, only 0-3" },
	/* what is not there */
	{ HT, "4", "", "", NULL, 0, 0, ALL, ALL, -ENODEV, "", "", 0, 0, "there is no gpu '4': this machine has 0-3" },
	{ HT, "", "2", "", NULL, 0, 0, ALL, ALL, -ENODEV, "", "", 0, 0,
	  "there is no numa node 2: this machine has 0-1" },
	{ HT, "", "", "16-99", NULL, 0, 0, ALL, ALL, -ENODEV, "", "", 0, 0,
	  "there is no cpu 16-99: this machine has 0-15" },
	{ HT, "", "", "", "mlx5_9", 0, 0, ALL, ALL, -ENODEV, "", "", 0, 0, "there is no network device 'mlx5_9'" },
	/* memory */
	{ HT, "2", "", "", NULL, 0, ZN_MEM_BIND, ALL, "0-1", 0, "4-7,12-15", "1", 4, ZN_MEM_BIND, "" },
	{ HT, "", "", "0,4", NULL, 0, ZN_MEM_INTERLEAVE, ALL, "0-1", 0, "0,4", "0-1", 2, ZN_MEM_INTERLEAVE, "" },
	{ HT, "", "0-1", "", NULL, 0, ZN_MEM_BIND, ALL, "0", 0, "0-15", "0", 8, ZN_MEM_BIND,
	  "asked for memory policy bind on numa node 0-1, got 0: 1 is not allowed here" },
	{ HT, "2", "", "", NULL, 0, ZN_MEM_PREFER, ALL, "0", 0, "4-7,12-15", "", 4, ZN_MEM_DEFAULT,
	  "asked for memory policy prefer on numa node 1, left it to the kernel: 1 is not allowed here" },
	{ HT, "2", "", "", NULL, 0, ZN_MEM_DEFAULT, ALL, "0", 0, "4-7,12-15", "1", 4, ZN_MEM_DEFAULT, "" },
	/* numbers above 63 and 1024 */
	{ "numa:2 core:600", "", "", "63-65,1023-1025", NULL, 0, 0, ALL, ALL, 0, "63-65,1023-1025", "0-1", 6, 0, "" },
};

static bool is_list(const struct zn_idset *s, const char *list)
{
	struct zn_idset want = ids(list);

	return zn_idset_equal(s, &want);
}

static void add_nics(struct zn_facts *f)
{
	f->nics = zn_arena_array(&f->arena, 2, sizeof(*f->nics));
	f->n_nics = 2;
	f->nics[0] = (struct zn_nic){ .nic = "mlx5_0", .numa = ZN_SOME_U64(0) };
	f->nics[1] = (struct zn_nic){ .nic = "mlx5_1", .netdev = "eth7", .cpus = f->numas[1].cpus };
}

static void test_rows(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		struct zn_facts *f = machine_new(r->machine);
		const char *nic = r->nic;
		struct zn_pin_ask ask = {
			.gpus = ids(r->gpus), .numas = ids(r->numas), .cpus = ids(r->cpus),
			.nics = { &nic, nic ? 1 : 0 }, .cores = { r->cores, r->cores > 0 }, .mem = r->mem,
		};
		struct zn_idset cpus = ids(r->allowed_cpus), numas = ids(r->allowed_numas);
		struct zn_pin p = { .cores = 4711 };
		struct zn_err err = { "" };
		add_nics(f);
		int rc = zn_pin_make(f, &ask, &cpus, &numas, &p, &err);
		bool ok = rc == r->rc && !strcmp(rc ? err.text : p.degraded, r->sentence);
		if (rc == 0)
			ok = ok && is_list(&p.cpus, r->got_cpus) && p.cores == r->got_cores &&
			     p.mem == r->got_mem && is_list(&p.numas, r->got_numas);
		else
			ok = ok && p.cores == 4711;
		if (!tap_ok(ok, "row %zu: gpu '%s' numa '%s' cpus '%s'", i, r->gpus, r->numas, r->cpus))
			printf("# rc %d cpus %s numas %s cores %u mem %s '%s'\n", rc, list_of(&p.cpus),
			       list_of(&p.numas), p.cores, zn_mem_policy_name(p.mem), rc ? err.text : p.degraded);
		machine_free(f);
	}
}

static void test_mock(void)
{
	struct zn_facts *f = machine_new(HT);
	struct zn_pin_ask ask = { .gpus = ids("2"), .mem = ZN_MEM_BIND };
	struct zn_idset cpus = ids(ALL), numas = ids("0");
	struct zn_pin p;

	f->machine.mock = true;
	tap_ok(zn_pin_make(f, &ask, &cpus, &numas, &p, NULL) == 0 && p.mem == ZN_MEM_DEFAULT &&
	       !strcmp(p.degraded, "asked for memory policy bind on numa node 1, left it to the kernel: "
	                           "1 is only a mock"), "memory is never bound to a mock node");
	machine_free(f);
}

static const struct { const char *text, *want; int rc; } names[] = {
	{ "0", "0", 0 }, { "1-2", "1-2", 0 }, { "0,2-3", "0,2-3", 0 }, { "GPU-00000001", "1", 0 },
	{ "gpu-00000001,3", "1,3", 0 }, { "0000:12:00.0", "2", 0 }, { "12:00.0", "2", 0 },
	{ "00000000:12:00.0,0", "0,2", 0 }, { "0,0", "0", 0 },
	{ "", "", -EINVAL }, { "0,", "", -EINVAL }, { ",0", "", -EINVAL }, { "-1", "", -ENODEV },
	{ "3-1", "", -EINVAL }, { "4", "", -ENODEV }, { "0-9", "", -ENODEV }, { "GPU-0000000", "", -ENODEV },
	{ "0000:99:00.0", "", -ENODEV }, { "99999999999999999999", "", -ERANGE }, { "1x", "", -EINVAL },
	{ "0001:12:00.0", "", -ENODEV }, { "12:00.0x", "", -ENODEV }, { "12:", "", -ENODEV },
};

static void test_names(void)
{
	struct zn_facts *f = machine_new(HT);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct zn_idset got = { 0 };
		struct zn_err err = { "" };
		int rc = zn_pin_parse_gpus(f, names[i].text, &got, &err);
		if (!tap_ok(rc == names[i].rc && is_list(&got, names[i].want) && !rc == !*err.text,
		            "gpus '%s'", names[i].text))
			printf("# rc %d got %s '%s'\n", rc, list_of(&got), err.text);
	}
	machine_free(f);
}

static const struct { const char *machine, *gpus, *cpus; uint32_t n; int rc; const char *want; } spreads[] = {
	{ HT, "", "0-15", 2, 0, ":0-3,8-11/0 :4-7,12-15/1" },
	{ HT, "", "0-15", 3, 0, ":0-2,8-10/0 :3-5,11-13/0-1 :6-7,14-15/1" },
	{ HT, "0-3", "0-15", 4, 0, "0:0-1,8-9/0 1:2-3,10-11/0 2:4-5,12-13/1 3:6-7,14-15/1" },
	{ HT, "0-3", "4-15", 2, 0, "0-1:8-11/0 2-3:4-7,12-15/1" },
	{ HT, "", "0,8,1", 2, 0, ":0,8/0 :1/0" },
	{ HT, "", "0,8", 2, 0, ":0/0! :8/0!" },
	{ HT, "1", "0-3", 2, 0, "1:0-1/0 :2-3/0!" },
	{ HT, "", "0-1", 3, -ENOSPC, "" },
	{ HT, "", "0-1", 0, -EINVAL, "" },
};

static void test_spread(void)
{
	for (size_t i = 0; i < sizeof(spreads) / sizeof(spreads[0]); i++) {
		struct zn_facts *f = machine_new(spreads[i].machine);
		struct zn_pin whole = { .gpus = ids(spreads[i].gpus), .cpus = ids(spreads[i].cpus), .numas = ids("0-1") };
		struct zn_pin parts[8];
		struct zn_err err = { "" };
		char got[256] = "";
		int rc = zn_pin_spread(f, &whole, spreads[i].n, parts, &err);
		for (uint32_t k = 0; rc == 0 && k < spreads[i].n; k++) {
			size_t n = strlen(got);
			snprintf(got + n, sizeof(got) - n, "%s%s:%s/%s%s", k ? " " : "", list_of(&parts[k].gpus),
			         list_of(&parts[k].cpus), list_of(&parts[k].numas), *parts[k].degraded ? "!" : "");
		}
		if (!tap_ok(rc == spreads[i].rc && !strcmp(got, spreads[i].want) && !rc == !*err.text,
		            "cpus %s into %u", spreads[i].cpus, spreads[i].n))
			printf("# rc %d got %s\n", rc, got);
		machine_free(f);
	}
}

/* ---- the kernel ---- */

static struct zn_idset one_of(const struct zn_idset *s, bool last)
{
	struct zn_idset one = { 0 };

	zn_idset_each(id, s) {
		if (last || zn_idset_is_empty(&one)) {
			one = (struct zn_idset){ 0 };
			zn_idset_add(&one, (unsigned)id);
		}
	}
	return one;
}

static void test_self(void)
{
	struct zn_proc_pinned was, now;
	struct zn_idset one, none = { 0 }, mixed, far = ids("1900-1999");
	int rc = zn_proc_pinned_read(0, &was, NULL);

	tap_ok(rc == 0 && zn_idset_equal(&was.cpus, &was.cpus_allowed) &&
	       was.threads == 1, "affinity and /proc agree on cpus %s", list_of(&was.cpus));
	one = one_of(&was.cpus, true);
	tap_ok(zn_proc_pin_cpus(0, &one) == 0 && zn_proc_pinned_read(0, &now, NULL) == 0 &&
	       zn_idset_equal(&now.cpus, &one), "pinned to the last cpu");
	mixed = zn_idset_or(&was.cpus, &far);
	tap_ok(zn_proc_pin_cpus(0, &mixed) == 0 && zn_proc_pinned_read(0, &now, NULL) == 0 &&
	       zn_idset_equal(&now.cpus, &was.cpus), "the kernel drops cpus that do not exist, and says so when asked");
	tap_ok(zn_proc_pin_cpus(0, &none) == -EINVAL && zn_proc_pin_cpus(0, &far) == -EINVAL, "no cpu at all is refused");
}

static void test_memory(void)
{
	struct zn_proc_pinned was, now;
	struct zn_idset far = ids("900");

	if (zn_proc_pinned_read(0, &was, NULL) < 0 || zn_idset_is_empty(&was.numas_allowed)) {
		tap_ok(true, "memory policy # SKIP the kernel has no NUMA");
		return;
	}
	for (enum zn_proc_mem mem = ZN_PROC_MEM_BIND; mem <= ZN_PROC_MEM_INTERLEAVE; mem++) {
		int rc = zn_proc_pin_mem(mem, &was.numas_allowed);
		if (rc == -EPERM || rc == -ENOSYS) {
			tap_ok(true, "memory policy # SKIP refused here: %s", strerror(-rc));
			continue;
		}
		tap_ok(rc == 0 && zn_proc_pinned_read(0, &now, NULL) == 0 && now.has_mem && now.mem == mem &&
		       zn_idset_equal(&now.mem_numas, &was.numas_allowed), "memory policy %s reads back",
		       zn_proc_mem_name(mem));
	}
	tap_ok(zn_proc_pin_mem(ZN_PROC_MEM_BIND, &far) == -EINVAL, "a node that is not there is refused");
	tap_ok(zn_proc_pin_mem(ZN_PROC_MEM_DEFAULT, &far) == 0 && zn_proc_pinned_read(0, &now, NULL) == 0 &&
	       now.mem == ZN_PROC_MEM_DEFAULT, "and back to the default");
	tap_ok(zn_proc_move_pages(getpid(), &was.numas_allowed, NULL) == 0, "moving to where all is moves nothing");
}

static void *idle_thread(void *fd)
{
	char c;

	if (read(*(int *)fd, &c, 1) < 0)
		return fd;
	return NULL;
}

/* A child with four threads and a child of its own; it says '!' when all are there and ends when fd closes. */
static _Noreturn void busy_child(int wait_fd, int ready_fd)
{
	pthread_t t[3];

	for (int i = 0; i < 3; i++)
		if (pthread_create(&t[i], NULL, idle_thread, &wait_fd))
			_exit(1);
	if (fork() != 0 && write(ready_fd, "!", 1) != 1)
		_exit(1);
	idle_thread(&wait_fd);
	_exit(0);
}

static void test_threads(void)
{
	int hold[2], ready[2];
	struct zn_proc_pinned was, now;
	struct zn_idset one;
	unsigned threads = 0;
	pid_t child, *tree = NULL;
	size_t n = 0;
	char c;

	fflush(stdout);
	if (pipe(hold) || pipe(ready) || zn_proc_pinned_read(0, &was, NULL) < 0)
		abort();
	child = fork();
	if (child == 0) {
		close(hold[1]);
		busy_child(hold[0], ready[1]);
	}
	close(hold[0]);
	if (read(ready[0], &c, 1) != 1)
		abort();
	one = one_of(&was.cpus, false);
	tap_ok(zn_proc_pin_threads(child, &one, &threads, NULL) == 0 && threads == 4, "all four threads are pinned");
	tap_ok(zn_proc_pinned_read(child, &now, NULL) == 0 && now.threads == 4 && zn_idset_equal(&now.cpus, &one) &&
	       !now.has_mem, "as the kernel says");
	tap_ok(zn_proc_tree(child, &tree, &n, NULL) == 0 && n == 2 && tree[0] == child, "its tree has two processes");
	free(tree);
	close(hold[1]);
	waitpid(child, NULL, 0);
}

static void test_gone(void)
{
	struct zn_idset one = ids("0");
	struct zn_proc_pinned now;
	struct zn_err err = { "" };
	pid_t child = fork(), *tree;
	size_t n;

	if (child == 0)
		_exit(0);
	waitpid(child, NULL, 0);
	tap_ok(zn_proc_pin_threads(child, &one, NULL, &err) == -ESRCH && !strncmp(err.text, "there is no process ", 20) &&
	       zn_proc_pinned_read(child, &now, NULL) == -ESRCH && zn_proc_tree(child, &tree, &n, NULL) == -ESRCH,
	       "a process that is gone is none (%s)", err.text);
}

int main(void)
{
	test_rows();
	test_mock();
	test_names();
	test_spread();
	test_self();
	test_memory();
	test_threads();
	test_gone();
	return tap_done();
}
