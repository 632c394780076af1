#include <string.h>

#include "base/idset.h"
#include "base/text.h"
#include "base/units.h"
#include "job/number.h"
#include "show/show.h"

static void add_safe(struct zn_buf *to, const char *text)
{
	zn_text_escape(text, strlen(text), to);
}

static void row(struct zn_buf *to, const char *key, const char *value)
{
	if (!value)
		return;
	zn_buf_printf(to, "%-14s ", key);
	add_safe(to, value);
	zn_buf_addch(to, '\n');
}

static void time_row(struct zn_buf *to, const char *key, struct zn_of64 v)
{
	char text[ZN_UNIT_TEXT];

	if (v.has)
		row(to, key, zn_format_time(v.v, text));
}

static void command_row(struct zn_buf *to, const struct zn_job_record *j)
{
	if (!j->command)
		return;
	zn_buf_printf(to, "%-14s ", "command");
	add_safe(to, j->command);
	for (size_t i = 0; i < j->arguments.n; i++) {
		zn_buf_addch(to, ' ');
		add_safe(to, j->arguments.v[i]);
	}
	zn_buf_addch(to, '\n');
}

/* "gpu 3 (0.25 of it)" */
static void part_of(const struct zn_job_alloc *a, char *to, size_t size)
{
	*to = '\0';
	if (a->gpu_milli.has)
		snprintf(to, size, " (%g of it)", (double)a->gpu_milli.v / 1000);
}

/* It is frozen for another one, which may have its CPUs. */
static bool lends(const struct zn_job_record *j)
{
	return !strcmp(j->state, "SUSPENDED") && j->reason && !strncmp(j->reason, ZN_PREEMPTED, strlen(ZN_PREEMPTED));
}

static void alloc_row(struct zn_buf *to, const struct zn_job_record *j, const struct zn_job_alloc *a)
{
	char gpus[256] = "", part[32], mem[ZN_UNIT_TEXT] = "";
	struct zn_idset set = { 0 };

	for (size_t i = 0; i < a->gpus.n; i++)
		zn_idset_add(&set, a->gpus.v[i]);
	zn_idset_format(&set, gpus, sizeof(gpus));
	if (a->mem_bytes.has)
		zn_format_bytes(a->mem_bytes.v, mem);
	part_of(a, part, sizeof(part));
	zn_buf_printf(to, "%-14s node %s%s%s%s, cpus %s%s%s%s", "placed", a->node ? a->node : "?",
	              gpus[0] ? ", gpus " : "", gpus, part, a->cpu_list ? a->cpu_list : "", a->cpus ? "" : lends(j) ? " (lent)" : " (shared)",
	              mem[0] ? ", mem " : "", mem);
	if (a->nics) {
		zn_buf_addstr(to, ", nics ");
		add_safe(to, a->nics);
	}
	zn_buf_addch(to, '\n');
}

static void asked_row(struct zn_buf *to, const struct zn_job_record *j)
{
	char text[ZN_UNIT_TEXT], limit[ZN_UNIT_TEXT];

	zn_buf_printf(to, "%-14s %llu task%s, ", "asked", (unsigned long long)j->tasks, j->tasks == 1 ? "" : "s");
	if (j->gpu_share.has)
		zn_buf_printf(to, "%g of a gpu", j->gpu_share.v);
	else
		zn_buf_printf(to, "%llu gpus", (unsigned long long)j->gpus);
	if (j->gpu_mem_bytes.has)
		zn_buf_printf(to, ", %s of its memory", zn_format_bytes(j->gpu_mem_bytes.v, text));
	if (j->cpus.has)
		zn_buf_printf(to, ", %llu cpus", (unsigned long long)j->cpus.v);
	if (j->mem_bytes.has)
		zn_buf_printf(to, ", mem %s", zn_format_bytes(j->mem_bytes.v, text));
	zn_buf_printf(to, ", time limit %s\n",
	              j->time_limit_s.has ? zn_format_duration(j->time_limit_s.v, limit) : "none");
}

/* "spread, at one switch, near mlx5_0" */
static void locality_row(struct zn_buf *to, const struct zn_job_record *j)
{
	const struct { bool is; const char *text, *what; } rows[] = {
		{ j->pack.v, "pack", "" }, { j->spread.v, "spread", "" }, { j->same_switch.v, "at one switch", "" },
		{ j->nvlink, "nvlink: ", j->nvlink }, { j->near, "near ", j->near },
		{ j->constraint, "constraint: ", j->constraint },
	};
	struct zn_buf b = { 0 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (rows[i].is)
			zn_buf_printf(&b, "%s%s%s", b.len ? ", " : "", rows[i].text, rows[i].what);
	if (b.len)
		row(to, "locality", zn_buf_text(&b));
	zn_buf_done(&b);
}

static void used_row(struct zn_buf *to, const struct zn_job_record *j)
{
	char cpu[ZN_UNIT_TEXT], gpu[ZN_UNIT_TEXT], mem[ZN_UNIT_TEXT];

	if (!j->cpu_s.has)
		return;
	zn_buf_printf(to, "%-14s cpu %s, gpu %s, peak memory %s\n", "used", zn_format_duration(j->cpu_s.v, cpu),
	              zn_format_duration(j->gpu_s.has ? j->gpu_s.v : 0, gpu),
	              j->max_rss_bytes.has ? zn_format_bytes(j->max_rss_bytes.v, mem) : "unknown");
}

static void end_rows(struct zn_buf *to, const struct zn_job_record *j)
{
	if (j->exit_code.has)
		zn_buf_printf(to, "%-14s %lld\n", "exit code", (long long)j->exit_code.v);
	row(to, "signal", j->signal);
	if (j->attempt.has && j->attempt.v > 1)
		zn_buf_printf(to, "%-14s %llu\n", "attempt", (unsigned long long)j->attempt.v);
	if (j->adopted_pid.has)
		zn_buf_printf(to, "%-14s process %llu, while it ran\n", "adopted", (unsigned long long)j->adopted_pid.v);
	if (j->requeue_of.has)
		zn_buf_printf(to, "%-14s %llu\n", "repeats job", (unsigned long long)j->requeue_of.v);
}

static void state_row(struct zn_buf *to, const struct zn_job_record *j)
{
	zn_buf_printf(to, "%-14s %s%s", "state", j->state, j->reason ? ": " : "");
	if (j->reason)
		add_safe(to, j->reason);
	zn_buf_addch(to, '\n');
}

static void array_row(struct zn_buf *to, const struct zn_job_record *j)
{
	if (!j->elements.has || j->index.has)
		return;
	zn_buf_printf(to, "%-14s %llu elements: %llu ended well, %llu failed, %llu were cancelled\n", "array",
	              (unsigned long long)j->elements.v, (unsigned long long)j->elements_completed.v,
	              (unsigned long long)j->elements_failed.v, (unsigned long long)j->elements_cancelled.v);
	row(to, "waiting", j->array);
}

/* "60.5, for a wait of 0.5s, an estimate of 1m00s and a size of 8" */
static void add_urgency(struct zn_buf *to, const struct zn_job_factors *f)
{
	char waited[ZN_UNIT_TEXT], estimate[ZN_UNIT_TEXT];

	zn_buf_printf(to, "%.3g, for a wait of %s, an estimate of %s and a size of %.3g\n", f->urgency.v,
	              zn_format_duration(f->waited_s.v, waited), zn_format_duration(f->estimate_s.v, estimate), f->size.v);
}

static void add_fair_share(struct zn_buf *to, const struct zn_job_factors *f)
{
	zn_buf_printf(to, "%.3g of its urgency\n", f->fair_share.v);
}

static void order_rows(struct zn_buf *to, const struct zn_job_record *j)
{
	if (j->ahead.has)
		zn_buf_printf(to, "%-14s %llu\n", "waiting before", (unsigned long long)j->ahead.v);
	if (j->factors.fair_share.has) {
		zn_buf_printf(to, "%-14s ", "fair share");
		add_fair_share(to, &j->factors);
	}
	if (j->factors.urgency.has) {
		zn_buf_printf(to, "%-14s ", "urgency");
		add_urgency(to, &j->factors);
	}
}

void zn_show_job(const struct zn_job_record *j, struct zn_buf *to)
{
	const struct zn_job_alloc *alloc = j->alloc.v;

	char number[ZN_NUMBER_TEXT];

	zn_buf_printf(to, "%-14s %s\n", "job", zn_handle_text(zn_record_handle(j), number));
	row(to, "name", j->name);
	state_row(to, j);
	array_row(to, j);
	row(to, "user", j->user);
	row(to, "account", j->account);
	zn_buf_printf(to, "%-14s %lld\n", "priority", (long long)j->priority);
	order_rows(to, j);
	asked_row(to, j);
	locality_row(to, j);
	row(to, "reservation", j->reservation);
	row(to, "licences", j->licences);
	time_row(to, "submitted", ZN_SOME_F64(j->submit_s));
	time_row(to, "begins", j->begin_s);
	time_row(to, "deadline", j->deadline_s);
	row(to, "every", j->every);
	row(to, "after", j->after);
	time_row(to, "started", j->start_s);
	time_row(to, "ended", j->end_s);
	end_rows(to, j);
	for (size_t i = 0; i < j->alloc.n; i++)
		alloc_row(to, j, &alloc[i]);
	used_row(to, j);
	row(to, "held by", j->confinement);
	command_row(to, j);
	row(to, "directory", j->directory);
	row(to, "output", j->output);
	row(to, "error", j->error);
	row(to, "key", j->key);
}

void zn_show_blame(const struct zn_blame *b, struct zn_buf *to)
{
	const struct zn_blame_cause *c = b->causes.v;
	struct zn_job_record named = { .id = b->id, .index = b->index };
	char number[ZN_NUMBER_TEXT], wait[ZN_UNIT_TEXT], again[ZN_UNIT_TEXT];
	bool waits = !strcmp(b->state, "QUEUED");

	zn_buf_printf(to, "job %s %s %s; ", zn_handle_text(zn_record_handle(&named), number), waits ? "has waited" : "waited",
	              zn_format_duration(b->wait_s, wait));
	if (!b->replayed_s.has)
		zn_buf_addstr(to, "when it starts can't be foreseen: something without a time limit is in its way\n");
	else if (waits)
		zn_buf_printf(to, "by the time limits it waits %s in all\n", zn_format_duration(b->replayed_s.v, again));
	else
		zn_buf_printf(to, "decided again from what is on record, %s\n", zn_format_duration(b->replayed_s.v, again));
	for (size_t i = 0; i < b->causes.n; i++) {
		zn_buf_printf(to, "  %s less without ", zn_format_duration(c[i].saved_s, wait));
		add_safe(to, c[i].text);
		zn_buf_addch(to, '\n');
	}
}

void zn_show_why(const struct zn_explained *e, struct zn_buf *to)
{
	const struct zn_explained_reason *r = e->reasons.v;
	char when[ZN_UNIT_TEXT], number[ZN_NUMBER_TEXT];

	struct zn_job_record named = { .id = e->id, .index = e->index };
	zn_buf_printf(to, "job %s is %s: ", zn_handle_text(zn_record_handle(&named), number), e->state);
	add_safe(to, e->answer);
	zn_buf_addch(to, '\n');
	for (size_t i = 1; i < e->reasons.n; i++) {
		zn_buf_addstr(to, "  also: ");
		add_safe(to, r[i].text);
		zn_buf_addch(to, '\n');
	}
	if (e->ahead.has)
		zn_buf_printf(to, "  waiting before it: %llu\n", (unsigned long long)e->ahead.v);
	if (e->factors.fair_share.has) {
		zn_buf_addstr(to, "  fair share: ");
		add_fair_share(to, &e->factors);
	}
	if (e->factors.urgency.has) {
		zn_buf_addstr(to, "  urgency: ");
		add_urgency(to, &e->factors);
	}
	if (e->expected_s.has)
		zn_buf_printf(to, "  by the time limits it starts at %s\n", zn_format_time(e->expected_s.v, when));
	if (e->smallest)
		zn_buf_printf(to, "  %s\n", e->smallest);
}
