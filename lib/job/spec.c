#include "job/spec.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "base/units.h"
#include "job/calendar.h"
#include "job/gang.h"
#include "job/licences.h"
#include "job/number.h"
#include "job/spans.h"
#include "rec/selector.h"

static const struct zn_field resource_fields[] = {
	ZN_FIELD(struct zn_spec_resources, gpus, OU64, "GPUS", "GPUs for the whole job"),
	ZN_FIELD(struct zn_spec_resources, gpus_per_node, OU64, "", "GPUs on each node"),
	ZN_FIELD(struct zn_spec_resources, nodes_min, OU64, "", "fewest nodes"),
	ZN_FIELD(struct zn_spec_resources, nodes_max, OU64, "", "most nodes"),
	ZN_FIELD(struct zn_spec_resources, tasks, OU64, "TASKS", "processes that start together"),
	ZN_FIELD(struct zn_spec_resources, tasks_per_node, OU64, "", "of them on each node"),
	ZN_FIELD(struct zn_spec_resources, cpus, OU64, "CPUS", "hardware threads for the whole job"),
	ZN_FIELD(struct zn_spec_resources, mem_bytes, OBYTES, "MEM", "memory for the whole job"),
	ZN_FIELD(struct zn_spec_resources, gpu_mem_bytes, OBYTES, "", "memory on one shared GPU"),
	ZN_FIELD(struct zn_spec_resources, gpu_share, OF64, "", "part of one GPU, 0 to 1"),
	ZN_FIELD(struct zn_spec_resources, time_limit_s, ODUR, "LIMIT", "longest running time"),
	ZN_FIELD(struct zn_spec_resources, licences, ANY, "", "licences by name and count"),
	{ 0 },
};
static const struct zn_kind resource_kind = { NULL, "what a job needs", resource_fields,
                                              sizeof(struct zn_spec_resources), NULL };

static const struct zn_field locality_fields[] = {
	ZN_FIELD(struct zn_spec_locality, pack, OBOOL, "", "as few nodes and NUMA nodes as can be"),
	ZN_FIELD(struct zn_spec_locality, spread, OBOOL, "", "as many as can be"),
	ZN_FIELD(struct zn_spec_locality, same_switch, OBOOL, "", "all nodes at one switch"),
	ZN_FIELD(struct zn_spec_locality, nvlink, STR, "", "require or prefer NVLink between the GPUs"),
	ZN_FIELD(struct zn_spec_locality, near, STR, "", "as near to this NIC or NVMe drive as can be"),
	ZN_FIELD(struct zn_spec_locality, constraint, STR, "", "on nodes with these labels"),
	{ 0 },
};
static const struct zn_kind locality_kind = { NULL, "where a job would like to be", locality_fields,
                                              sizeof(struct zn_spec_locality), NULL };

static const struct zn_field policy_fields[] = {
	ZN_FIELD(struct zn_spec_policy, priority, OI64, "PRIO", "larger is more urgent"),
	ZN_FIELD(struct zn_spec_policy, account, STR, "", "who pays"),
	ZN_FIELD(struct zn_spec_policy, queue, STR, "", "which queue"),
	ZN_FIELD(struct zn_spec_policy, reservation, STR, "", "in which reservation"),
	ZN_FIELD(struct zn_spec_policy, preemptible, OBOOL, "", "may be preempted"),
	ZN_FIELD(struct zn_spec_policy, signal, STR, "", "first signal when it must end"),
	ZN_FIELD(struct zn_spec_policy, grace_s, ODUR, "", "from that signal to SIGKILL"),
	ZN_FIELD(struct zn_spec_policy, requeue, OU64, "", "how often to run again after the machine failed"),
	ZN_FIELD(struct zn_spec_policy, begin_s, OTIME, "", "not before"),
	ZN_FIELD(struct zn_spec_policy, deadline_s, OTIME, "", "not after"),
	ZN_FIELD(struct zn_spec_policy, every, STR, "", "calendar expression of a recurring job"),
	ZN_FIELD_SUB(struct zn_spec_policy, after, SUBS, &zn_spec_after_kind, "", "jobs it waits for"),
	ZN_FIELD(struct zn_spec_policy, array, STR, "", "indices of an array, and how many may run at once: 0-99%8"),
	{ 0 },
};
static const struct zn_kind policy_kind = { NULL, "how a job is treated", policy_fields,
                                            sizeof(struct zn_spec_policy), NULL };

static const struct zn_field adopt_fields[] = {
	ZN_FIELD(struct zn_spec_adopt, pid, OU64, "", "the process"),
	ZN_FIELD(struct zn_spec_adopt, start_ticks, OU64, "", "when it started, clock ticks since boot"),
	ZN_FIELD(struct zn_spec_adopt, gpus, U32S, "", "indices of the GPUs that it holds"),
	ZN_FIELD(struct zn_spec_adopt, command, STRS, "", "what it runs, to be shown"),
	{ 0 },
};
static const struct zn_kind adopt_kind = { NULL, "a process that runs already", adopt_fields,
                                           sizeof(struct zn_spec_adopt), NULL };

static const struct zn_field spec_fields[] = {
	ZN_FIELD(struct zn_spec, job_name, STR, "NAME", "what people call it"),
	ZN_FIELD(struct zn_spec, key, STR, "KEY", "a submit with the same key happens once"),
	ZN_FIELD(struct zn_spec, hold, OBOOL, "", "wait for a release"),
	ZN_FIELD(struct zn_spec, command, STR, "COMMAND", "program to run, no shell between"),
	ZN_FIELD(struct zn_spec, arguments, STRS, "ARGUMENTS", "its arguments"),
	ZN_FIELD(struct zn_spec, script, STR, "", "text of a script to run instead of command"),
	ZN_FIELD(struct zn_spec, environment, MAP, "", "all of its environment"),
	ZN_FIELD(struct zn_spec, directory, STR, "DIRECTORY", "where it runs"),
	ZN_FIELD(struct zn_spec, output, STR, "OUTPUT", "file for standard output; %j job, %a index, %r rank, %n node"),
	ZN_FIELD(struct zn_spec, error, STR, "ERROR", "file for standard error, if another"),
	ZN_FIELD(struct zn_spec, terminal, STR, "", "where its client offers a terminal"),
	ZN_FIELD(struct zn_spec, umask, OU64, "", "file mode mask"),
	ZN_FIELD_SUB(struct zn_spec, resources, SUB, &resource_kind, "", "what it needs"),
	ZN_FIELD_SUB(struct zn_spec, locality, SUB, &locality_kind, "", "where it would like to be"),
	ZN_FIELD_SUB(struct zn_spec, policy, SUB, &policy_kind, "", "how it is treated"),
	ZN_FIELD_SUB(struct zn_spec, adopt, SUB, &adopt_kind, "", "a process to take over instead of a command"),
	ZN_FIELD(struct zn_spec, on_end, STR, "", "for a shell, when the job has ended"),
	{ 0 },
};
const struct zn_kind zn_spec_kind = { "submission", "a job to submit", spec_fields, sizeof(struct zn_spec),
                                      "job_name,command,arguments,directory,output" };

int zn_spec_check_name(const char *what, const char *name, struct zn_err *err)
{
	size_t n = strlen(name);

	if (!n || n > ZN_SPEC_NAME_MAX)
		return zn_err_set(err, -EBADMSG, "%s must have 1 to %d bytes, not %zu", what, ZN_SPEC_NAME_MAX, n);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
			return zn_err_set(err, -EBADMSG, "%s '%s' holds a control character", what, name);
	if (!zn_is_utf8(name, n))
		return zn_err_set(err, -EBADMSG, "%s '%s' is not UTF-8", what, name);
	return 0;
}

static int check_count(const char *what, struct zn_ou64 v, uint64_t lo, uint64_t hi, struct zn_err *err)
{
	if (!v.has || (v.v >= lo && v.v <= hi))
		return 0;
	return zn_err_set(err, -EBADMSG, "%s must be %llu to %llu, not %llu", what, (unsigned long long)lo,
	                  (unsigned long long)hi, (unsigned long long)v.v);
}

static int check_seconds(const char *what, struct zn_of64 v, double lo, struct zn_err *err)
{
	if (!v.has || (isfinite(v.v) && v.v >= lo && v.v <= ZN_SPEC_SECONDS_MAX))
		return 0;
	return zn_err_set(err, -EBADMSG, "%s must be %g to %g seconds, not %g", what, lo, ZN_SPEC_SECONDS_MAX, v.v);
}

uint32_t zn_spec_gpu_milli(const struct zn_spec_resources *r)
{
	return r->gpu_share.has ? (uint32_t)lround(r->gpu_share.v * 1000) : 0;
}

static bool is_in_thousandths(double share)
{
	return share >= 0.001 - 1e-9 && share <= 0.999 + 1e-9 && fabs(share * 1000 - round(share * 1000)) < 1e-6;
}

/* A part of a GPU is of one. */
static int check_part(const struct zn_spec *s, struct zn_err *err)
{
	const struct zn_spec_resources *r = &s->resources;
	const char *key = r->gpu_share.has ? "gpu_share" : "gpu_mem_bytes";
	struct zn_ou64 gpus = r->gpus.has ? r->gpus : r->gpus_per_node;

	if (!r->gpu_share.has && !r->gpu_mem_bytes.has)
		return 0;
	if (r->gpu_share.has && !is_in_thousandths(r->gpu_share.v))
		return zn_err_set(err, -EBADMSG, "gpu_share must be 0.001 to 0.999, in thousandths, not %g", r->gpu_share.v);
	if (gpus.has && gpus.v != 1)
		return zn_err_set(err, -EBADMSG, "%s is a part of one gpu: it makes no sense with %llu gpus", key, (unsigned long long)gpus.v);
	if (s->locality.nvlink)
		return zn_err_set(err, -EBADMSG, "%s is a part of one gpu: it makes no sense with nvlink", key);
	return check_count("gpu_mem_bytes", r->gpu_mem_bytes, 1 << 20, ZN_SPEC_MEM_MAX, err);
}

static int check_resources(const struct zn_spec_resources *r, struct zn_err *err)
{
	int rc = check_count("gpus", r->gpus, 0, ZN_SPEC_GPUS_MAX, err);

	if (rc == 0)
		rc = check_count("gpus_per_node", r->gpus_per_node, 0, ZN_SPEC_GPUS_MAX, err);
	if (rc == 0)
		rc = check_count("tasks", r->tasks, 1, ZN_SPEC_TASKS_MAX, err);
	if (rc == 0)
		rc = check_count("tasks_per_node", r->tasks_per_node, 1, ZN_SPEC_TASKS_MAX, err);
	if (rc == 0)
		rc = check_count("cpus", r->cpus, 1, ZN_SPEC_CPUS_MAX, err);
	if (rc == 0)
		rc = check_count("mem_bytes", r->mem_bytes, 1, ZN_SPEC_MEM_MAX, err);
	if (rc == 0)
		rc = check_seconds("time_limit_s", r->time_limit_s, 0.001, err);
	return rc;
}

/* What is settled but not granted yet. */
static int check_granted(const struct zn_spec *s, struct zn_err *err)
{
	return s->policy.queue ? zn_err_set(err, -EOPNOTSUPP, "this version can't grant 'queue'") : 0;
}

/* Any that the kernel could give to one. */
static bool is_device_name(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++)
		if (name[i] <= ' ' || name[i] > '~' || name[i] == '/')
			return false;
	return n && n <= ZN_SPEC_DEVICE_MAX;
}

static int check_locality(const struct zn_spec *s, struct zn_err *err)
{
	const struct zn_spec_locality *l = &s->locality;

	if (l->nvlink && strcmp(l->nvlink, "require") && strcmp(l->nvlink, "prefer"))
		return zn_err_set(err, -EBADMSG, "nvlink must be 'require' or 'prefer', not '%s'", l->nvlink);
	if (l->pack.v && l->spread.v)
		return zn_err_set(err, -EBADMSG, "pack and spread contradict each other");
	if (l->near && !is_device_name(l->near))
		return zn_err_set(err, -EBADMSG, "near '%.80s' is no name of a device", l->near);
	return l->constraint ? zn_selector_check(l->constraint, err) : 0;
}

static int check_array(const struct zn_spec *s, struct zn_err *err)
{
	struct zn_spans spans;
	uint32_t at_once;
	int rc = zn_spans_parse(s->policy.array, &spans, &at_once, err);

	zn_spans_done(&spans);
	if (rc == 0 && (s->terminal || s->adopt.pid.has))
		rc = zn_err_set(err, -EBADMSG, "a job with a terminal, or one that runs already, is one and no array");
	return rc;
}

uint32_t zn_spec_elements(const struct zn_spec *s)
{
	struct zn_spans spans;
	uint32_t n = 1, at_once;

	if (s->policy.array && zn_spans_parse(s->policy.array, &spans, &at_once, NULL) == 0) {
		n = spans.count;
		zn_spans_done(&spans);
	}
	return n;
}

static int check_licences(const struct zn_spec *s, struct zn_err *err)
{
	struct zn_arena a = { 0 };
	struct zn_list list;
	int rc = zn_spec_licences_read(s->resources.licences, &a, &list, err);

	zn_arena_done(&a);
	return rc;
}

static int check_every(const struct zn_spec *s, struct zn_err *err)
{
	struct zn_calendar c;
	struct zn_err why = { "" };
	int rc = zn_calendar_parse(s->policy.every, &c, &why);

	if (rc < 0)
		return zn_err_set(err, -EBADMSG, "every '%.60s': %s", s->policy.every, why.text);
	if (s->terminal || s->adopt.pid.has || s->policy.deadline_s.has)
		return zn_err_set(err, -EBADMSG, "a job that comes again can have no terminal and no deadline, and is none that runs already");
	return 0;
}

static int check_policy(const struct zn_spec *s, struct zn_err *err)
{
	const struct zn_spec_policy *p = &s->policy;
	int rc = check_seconds("grace_s", p->grace_s, 0, err);

	if (rc == 0)
		rc = check_seconds("begin_s", p->begin_s, 0, err);
	if (rc == 0)
		rc = check_seconds("deadline_s", p->deadline_s, 1, err);
	if (rc == 0 && p->signal && zn_signal_parse(p->signal) < 0)
		rc = zn_err_set(err, -EBADMSG, "signal '%s' is none", p->signal);
	if (rc == 0)
		rc = check_count("requeue", p->requeue, 0, 1000000, err);
	if (rc == 0)
		rc = zn_after_check(&p->after, err);
	if (rc == 0 && p->array)
		rc = check_array(s, err);
	if (rc == 0 && p->every)
		rc = check_every(s, err);
	if (rc == 0 && p->priority.has && (p->priority.v < INT32_MIN || p->priority.v > INT32_MAX))
		rc = zn_err_set(err, -EBADMSG, "priority must fit in 32 bits, not %lld", (long long)p->priority.v);
	return rc;
}

static int check_environment(const struct zn_spec *s, struct zn_err *err)
{
	if (s->arguments.n > ZN_SPEC_ARGUMENTS_MAX || s->environment.n > ZN_SPEC_ENVIRONMENT_MAX)
		return zn_err_set(err, -EBADMSG, "more than %d arguments or %d environment variables",
		                  ZN_SPEC_ARGUMENTS_MAX, ZN_SPEC_ENVIRONMENT_MAX);
	for (size_t i = 0; i < s->environment.n; i++) {
		const char *key = s->environment.v[i].key;
		if (!*key || strchr(key, '='))
			return zn_err_set(err, -EBADMSG, "environment name '%s' is empty or holds '='", key);
	}
	return 0;
}

static int check_names(const struct zn_spec *s, struct zn_err *err)
{
	int rc = s->job_name ? zn_spec_check_name("job_name", s->job_name, err) : 0;

	if (rc == 0 && s->key)
		rc = zn_spec_check_name("key", s->key, err);
	if (rc == 0 && s->policy.account)
		rc = zn_spec_check_name("account", s->policy.account, err);
	if (rc == 0 && s->policy.reservation)
		rc = zn_spec_check_name("reservation", s->policy.reservation, err);
	return rc;
}

/* A path of the record: absolute, or (output) relative to the directory. */
static int check_paths(const struct zn_spec *s, struct zn_err *err)
{
	if (!s->directory || s->directory[0] != '/')
		return zn_err_set(err, -EBADMSG, "directory '%s' is not absolute", s->directory ? s->directory : "");
	const char *const paths[] = { s->directory, s->output, s->error };
	for (size_t i = 0; i < 3; i++)
		if (paths[i] && (!*paths[i] || strlen(paths[i]) >= 4096 || strchr(paths[i], '\n')))
			return zn_err_set(err, -EBADMSG, "path '%.60s' is empty, too long or holds a newline", paths[i]);
	return check_count("umask", s->umask, 0, 0777, err);
}

static bool has_locality(const struct zn_spec_locality *l)
{
	return l->nvlink || l->near || l->constraint || l->pack.v || l->spread.v || l->same_switch.v;
}

/* What runs already can't be asked to wait, to run twice, or to be several. */
static int check_adopt(const struct zn_spec *s, struct zn_err *err)
{
	const struct zn_spec_adopt *a = &s->adopt;
	const struct zn_spec_resources *r = &s->resources;

	if (!a->pid.has)
		return 0;
	if (a->pid.v < 2 || a->pid.v > INT32_MAX || !a->start_ticks.has)
		return zn_err_set(err, -EBADMSG, "what is adopted is named by pid, from 2, and start_ticks");
	if (s->command || s->script || s->arguments.n || s->error || (s->hold.has && s->hold.v) || s->policy.begin_s.has || s->policy.deadline_s.has ||
	    s->policy.preemptible.v || s->policy.requeue.v || s->policy.after.n || r->cpus.has || r->tasks.v > 1 || r->gpus_per_node.has ||
	    r->gpu_share.has || r->gpu_mem_bytes.has || r->licences.p || s->policy.reservation || has_locality(&s->locality))
		return zn_err_set(err, -EBADMSG, "a process that runs already can be given no command, arguments, error file, "
		                  "begin, deadline, after, hold, requeue, cpus, tasks, part of a gpu, locality, licences or reservation, nor be preemptible");
	if (r->gpus.has && r->gpus.v != a->gpus.n)
		return zn_err_set(err, -EBADMSG, "gpus must be as many as adopt names");
	for (size_t i = 0; i < a->gpus.n; i++)
		for (size_t k = 0; k < i; k++)
			if (a->gpus.v[i] == a->gpus.v[k])
				return zn_err_set(err, -EBADMSG, "gpu %u is named twice", a->gpus.v[i]);
	return 0;
}

/* A terminal is there once, for one task. */
static int check_terminal(const struct zn_spec *s, struct zn_err *err)
{
	const char *t = s->terminal;
	size_t mark = strlen(ZN_SPEC_TERMINAL);

	if (!t)
		return 0;
	if (strncmp(t, ZN_SPEC_TERMINAL, mark) || strlen(t) > 64 ||
	    t[mark + strspn(t + mark, "0123456789abcdefghijklmnopqrstuvwxyz")])
		return zn_err_set(err, -EBADMSG, "terminal '%.64s' is no name of one", t);
	if (s->resources.tasks.v > 1 || s->policy.requeue.v || s->policy.preemptible.v || s->output || s->error || s->adopt.pid.has)
		return zn_err_set(err, -EBADMSG, "a job with a terminal has one task, no output file, and does not run again");
	return 0;
}

static int check_on_end(const struct zn_spec *s, struct zn_err *err)
{
	if (!s->on_end || (*s->on_end && strlen(s->on_end) <= ZN_SPEC_ON_END_MAX))
		return 0;
	return zn_err_set(err, -EBADMSG, "on_end must have 1 to %d bytes, not %zu", ZN_SPEC_ON_END_MAX, strlen(s->on_end));
}

int zn_spec_check(const struct zn_spec *s, struct zn_err *err)
{
	int (*const checks[])(const struct zn_spec *, struct zn_err *) = {
		check_part, zn__gang_check, check_names, check_paths, check_environment, check_policy, check_locality, check_licences, check_granted, check_adopt, check_terminal,
		check_on_end,
	};
	int rc = check_resources(&s->resources, err);

	if (rc == 0 && !s->adopt.pid.has && !s->command == !s->script)
		rc = zn_err_set(err, -EBADMSG, "a job needs a command or a script, and not both");
	if (rc == 0 && s->command && !*s->command)
		rc = zn_err_set(err, -EBADMSG, "the command is empty");
	for (size_t i = 0; rc == 0 && i < sizeof(checks) / sizeof(*checks); i++)
		rc = checks[i](s, err);
	return rc;
}

int zn_signal_parse(const char *name)
{
	uint64_t n;

	if (zn_parse_u64(name, 1, 64, &n, NULL) == 0)
		return (int)n;
	if (!strncasecmp(name, "SIG", 3))
		name += 3;
	for (int i = 1; i < NSIG; i++) {
		const char *abbrev = sigabbrev_np(i);
		if (abbrev && !strcasecmp(abbrev, name))
			return i;
	}
	return -EINVAL;
}

const char *zn_signal_name(int number)
{
	return sigabbrev_np(number);
}

bool zn_key_is_ours(const char *key, const char *form)
{
	size_t n = strlen(form);

	return !strncmp(key, form, n) && key[n] && !key[n + strspn(key + n, "0123456789")];
}

const char *zn_spec_output_pattern(const struct zn_spec *s)
{
	return s->output ? s->output : s->policy.array ? ZN_SPEC_OUTPUT_OF_ELEMENT : ZN_SPEC_OUTPUT;
}

char *zn_spec_output(const char *pattern, const char *directory, uint64_t handle, const char *node,
                     struct zn_arena *a)
{
	struct zn_buf b = { 0 };

	if (*pattern != '/') {
		zn_buf_addstr(&b, directory);
		if (directory[0] && directory[strlen(directory) - 1] != '/')
			zn_buf_addch(&b, '/');
	}
	for (const char *p = pattern; *p; p++) {
		if (*p != '%' || !p[1] || !strchr("jan", p[1])) {
			zn_buf_addch(&b, *p);
			if (*p == '%' && p[1]) /* %r and %% go through whole, for the agent */
				zn_buf_addch(&b, *++p);
			continue;
		}
		p++;
		if (*p == 'j')
			zn_buf_printf(&b, "%llu", (unsigned long long)zn_handle_number(handle));
		else if (*p == 'a' && zn_handle_is_element(handle))
			zn_buf_printf(&b, "%u", zn_handle_index(handle));
		else if (*p == 'n')
			zn_buf_addstr(&b, node);
	}
	const char *text = zn_buf_text(&b);
	char *path = text ? zn_arena_strdup(a, text) : NULL;
	zn_buf_done(&b);
	return path;
}

char *zn_spec_output_rank(const char *path, uint32_t rank, struct zn_arena *a)
{
	struct zn_buf b = { 0 };

	for (const char *p = path; *p; p++) {
		if (p[0] == '%' && p[1] == 'r')
			zn_buf_printf(&b, "%u", rank);
		else if (p[0] == '%' && p[1] == '%')
			zn_buf_addch(&b, '%');
		else
			zn_buf_addch(&b, *p);
		p += p[0] == '%' && (p[1] == 'r' || p[1] == '%');
	}
	const char *text = zn_buf_text(&b);
	char *whole = text ? zn_arena_strdup(a, text) : NULL;
	zn_buf_done(&b);
	return whole;
}

const char *zn_spec_name(const struct zn_spec *s)
{
	if (s->job_name)
		return s->job_name;
	if (!s->command)
		return s->adopt.pid.has ? "adopted" : "job";
	const char *slash = strrchr(s->command, '/');
	const char *name = slash && slash[1] ? slash + 1 : s->command;
	return zn_spec_check_name("name", name, NULL) < 0 ? "job" : name;
}

int zn_spec_content(const struct zn_spec *spec, struct zn_buf *to)
{
	struct zn_spec content = *spec;

	content.environment = (struct zn_strmap){ 0 };
	content.key = NULL;
	content.policy.begin_s = content.policy.deadline_s = (struct zn_of64){ 0 };
	return zn_encode(&zn_spec_kind, &content, to);
}
