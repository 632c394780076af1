/* zn-pin: run a command next to a GPU, NUMA node or network device, and say what was really got. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cli/cli.h"
#include "plan/pin_record.h"
#include "proc/pin.h"
#include "proc/pinned_record.h"
#include "rec/ids.h"

_Static_assert((int)ZN_MEM_BIND == (int)ZN_PROC_MEM_BIND && (int)ZN_MEM_PREFER == (int)ZN_PROC_MEM_PREFER &&
               (int)ZN_MEM_INTERLEAVE == (int)ZN_PROC_MEM_INTERLEAVE, "plan and proc count policies alike");

enum { PID_LIMIT = 1 << 22 }; /* the kernel's own */

static struct {
	struct zn_strs gpus, nics;
	const char *numas, *cpus, *mem;
	struct zn_ou64 cores, pid, spread;
	bool huge, tree, dry_run, verify;
} o;

static const struct zn_opt opts[] = {
	{ 'g', "gpu", ZN_OPT_STRS, "LIST", &o.gpus, "gpu", "next to these GPUs: numbers, UUIDs or PCI addresses" },
	{ 'N', "numa", ZN_OPT_STR, "LIST", &o.numas, "numa", "on the CPUs of these NUMA nodes" },
	{ 'n', "nic", ZN_OPT_STRS, "NAME", &o.nics, NULL, "next to this network device (mlx5_0, eth0)" },
	{ 'C', "cpus", ZN_OPT_STR, "LIST", &o.cpus, NULL, "on these CPUs" },
	{ 'c', "cores", ZN_OPT_U64, "N", &o.cores, NULL, "on at most N physical cores of them" },
	{ 'm', "mem", ZN_OPT_CHOICE, "POLICY", &o.mem, "bind|prefer|interleave",
	  "memory of the same nodes: bind, prefer or interleave" },
	{ 0, "huge", ZN_OPT_FLAG, NULL, &o.huge, NULL, "let malloc ask for transparent huge pages" },
	{ 'p', "pid", ZN_OPT_U64, "PID", &o.pid, NULL, "pin this running process, all its threads" },
	{ 0, "tree", ZN_OPT_FLAG, NULL, &o.tree, NULL, "with --pid: its descendants too" },
	{ 0, "dry-run", ZN_OPT_FLAG, NULL, &o.dry_run, NULL, "print the plan as a record and do nothing" },
	{ 0, "verify", ZN_OPT_FLAG, NULL, &o.verify, NULL,
	  "say on stderr (with -o: as a record) what the kernel gave, then run the command" },
	{ 0, "spread", ZN_OPT_U64, "N", &o.spread, NULL, "print N disjoint plans as records and do nothing" },
	ZN_CLI_OUTPUT_OPTS,
	{ 0 },
};

static const struct zn_cmd cmd = {
	.name = "zn-pin",
	.brief = "run a command near a GPU, NUMA node or network device",
	.synopsis = "[options] [--] COMMAND [ARG...]\n"
	            "[options] --pid PID [--tree]\n"
	            "[options] --dry-run|--spread N [COMMAND [ARG...]]",
	.opts = opts,
	.complete = "command",
	.stop_at_operand = true,
	.wraps = true,
};

/* ---- records ---- */

static const struct zn_kind *const kinds[] = { &zn_pin_kind, &zn_pinned_kind, NULL };

static struct zn_arena arena;

static void put(struct zn_writer *w, const struct zn_kind *kind, const void *record)
{
	int rc = zn_writer_put(w, kind, record);

	if (rc < 0)
		exit(zn_cli_fail(ZN_EXIT_WRAP, "can't write a record: %s", strerror(-rc)));
}

static int end(struct zn_writer *w)
{
	return zn_cli_end(w, ZN_EXIT_OK) == ZN_EXIT_OK ? ZN_EXIT_OK : ZN_EXIT_WRAP;
}

static int fail(const struct zn_err *err)
{
	return zn_cli_fail(ZN_EXIT_WRAP, "%s", err->text);
}

/* One more clause of the one warning. */
static void note(struct zn_pin *pin, const char *text)
{
	size_t n = strlen(pin->degraded);

	snprintf(pin->degraded + n, sizeof(pin->degraded) - n, "%s%s", n ? "; " : "", text);
}

static void warn(const struct zn_pin *pin)
{
	if (*pin->degraded)
		zn_cli_warn("%s", pin->degraded);
}

/* ---- what is asked ---- */

static bool has_place(void)
{
	return o.gpus.n || o.nics.n || o.numas || o.cpus;
}

static void check_usage(int n_operands)
{
	bool plans = o.dry_run || o.spread.has;

	if (o.pid.has && n_operands)
		zn_cli_usage("--pid pins a running process: a command has no place here");
	if (o.pid.has && (!o.pid.v || o.pid.v > PID_LIMIT))
		zn_cli_usage("option '--pid': %llu is no process number", (unsigned long long)o.pid.v);
	if (o.tree && !o.pid.has)
		zn_cli_usage("--tree needs --pid");
	if (o.spread.has && (o.pid.has || o.verify))
		zn_cli_usage("--spread prints plans; it pins nothing");
	if (o.spread.has && (!o.spread.v || o.spread.v > ZN_IDSET_MAX))
		zn_cli_usage("option '--spread': not from 1 to %d", ZN_IDSET_MAX);
	if (o.cores.has && !o.cores.v)
		zn_cli_usage("option '--cores': 0 cores run nothing");
	if (!has_place() && !o.cores.has && !o.mem && !o.spread.has && !o.huge && !o.verify)
		zn_cli_usage("where? --gpu, --nic, --numa or --cpus is missing");
	if (!n_operands && !o.pid.has && !plans && !o.verify)
		zn_cli_usage("a command is missing");
}

static int parse_list(const char *option, const char *text, struct zn_idset *ret, struct zn_err *err)
{
	struct zn_err why;

	if (!text)
		return 0;
	int rc = zn_idset_parse(text, ret, &why);
	if (rc < 0)
		return zn_err_set(err, rc, "option '--%s': %s", option, why.text);
	if (zn_idset_is_empty(ret))
		return zn_err_set(err, -EINVAL, "option '--%s': the list is empty", option);
	return 0;
}

static void split_nics(struct zn_strs *ret)
{
	size_t n = 0, words = 0;

	for (size_t i = 0; i < o.nics.n; i++)
		words += strlen(o.nics.v[i]) + 1;
	ret->v = zn_cli_must(zn_arena_array(&arena, words + 1, sizeof(*ret->v)));
	for (size_t i = 0; i < o.nics.n; i++)
		for (const char *p = o.nics.v[i];; p += n + 1) {
			n = strcspn(p, ",");
			ret->v[ret->n++] = zn_cli_must(zn_arena_memdup(&arena, p, n));
			if (!p[n])
				break;
		}
}

static enum zn_mem_policy mem_policy(void)
{
	for (enum zn_mem_policy mem = ZN_MEM_BIND; o.mem && mem <= ZN_MEM_INTERLEAVE; mem++)
		if (!strcmp(o.mem, zn_mem_policy_name(mem)))
			return mem;
	return ZN_MEM_DEFAULT;
}

static int read_ask(const struct zn_facts *f, const struct zn_idset *allowed, struct zn_pin_ask *ask,
                    struct zn_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < o.gpus.n; i++)
		rc = zn_pin_parse_gpus(f, o.gpus.v[i], &ask->gpus, err);
	split_nics(&ask->nics);
	ask->cores = o.cores;
	ask->mem = mem_policy();
	if (!has_place())
		ask->cpus = *allowed;
	return rc;
}

/* What it may have: the CPUs of this process, or of another one's cgroup; nodes only where they matter. */
static int read_allowed(const struct zn_facts *f, struct zn_idset *cpus, struct zn_idset *numas,
                        struct zn_err *err)
{
	struct zn_proc_pinned now;
	int rc;

	if (o.pid.has) {
		rc = zn_proc_pinned_read((pid_t)o.pid.v, &now, err);
		if (rc == 0 && zn_proc_cpuset_read((pid_t)o.pid.v, cpus) < 0)
			for (size_t i = 0; i < f->n_cpus; i++)
				zn_idset_add(cpus, f->cpus[i].cpu);
	} else if (o.mem) {
		rc = zn_proc_pinned_read(0, &now, err);
		*cpus = now.cpus;
	} else {
		rc = zn_proc_cpus_read(0, cpus);
		return rc < 0 ? zn_err_set(err, rc, "can't read the own affinity: %s", strerror(-rc)) : 0;
	}
	if (rc == 0)
		*numas = now.numas_allowed;
	return rc;
}

/* Only devices need the PCI bus and the drivers to be read. */
static int make_plan(struct zn_facts **f, struct zn_pin *pin, struct zn_err *err)
{
	struct zn_pin_ask ask = { 0 };
	struct zn_idset cpus = { 0 }, numas = { 0 };

	int rc = parse_list("cpus", o.cpus, &ask.cpus, err);
	if (rc == 0)
		rc = parse_list("numa", o.numas, &ask.numas, err);
	if (rc == 0)
		rc = o.gpus.n || o.nics.n ? zn_facts_read(NULL, f, err)
		                          : zn_facts_read_cpus(o.cpus ? &ask.cpus : NULL, f, err);
	if (rc == 0)
		rc = read_allowed(*f, &cpus, &numas, err);
	if (rc == 0)
		rc = read_ask(*f, &cpus, &ask, err);
	return rc < 0 ? rc : zn_pin_make(*f, &ask, &cpus, &numas, pin, err);
}

/* ---- plans ---- */

static struct zn_strmap environment(const struct zn_facts *f, const struct zn_pin *pin)
{
	struct zn_pin_env env = { .gpus = o.gpus.n, .huge = o.huge, .omp_num_threads = getenv("OMP_NUM_THREADS"),
	                          .tunables = getenv("GLIBC_TUNABLES") };
	struct zn_strmap map;

	if (zn_pin_env_make(f, pin, &env, &arena, &map) < 0)
		zn_cli_must(NULL);
	return map;
}

static void put_plan(struct zn_writer *w, const struct zn_facts *f, const struct zn_pin *pin,
                     struct zn_ou64 part, char **words)
{
	struct zn_pin_record r;

	if (zn_pin_record_make(pin, &arena, &r) < 0)
		zn_cli_must(NULL);
	r.part = part;
	r.pid = o.pid;
	r.command.v = (const char **)words;
	while (words[r.command.n])
		r.command.n++;
	if (!o.pid.has)
		r.environment = environment(f, pin);
	put(w, &zn_pin_kind, &r);
}

static int put_plans(const struct zn_facts *f, const struct zn_pin *pin, char **words)
{
	uint32_t n = (uint32_t)o.spread.v;
	struct zn_pin *parts;
	struct zn_writer *w;
	struct zn_err err;

	if (!o.spread.has) {
		w = zn_cli_writer(kinds, false);
		put_plan(w, f, pin, (struct zn_ou64){ 0 }, words);
		return end(w);
	}
	parts = zn_cli_must(zn_arena_array(&arena, n, sizeof(*parts)));
	if (zn_pin_spread(f, pin, n, parts, &err) < 0)
		return fail(&err);
	w = zn_cli_writer(kinds, false);
	for (uint32_t i = 0; i < n; i++)
		put_plan(w, f, &parts[i], ZN_SOME_U64(i), words);
	return end(w);
}

/* ---- what the kernel says ---- */

/* w NULL: in words on stderr. */
static int verify(struct zn_writer *w, pid_t pid, struct zn_ou64 pages_left, struct zn_err *err)
{
	struct zn_pinned_record r;
	struct zn_buf line = { 0 };
	int rc = zn_pinned_record_read(pid, &arena, &r, err);

	if (rc < 0)
		return rc;
	r.pages_left = pages_left;
	if (w) {
		put(w, &zn_pinned_kind, &r);
		return 0;
	}
	zn_pinned_record_say(&r, &line);
	zn_cli_warn("%s", (const char *)zn_cli_must((void *)zn_buf_text(&line)));
	zn_buf_done(&line);
	return 0;
}

static struct zn_writer *verify_writer(void)
{
	return o.verify && zn_cli_output.format ? zn_cli_writer(kinds, false) : NULL;
}

/* ---- a running process ---- */

static struct zn_ou64 move_memory(pid_t pid, struct zn_pin *pin)
{
	struct zn_err err;
	char text[160];

	if (pin->mem != ZN_MEM_BIND)
		return (struct zn_ou64){ 0 };
	long left = zn_proc_move_pages(pid, &pin->numas, &err);
	if (left < 0)
		note(pin, err.text);
	if (left <= 0)
		return (struct zn_ou64){ .has = left == 0 };
	snprintf(text, sizeof(text), "%ld pages of process %d could not be moved", left, (int)pid);
	note(pin, text);
	return ZN_SOME_U64((uint64_t)left);
}

struct running {
	struct zn_pin *pin;
	struct zn_writer *w;
};

static int on_pinned(void *arg, pid_t pid, struct zn_err *err)
{
	struct running *r = arg;
	struct zn_ou64 left = move_memory(pid, r->pin);

	return o.verify ? verify(r->w, pid, left, err) : 0;
}

static int pin_running(struct zn_pin *pin)
{
	struct running r = { .pin = pin, .w = verify_writer() };
	struct zn_err err;

	if (pin->mem == ZN_MEM_PREFER || pin->mem == ZN_MEM_INTERLEAVE)
		note(pin, "the memory policy of a running process can't be set from outside");
	if (o.huge)
		note(pin, "a running process does not look at its tunables again");
	int rc = (o.tree ? zn_proc_pin_tree : zn_proc_pin_process)((pid_t)o.pid.v, &pin->cpus, on_pinned, &r, &err);
	warn(pin);
	return rc < 0 ? fail(&err) : end(r.w);
}

/* ---- a new command ---- */

static void set_memory(struct zn_pin *pin)
{
	char text[160];
	int rc;

	if (pin->mem == ZN_MEM_DEFAULT)
		return;
	rc = zn_proc_pin_mem((enum zn_proc_mem)pin->mem, &pin->numas);
	if (rc == 0)
		return;
	snprintf(text, sizeof(text), "asked for memory policy %s on numa node %s, left as it was: %s",
	         zn_mem_policy_name(pin->mem), (const char *)zn_cli_must((void *)zn_ids_text(&pin->numas, &arena)), strerror(-rc));
	note(pin, text);
	pin->mem = ZN_MEM_DEFAULT;
}

static int become(char **words)
{
	execvp(words[0], words);
	if (errno == ENOENT)
		return zn_cli_fail(ZN_EXIT_NOT_FOUND, "command '%s' not found", words[0]);
	return zn_cli_fail(ZN_EXIT_NOT_RUNNABLE, "can't run '%s': %s", words[0], strerror(errno));
}

static int pin_self(const struct zn_facts *f, struct zn_pin *pin, char **words)
{
	struct zn_strmap env = environment(f, pin);
	struct zn_writer *w = verify_writer();
	struct zn_err err;
	int rc = zn_proc_pin_cpus(0, &pin->cpus);

	if (rc < 0)
		return zn_cli_fail(ZN_EXIT_WRAP, "can't run on cpus %s: %s", (const char *)zn_cli_must((void *)zn_ids_text(&pin->cpus, &arena)), strerror(-rc));
	set_memory(pin);
	if (o.huge && prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0) < 0)
		note(pin, "huge pages stay switched off for this process");
	warn(pin);
	if (o.verify && verify(w, 0, (struct zn_ou64){ 0 }, &err) < 0)
		return fail(&err);
	if (w && (rc = zn_writer_end(w)) < 0) /* not zn_cli_end: stdout goes on to the command */
		return zn_cli_fail(ZN_EXIT_WRAP, "can't write a record: %s", strerror(-rc));
	zn_writer_free(w);
	for (size_t i = 0; i < env.n; i++)
		if (setenv(env.v[i].key, env.v[i].value, 1) < 0)
			return zn_cli_fail(ZN_EXIT_WRAP, "can't set '%s': %s", env.v[i].key, strerror(errno));
	return words[0] ? become(words) : end(NULL);
}

int main(int argc, char **argv)
{
	int at = zn_cli_parse(&cmd, argc, argv);
	struct zn_facts *f = NULL;
	struct zn_pin pin;
	struct zn_err err;
	int code;

	if (zn_cli_output.fields && !strcmp(zn_cli_output.fields, "help"))
		zn_cli_writer(kinds, false); /* which prints them and leaves */
	check_usage(argc - at);
	if (make_plan(&f, &pin, &err) < 0) {
		code = fail(&err);
	} else if (o.dry_run || o.spread.has) {
		warn(&pin);
		code = put_plans(f, &pin, argv + at);
	} else {
		code = o.pid.has ? pin_running(&pin) : pin_self(f, &pin, argv + at);
	}
	zn_facts_free(f);
	zn_arena_done(&arena);
	return code;
}
