#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/csv.h"
#include "sim/trace_priv.h"

#define seconds_max 1e12

enum column { ID, SUBMIT, DURATION, WALLTIME, GPUS, GPU_MILLI, CPUS, MEM, PRIORITY, NODES, PREEMPTIBLE, NUMBERS, USER = NUMBERS, VC, MODEL, COLUMNS };
static const struct zn__column columns[COLUMNS] = {
	[ID] = { .name = "job_id", .max = 1e15, .whole = true },
	[SUBMIT] = { .name = "submit_s", .max = seconds_max },
	[DURATION] = { .name = "duration_s", .max = seconds_max },
	[WALLTIME] = { .name = "walltime_s", .max = seconds_max },
	[GPUS] = { .name = "gpus", .max = ZN__TRACE_GPUS_MAX, .whole = true },
	[GPU_MILLI] = { .name = "gpu_milli", .max = 1000, .whole = true, .place = true },
	[CPUS] = { .name = "cpus", .max = 1e9, .place = true },
	[MEM] = { .name = "mem_mb", .max = 1e12, .place = true },
	[PRIORITY] = { .name = "priority", .max = 1e9, .whole = true },
	[NODES] = { .name = "nodes_req", .max = ZN__TRACE_GPUS_MAX, .whole = true, .place = true },
	[PREEMPTIBLE] = { .name = "preemptible", .max = 1, .whole = true },
	[USER] = { .name = "user" }, [VC] = { .name = "vc" }, [MODEL] = { .name = "gpu_model", .place = true },
};

/* Where each column is in a line of the file; -1: the file has none. */
struct layout { int at[COLUMNS]; size_t n; };

static int need_columns(const struct zn_lines *l, const struct layout *y, enum zn_trace_use use, struct zn_err *err)
{
	static const enum column needed[] = { GPUS, SUBMIT, DURATION };

	for (size_t i = 0; i < (use == ZN_TRACE_PLACE ? 1 : 3); i++)
		if (y->at[needed[i]] < 0)
			return zn_lines_bad(l, err, "there is no column '%s'", columns[needed[i]].name);
	return 0;
}

struct zn_trace_job *zn__trace_new_job(struct zn_trace *t, size_t *cap)
{
	if (t->n == *cap) {
		*cap = *cap ? 2 * *cap : 1024;
		struct zn_trace_job *v = reallocarray(t->jobs, *cap, sizeof(*v));
		if (!v)
			return NULL;
		t->jobs = v;
	}
	return &t->jobs[t->n];
}

/* As text that the arena holds once where the job above had the same. */
static const char *keep(struct zn_trace *t, const char *text, const char *last)
{
	if (!text || !*text)
		return "";
	return last && !strcmp(text, last) ? last : zn_arena_strdup(&t->arena, text);
}

static int in_order(const struct zn_lines *l, const struct zn_trace *t, double submit_s, struct zn_err *err)
{
	if (!t->n || submit_s >= t->jobs[t->n - 1].submit_s)
		return 0;
	return zn_lines_bad(l, err, "submitted at %.15g, before the job above it (%.15g)", submit_s, t->jobs[t->n - 1].submit_s);
}

static int take_texts(struct zn_trace *t, const char *const field[COLUMNS], struct zn_trace_job *job)
{
	const struct zn_trace_job *last = t->n ? job - 1 : NULL;

	job->user = keep(t, field[USER], last ? last->user : NULL);
	job->vc = keep(t, field[VC], last ? last->vc : NULL);
	job->gpu_model = keep(t, field[MODEL], last ? last->gpu_model : NULL);
	return job->user && job->vc && job->gpu_model ? 0 : -ENOMEM;
}

static int take_job(struct zn_trace *t, size_t *cap, const struct zn_lines *l, const char *const field[COLUMNS],
                    struct zn_err *err)
{
	double v[NUMBERS];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < NUMBERS; i++)
		rc = zn__csv_number(l, field[i], &columns[i], &v[i], err);
	if (rc < 0)
		return rc;
	if (v[GPUS] >= 1 && zn__csv_says(field[GPU_MILLI]) && !v[GPU_MILLI])
		return zn_lines_bad(l, err, "gpu_milli is 0, and gpus is not");
	if (t->use != ZN_TRACE_PLACE && (!*field[SUBMIT] || !*field[DURATION] || (v[GPUS] < 1 && !(t->use == ZN_TRACE_RUN && v[CPUS] > 0)))) {
		t->left_out++;
		return 0;
	}
	if (v[NODES] > 0 && v[GPUS] >= 1 && fmod(v[GPUS], v[NODES]) != 0)
		return zn_lines_bad(l, err, "%.0f GPUs can't be spread equally over %.0f nodes", v[GPUS], v[NODES]);
	rc = t->use != ZN_TRACE_PLACE ? in_order(l, t, v[SUBMIT], err) : 0;
	if (rc < 0)
		return rc;
	struct zn_trace_job *job = zn__trace_new_job(t, cap);
	if (!job)
		return zn_err_set(err, -ENOMEM, "out of memory");
	*job = (struct zn_trace_job){
		.id = field[ID] && *field[ID] ? (uint64_t)v[ID] : t->n + t->left_out,
		.submit_s = v[SUBMIT], .duration_s = v[DURATION], .walltime_s = v[WALLTIME], .gpus = (uint32_t)v[GPUS],
		.gpu_milli = v[GPU_MILLI] && v[GPUS] == 1 ? (uint32_t)v[GPU_MILLI] : 1000,
		.nodes = v[GPUS] >= 1 ? (uint32_t)v[NODES] : 0, .cpus = v[CPUS], .mem_mb = v[MEM], .priority = (int64_t)v[PRIORITY],
		.preemptible = v[PREEMPTIBLE] > 0,
	};
	if (take_texts(t, field, job) < 0)
		return zn_err_set(err, -ENOMEM, "out of memory");
	t->n++;
	return 0;
}

static int take_csv(struct zn_trace *t, size_t *cap, struct zn_lines *l, char *line, const struct layout *y, struct zn_err *err)
{
	const char *field[COLUMNS];
	int rc = zn__csv_cut(l, line, y->n, y->at, COLUMNS, field, err);

	return rc < 0 ? rc : take_job(t, cap, l, field, err);
}

/* Fields of the format, from 0; -1 stands for what is not known. */
enum swf { SWF_ID, SWF_SUBMIT, SWF_RUN = 3, SWF_USED = 4, SWF_ASKED = 7, SWF_TIME = 8, SWF_USER = 11, SWF_QUEUE = 14, SWF_FIELDS = 18 };

static const char *known(const char *text)
{
	return text[0] == '-' ? "" : text;
}

static int take_swf(struct zn_trace *t, size_t *cap, struct zn_lines *l, char *line, struct zn_err *err)
{
	char *f[SWF_FIELDS], *rest = NULL;
	size_t n = 0;

	for (char *at = strtok_r(line, " \t", &rest); at && n < SWF_FIELDS; at = strtok_r(NULL, " \t", &rest))
		f[n++] = at;
	if (!n)
		return 0;
	if (n < SWF_FIELDS)
		return zn_lines_bad(l, err, "%zu fields of %d", n, SWF_FIELDS);
	const char *asked = known(f[SWF_ASKED]), *run = known(f[SWF_RUN]);
	const char *field[COLUMNS] = {
		[ID] = f[SWF_ID], [SUBMIT] = known(f[SWF_SUBMIT]), [DURATION] = strcmp(run, "0") ? run : "",
		[WALLTIME] = known(f[SWF_TIME]), [GPUS] = *asked ? asked : known(f[SWF_USED]),
		[USER] = known(f[SWF_USER]), [VC] = known(f[SWF_QUEUE]),
	};
	return take_job(t, cap, l, field, err);
}

static int take_lines(struct zn_trace *t, struct zn_lines *l, struct zn_err *err)
{
	struct layout y = { .n = 0 };
	bool swf = false;
	size_t cap = 0;
	char *line;
	int rc;

	while ((rc = zn_lines_next(l, &line, err)) > 0) {
		if (*line == ';') {
			swf = true;
		} else if (swf) {
			rc = take_swf(t, &cap, l, line, err);
		} else if (!y.n) {
			rc = zn__csv_header(l, line, columns, COLUMNS, t->use != ZN_TRACE_POOL, y.at, err);
			y.n = rc < 0 ? 0 : (size_t)rc;
			rc = rc < 0 ? rc : need_columns(l, &y, t->use, err);
		} else if (*line) {
			rc = take_csv(t, &cap, l, line, &y, err);
		}
		if (rc < 0)
			return rc;
	}
	return rc;
}

int zn_trace_read(const char *path, enum zn_trace_use use, struct zn_trace *ret, struct zn_err *err)
{
	struct zn_lines l;
	int first = 0;

	*ret = (struct zn_trace){ .use = use };
	int rc = zn_lines_open(path, &l, err);
	if (rc == 0)
		rc = zn_lines_peek(&l, &first, err);
	if (rc == 0 && zn__trace_is_records(first))
		rc = zn__trace_take_records(path, ret, err);
	else if (rc == 0)
		rc = take_lines(ret, &l, err);
	zn_lines_close(&l);
	if (rc == 0 && !ret->n && !ret->left_out)
		rc = zn_err_set(err, -EBADMSG, "'%s' has no jobs", path);
	if (rc < 0)
		zn_trace_done(ret);
	return rc;
}

void zn_trace_done(struct zn_trace *t)
{
	free(t->jobs);
	zn_arena_done(&t->arena);
	*t = (struct zn_trace){ 0 };
}
