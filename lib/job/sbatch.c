#include "job/sbatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/units.h"
#include "job/spec.h"
#include "rec/selector.h"

enum { REQUEUES = 5 }; /* MaxBatchRequeue, as slurm.conf has it when it says nothing */
static const double SIGNAL_LEAD_S = 60; /* --signal without a time, sbatch(1) */

/* What the lines ask, until all of it is known: some options are per task, per CPU or per GPU. */
struct asked {
	struct zn_arena *a;
	struct zn_sbatch *ret;
	size_t cap, cap_ignored;
	uint64_t nodes;                /* 0: not said */
	struct zn_ou64 tasks, tasks_per_node, cpus_per_task, cpus_per_gpu, gpus, gpus_per_node, gpus_per_task;
	struct zn_ou64 mem, mem_per_cpu, mem_per_gpu; /* bytes */
	struct zn_of64 time_s;
	const char *name, *output, *error, *mail_user;
	bool can_mail, mail_end, mail_fail;
	const char *signal;
	double lead_s;
};

static int add(struct asked *q, struct zn_strs *to, size_t *cap, const char *word)
{
	if (to->n == *cap) {
		size_t more = *cap ? 2 * *cap : 16;
		const char **v = zn_arena_array(q->a, more, sizeof(*v));
		if (!v)
			return -ENOMEM;
		if (to->n)
			memcpy(v, to->v, to->n * sizeof(*v));
		to->v = v;
		*cap = more;
	}
	if (!word)
		return -ENOMEM;
	to->v[to->n++] = word;
	return 0;
}

static int say_flag(struct asked *q, const char *option)
{
	return add(q, &q->ret->words, &q->cap, option);
}

/* value NULL: memory ran out where it was made. */
static int say(struct asked *q, const char *option, const char *value)
{
	int rc = say_flag(q, option);

	return rc == 0 ? add(q, &q->ret->words, &q->cap, value) : rc;
}

static int say_number(struct asked *q, const char *option, uint64_t v)
{
	return say(q, option, zn_arena_printf(q->a, "%llu", (unsigned long long)v));
}

/* What is too much stays too much, and is refused where limits are known. */
static uint64_t times(uint64_t a, uint64_t b)
{
	uint64_t product;

	return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

/* ---- values ------------------------------------------------------------------------------------- */

static int bad(const char *name, const char *value, struct zn_err *err)
{
	return zn_err_set(err, -EBADMSG, "#SBATCH --%s '%s' makes no sense", name, value);
}

static int take_number(const char *name, const char *value, struct zn_ou64 *ret, struct zn_err *err)
{
	if (zn_parse_u64(value, 0, UINT32_MAX, &ret->v, NULL) < 0)
		return bad(name, value, err);
	ret->has = true;
	return 0;
}

/* "2", "a100:2", "gpu:2", "gpu:a100:2": one kind of GPU is all that a machine has here. */
static int take_gpus(const char *name, const char *value, struct zn_ou64 *ret, struct zn_err *err)
{
	const char *colon = strrchr(value, ':');

	if (!strcmp(value, "gpu"))
		value = "1";
	return take_number(name, colon ? colon + 1 : value, ret, err);
}

/* Without a unit these are megabytes. */
static int take_mem(const char *name, const char *value, struct zn_ou64 *ret, struct zn_err *err)
{
	size_t digits = strspn(value, "0123456789");

	if (!digits || zn_parse_bytes(value, &ret->v, NULL) < 0)
		return bad(name, value, err);
	ret->v = value[digits] ? ret->v : times(ret->v, 1 << 20);
	ret->has = ret->v > 0; /* 0: all of the node, which is what a job without a limit has */
	return 0;
}

/* "minutes", "minutes:seconds", "hours:minutes:seconds", "days-hours", "days-hours:minutes", "days-hours:minutes:seconds" */
static int take_time(const char *name, const char *value, struct zn_of64 *ret, struct zn_err *err)
{
	const char *dash = strchr(value, '-'), *at = dash ? dash + 1 : value;
	double part[3] = { 0 }, days = 0;
	int n = 0;
	char *end;

	if (!strcasecmp(value, "UNLIMITED") || !strcasecmp(value, "INFINITE"))
		return 0;
	if (dash)
		days = (double)strtoul(value, &end, 10);
	if (dash && (end != dash || end == value))
		return bad(name, value, err);
	for (; n < 3; n++) {
		if (!strspn(at, "0123456789"))
			return bad(name, value, err);
		part[n] = (double)strtoul(at, &end, 10);
		at = end + (*end == ':');
		if (*end != ':')
			break;
	}
	if (*end)
		return bad(name, value, err);
	double s = dash || n == 2 ? part[0] * 3600 + part[1] * 60 + part[2] : part[0] * 60 + part[1];
	*ret = ZN_SOME_F64(days * 86400 + s);
	return 0;
}

/* %j %A: the job, %N %n: the node, %t: the rank, %x: the name; others mean nothing here and stay. */
static const char *make_pattern(const struct asked *q, const char *value)
{
	static const char *const pairs[] = { "jj", "Aj", "Nn", "nn", "tr", "%%" };
	struct zn_buf b = { 0 };

	for (const char *p = value; *p; p++) {
		if (*p != '%' || !p[1]) {
			zn_buf_addch(&b, *p);
			continue;
		}
		char what = *++p;
		for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
			if (pairs[i][0] == *p)
				what = pairs[i][1];
		if (what == 'x')
			zn_buf_addstr(&b, q->name ? q->name : "job");
		else
			zn_buf_printf(&b, "%%%c", what);
	}
	const char *text = zn_buf_text(&b);
	const char *to = text ? zn_arena_strdup(q->a, text) : NULL;
	zn_buf_done(&b);
	return to;
}

/* "now+2hours" and moments of the clock. */
static int take_moment(struct asked *q, const char *name, const char *option, const char *value, struct zn_err *err)
{
	static const struct { const char *word; char unit; } units[] = {
		{ "seconds", 's' }, { "minutes", 'm' }, { "hours", 'h' }, { "days", 'd' }, { "weeks", 'w' },
	};
	size_t digits;
	double at;

	if (strncmp(value, "now", 3) == 0) {
		if (!value[3])
			return 0;
		digits = value[3] == '+' ? strspn(value + 4, "0123456789") : 0;
		const char *word = value + 4 + digits;
		for (size_t i = 0; digits && i < sizeof(units) / sizeof(*units); i++) {
			size_t len = strlen(units[i].word);
			if (*word && strncmp(word, units[i].word, strlen(word) < len - 1 ? len : strlen(word)))
				continue;
			uint64_t n = strtoull(value + 4, NULL, 10) * (units[i].unit == 'w' ? 7 : 1);
			return say(q, option, zn_arena_printf(q->a, "+%llu%c", (unsigned long long)n,
			                                      units[i].unit == 'w' ? 'd' : units[i].unit));
		}
		return bad(name, value, err);
	}
	return zn_parse_time(value, 0, &at, NULL) < 0 ? bad(name, value, err) : say(q, option, value);
}

/* "[{R|B}:]SIGNAL[@SECONDS]" */
static int take_signal(struct asked *q, const char *value, struct zn_err *err)
{
	const char *name = value[0] && value[1] == ':' ? value + 2 : value, *at = strchr(name, '@');
	struct zn_ou64 lead = ZN_SOME_U64((uint64_t)SIGNAL_LEAD_S);

	q->signal = zn_arena_memdup(q->a, name, at ? (size_t)(at - name) : strlen(name));
	if (!q->signal)
		return -ENOMEM;
	if (zn_signal_parse(q->signal) < 0 || (at && take_number("signal", at + 1, &lead, NULL) < 0))
		return bad("signal", value, err);
	q->lead_s = (double)lead.v;
	return 0;
}

/* ---- options ------------------------------------------------------------------------------------- */

static int ignore(struct asked *q, const char *name)
{
	return add(q, &q->ret->ignored, &q->cap_ignored, zn_arena_printf(q->a, "--%s", name));
}

/* Of the moments only the end, and a bad one, can be told. */
static int take_mail_type(struct asked *q, const char *value)
{
	char *list = zn_arena_strdup(q->a, value);

	for (char *item; list && (item = strsep(&list, ","));)
		if (!strcasecmp(item, "END") || !strcasecmp(item, "ALL"))
			q->mail_end = true;
		else if (!strcasecmp(item, "FAIL"))
			q->mail_fail = true;
		else if (strcasecmp(item, "NONE")) {
			int rc = ignore(q, zn_arena_printf(q->a, "mail-type=%s", item));
			if (rc < 0)
				return rc;
		}
	return 0;
}

/* afterok:1:2,afterany:3 as our 1:ok,2:ok,3:any. */
static int take_dependency(struct asked *q, const char *value, struct zn_err *err)
{
	static const struct { const char *theirs, *ours; } kinds[] = { { "afterok", "ok" }, { "afterany", "any" }, { "afternotok", "fail" } };
	char *list = zn_arena_strdup(q->a, value), *after = list ? zn_arena_strdup(q->a, "") : NULL;

	for (char *item; after && (item = strsep(&list, ","));) {
		char *kind = strsep(&item, ":");
		size_t i = 0;
		while (i < 3 && strcmp(kind, kinds[i].theirs))
			i++;
		if (i == 3 || !item || strchr(value, '?'))
			return zn_err_set(err, -EOPNOTSUPP, "#SBATCH --dependency '%s': only afterok, afterany and afternotok, all of them, can be had", value);
		for (char *job; after && (job = strsep(&item, ":"));)
			after = zn_arena_printf(q->a, "%s%s%s:%s", after, *after ? "," : "", job, kinds[i].ours);
	}
	return after ? say(q, "--after", after) : -ENOMEM;
}

/* name@server:2, of which the server means nothing here, as name:2. */
static int add_license(struct asked *q, const char *item, struct zn_buf *to)
{
	const char *server = strchr(item, '@'), *count = strchr(item, ':');
	size_t len = server ? (size_t)(server - item) : count ? (size_t)(count - item) : strlen(item);

	zn_buf_printf(to, "%s%.*s%s", to->len ? "," : "", (int)len, item, count ? count : "");
	return server ? ignore(q, zn_arena_printf(q->a, "licenses=%s", item)) : 0;
}

static int take_licenses(struct asked *q, const char *value, struct zn_err *err)
{
	char *list = zn_arena_strdup(q->a, value);
	struct zn_buf b = { 0 };
	int rc = list ? 0 : -ENOMEM;

	if (strchr(value, '|'))
		return zn_err_set(err, -EOPNOTSUPP, "#SBATCH --licenses '%s': one or another can't be had, only all of them", value);
	for (char *item; rc == 0 && (item = strsep(&list, ","));)
		rc = add_license(q, item, &b);
	const char *text = rc == 0 ? zn_buf_text(&b) : NULL;
	if (rc == 0)
		rc = say(q, "--licences", text ? zn_arena_strdup(q->a, text) : NULL);
	zn_buf_done(&b);
	return rc;
}

/* "a&b" and "a,b": both.  Alternatives and counts are nothing here. */
static int take_constraint(struct asked *q, const char *value)
{
	char *labels = zn_arena_strdup(q->a, value);

	for (char *p = labels; p && *p; p++)
		*p = *p == '&' ? ',' : *p;
	if (labels && zn_selector_check(labels, NULL) < 0)
		return ignore(q, zn_arena_printf(q->a, "constraint=%s", value));
	return say(q, "--constraint", labels);
}

enum kind { FLAG, NUMBER, GPUS, MEM, TIME, TEXT, KEEP, MOMENT, SIGNAL, GRES, NODES, NICE, DEPENDENCY, LICENSES, SWITCHES, CONSTRAINT, EXPORT, MAIL_USER, MAIL_TYPE, IGNORED, IGNORED_FLAG };

static const struct option {
	char key;
	const char *name;
	enum kind kind;
	const char *ours;    /* the option of zn-submit */
	size_t at;           /* in struct asked */
} options[] = {
	{ 'J', "job-name", KEEP, NULL, offsetof(struct asked, name) },
	{ 'o', "output", KEEP, NULL, offsetof(struct asked, output) },
	{ 'e', "error", KEEP, NULL, offsetof(struct asked, error) },
	{ 'D', "chdir", TEXT, "--chdir", 0 },
	{ 'n', "ntasks", NUMBER, NULL, offsetof(struct asked, tasks) },
	{ 0, "ntasks-per-node", NUMBER, NULL, offsetof(struct asked, tasks_per_node) },
	{ 'c', "cpus-per-task", NUMBER, NULL, offsetof(struct asked, cpus_per_task) },
	{ 0, "cpus-per-gpu", NUMBER, NULL, offsetof(struct asked, cpus_per_gpu) },
	{ 'G', "gpus", GPUS, NULL, offsetof(struct asked, gpus) },
	{ 0, "gpus-per-node", GPUS, NULL, offsetof(struct asked, gpus_per_node) },
	{ 0, "gpus-per-task", GPUS, NULL, offsetof(struct asked, gpus_per_task) },
	{ 0, "gres", GRES, NULL, offsetof(struct asked, gpus_per_node) },
	{ 0, "mem", MEM, NULL, offsetof(struct asked, mem) },
	{ 0, "mem-per-cpu", MEM, NULL, offsetof(struct asked, mem_per_cpu) },
	{ 0, "mem-per-gpu", MEM, NULL, offsetof(struct asked, mem_per_gpu) },
	{ 't', "time", TIME, NULL, offsetof(struct asked, time_s) },
	{ 'b', "begin", MOMENT, "--begin", 0 },
	{ 0, "deadline", MOMENT, "--deadline", 0 },
	{ 0, "signal", SIGNAL, NULL, 0 },
	{ 'H', "hold", FLAG, "--hold", 0 },
	{ 0, "spread-job", FLAG, "--spread", 0 },
	{ 0, "switches", SWITCHES, "--same-switch", 0 },
	{ 'W', "wait", FLAG, "--wait", 0 },
	{ 0, "requeue", FLAG, "--requeue", 0 },
	{ 0, "no-requeue", FLAG, NULL, 0 },
	{ 0, "priority", TEXT, "--priority", 0 },
	{ 0, "nice", NICE, "--priority", 0 },
	{ 0, "export", EXPORT, NULL, 0 },
	{ 0, "mail-user", MAIL_USER, NULL, 0 },
	{ 0, "mail-type", MAIL_TYPE, NULL, 0 },
	{ 'N', "nodes", NODES, NULL, 0 },
	{ 'a', "array", TEXT, "--array", 0 },
	{ 'd', "dependency", DEPENDENCY, NULL, 0 },
	{ 'L', "licenses", LICENSES, NULL, 0 },
	{ 'A', "account", TEXT, "--account", 0 },
	{ 0, "reservation", TEXT, "--reservation", 0 },
	{ 'p', "partition", IGNORED, NULL, 0 }, { 'q', "qos", IGNORED, NULL, 0 },
	{ 'C', "constraint", CONSTRAINT, "--constraint", 0 }, { 'w', "nodelist", IGNORED, NULL, 0 }, { 'x', "exclude", IGNORED, NULL, 0 },
	{ 'M', "clusters", IGNORED, NULL, 0 }, { 'B', "extra-node-info", IGNORED, NULL, 0 }, { 'm', "distribution", IGNORED, NULL, 0 },
	{ 'k', "no-kill", IGNORED_FLAG, NULL, 0 }, { 'O', "overcommit", IGNORED_FLAG, NULL, 0 }, { 's', "oversubscribe", IGNORED_FLAG, NULL, 0 },
	{ 'v', "verbose", IGNORED_FLAG, NULL, 0 }, { 'Q', "quiet", IGNORED_FLAG, NULL, 0 }, { 0, "exclusive", IGNORED_FLAG, NULL, 0 },
	{ 0, "parsable", IGNORED_FLAG, NULL, 0 }, { 0, "contiguous", IGNORED_FLAG, NULL, 0 },
	{ 0, "get-user-env", IGNORED_FLAG, NULL, 0 },
};

static const struct option *find(const char *word, size_t len)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
		if (word[1] == '-' ? strlen(options[i].name) == len && !strncmp(options[i].name, word + 2, len)
		                   : options[i].key == word[1])
			return &options[i];
	return NULL;
}

static bool has_no_value(const struct option *o)
{
	return o->kind == FLAG || o->kind == IGNORED_FLAG || o->kind == NICE; /* but --nice=N may have one */
}

static int take_export(struct asked *q, const char *value)
{
	char *list = zn_arena_strdup(q->a, value);
	int rc = list ? 0 : -ENOMEM;

	for (char *item; rc == 0 && (item = strsep(&list, ","));)
		if (strchr(item, '='))
			rc = say(q, "--env", item);
		else if (strcmp(item, "ALL"))
			return add(q, &q->ret->ignored, &q->cap_ignored, "--export");
	return rc;
}

static int take(struct asked *q, const struct option *o, const char *value, struct zn_err *err)
{
	void *to = (char *)q + o->at;
	struct zn_ou64 number = { 0 };

	switch (o->kind) {
	case FLAG:
		if (!strcmp(o->name, "requeue"))
			return say_number(q, o->ours, REQUEUES);
		return o->ours ? say_flag(q, o->ours) : 0;
	case NUMBER:
		return take_number(o->name, value, to, err);
	case GRES:
		if (strcmp(value, "gpu") && strncmp(value, "gpu:", 4))
			return zn_err_set(err, -EOPNOTSUPP, "#SBATCH --gres '%s': there are only GPUs", value);
		return take_gpus(o->name, value, to, err);
	case GPUS:
		return take_gpus(o->name, value, to, err);
	case MEM:
		return take_mem(o->name, value, to, err);
	case TIME:
		return take_time(o->name, value, to, err);
	case TEXT:
		return say(q, o->ours, value);
	case KEEP:
		*(const char **)to = value;
		return 0;
	case MOMENT:
		return take_moment(q, o->name, o->ours, value, err);
	case SIGNAL:
		return take_signal(q, value, err);
	case NICE: /* larger is less urgent; a hundred when it does not say */
		return say(q, o->ours, zn_arena_printf(q->a, "%ld", value ? -strtol(value, NULL, 10) : -100l));
	case DEPENDENCY:
		return take_dependency(q, value, err);
	case LICENSES:
		return take_licenses(q, value, err);
	case SWITCHES: /* of more than one, and of one for which nobody waits for ever, is nothing here */
		return strcmp(value, "1") ? ignore(q, zn_arena_printf(q->a, "switches=%s", value)) : say_flag(q, o->ours);
	case CONSTRAINT:
		return take_constraint(q, value);
	case EXPORT:
		return take_export(q, value);
	case MAIL_USER:
		q->mail_user = value;
		return q->can_mail ? 0 : ignore(q, o->name);
	case MAIL_TYPE:
		return q->can_mail ? take_mail_type(q, value) : ignore(q, o->name);
	case NODES:
		if (take_number(o->name, value, &number, err) < 0)
			return -EBADMSG;
		q->nodes = number.v;
		return 0;
	default:
		return ignore(q, o->name);
	}
}

/* One option at words[*i], and its value, which may be the next word. */
static int take_option(struct asked *q, const struct zn_strs *words, size_t *i, struct zn_err *err)
{
	const char *word = words->v[(*i)++];
	bool is_long = word[0] == '-' && word[1] == '-';
	size_t len = is_long ? strcspn(word + 2, "=") : 1;

	if (word[0] != '-' || !word[1])
		return zn_err_set(err, -EBADMSG, "#SBATCH '%s' is no option", word);
	const struct option *o = find(word, len);
	const char *value = is_long ? (word[2 + len] ? word + 3 + len : NULL) : word[2] ? word + 2 : NULL;
	bool next = *i < words->n && words->v[*i][0] != '-';
	if (!o) { /* one of another version, or of a plugin: a word behind it can only be its value */
		*i += !value && next;
		return add(q, &q->ret->ignored, &q->cap_ignored, is_long ? zn_arena_memdup(q->a, word, 2 + len) : word);
	}
	if (!value && !has_no_value(o)) {
		if (*i == words->n)
			return zn_err_set(err, -EBADMSG, "#SBATCH --%s needs a value", o->name);
		value = words->v[(*i)++];
	}
	return take(q, o, value, err);
}

/* ---- the sum of it ----------------------------------------------------------------------------------- */

static int say_time(struct asked *q)
{
	double limit = q->time_s.v;
	int rc = 0;

	if (q->signal) { /* there the limit is when the job is gone, here when the signal comes */
		rc = say(q, "--signal", q->signal);
		if (rc == 0)
			rc = say(q, "--grace", zn_arena_printf(q->a, "%g", q->lead_s));
		limit = limit > q->lead_s ? limit - q->lead_s : limit;
	}
	return rc == 0 && q->time_s.has ? say(q, "--time", zn_arena_printf(q->a, "%.0f", limit)) : rc;
}

static int say_names(struct asked *q)
{
	int rc = q->name ? say(q, "--name", q->name) : 0;

	if (rc == 0 && q->output)
		rc = say(q, "--output", make_pattern(q, q->output));
	if (rc == 0 && q->error)
		rc = say(q, "--error", make_pattern(q, q->error));
	return rc;
}

static int say_mail(struct asked *q)
{
	if (!q->mail_end && !q->mail_fail)
		return 0;
	int rc = say(q, "--mail", q->mail_user);
	return rc == 0 && !q->mail_end ? say(q, "--mail-on", "fail") : rc;
}

static int say_all(struct asked *q)
{
	uint64_t nodes = q->nodes ? q->nodes : 1;
	uint64_t tasks = q->tasks.has ? q->tasks.v : times(q->tasks_per_node.has ? q->tasks_per_node.v : 1, nodes);
	uint64_t gpus = q->gpus.has ? q->gpus.v : q->gpus_per_node.has ? times(q->gpus_per_node.v, nodes) : times(q->gpus_per_task.v, tasks);
	uint64_t cpus = q->cpus_per_task.has ? times(q->cpus_per_task.v, tasks) : times(q->cpus_per_gpu.v, gpus);
	uint64_t mem = q->mem.has ? times(q->mem.v, nodes) : q->mem_per_gpu.has ? times(q->mem_per_gpu.v, gpus)
	               : times(q->mem_per_cpu.v, cpus ? cpus : tasks);
	int rc = say_names(q);

	if (rc == 0 && nodes > 1)
		rc = say_number(q, "--nodes", nodes);
	if (rc == 0 && tasks > 1)
		rc = say_number(q, "--tasks", tasks);
	if (rc == 0 && gpus)
		rc = say_number(q, "--gpus", gpus);
	if (rc == 0 && cpus)
		rc = say_number(q, "--cpus", cpus);
	if (rc == 0 && mem)
		rc = say_number(q, "--mem", mem);
	if (rc == 0)
		rc = say_mail(q);
	return rc < 0 ? rc : say_time(q);
}

int zn_sbatch_options(const char *script, const char *mail_to, struct zn_arena *a, struct zn_sbatch *ret,
                      struct zn_err *err)
{
	struct asked q = { .a = a, .ret = ret, .can_mail = mail_to != NULL, .mail_user = mail_to };
	struct zn_strs words;

	*ret = (struct zn_sbatch){ 0 };
	int rc = zn_script_words(script, "#SBATCH", a, &words, err);
	for (size_t i = 0; rc == 0 && i < words.n;)
		rc = take_option(&q, &words, &i, err);
	if (rc == 0)
		rc = say_all(&q);
	return rc == -ENOMEM ? zn_err_set(err, rc, "out of memory") : rc;
}
