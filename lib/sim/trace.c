#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim/lines.h"
#include "sim/trace_priv.h"

enum { COLUMNS_MAX = 64 };
static const double seconds_max = 1e12;

enum column { ID, SUBMIT, DURATION, WALLTIME, GPUS, USER, VC, COLUMNS };
static const char *const names[COLUMNS] = {
	"job_id", "submit_s", "duration_s", "walltime_s", "gpus", "user", "vc",
};

/* Where each column is in a line of the file; -1: the file has none. */
struct layout { int at[COLUMNS]; size_t n; };

static int read_header(const struct zn_lines *l, char *line, const char *const *wanted, size_t n_wanted, int *at,
                       struct zn_err *err)
{
	char *fields[COLUMNS_MAX];
	size_t n = zn_line_cut(line, ',', fields, COLUMNS_MAX);

	for (size_t w = 0; w < n_wanted; w++) {
		at[w] = -1;
		for (size_t i = 0; i < n; i++) {
			if (strcmp(fields[i], wanted[w]))
				continue;
			if (at[w] >= 0)
				return zn_lines_bad(l, err, "column '%s' is there twice", wanted[w]);
			at[w] = (int)i;
		}
	}
	return (int)n;
}

static int need_columns(const struct zn_lines *l, const struct layout *y, struct zn_err *err)
{
	static const enum column needed[] = { SUBMIT, DURATION, GPUS };

	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++)
		if (y->at[needed[i]] < 0)
			return zn_lines_bad(l, err, "there is no column '%s'", names[needed[i]]);
	return 0;
}

/* A number that is not negative; 0 where there is none.  -EBADMSG. */
static int take_number(const struct zn_lines *l, const char *text, const char *what, double max, double *ret,
                       struct zn_err *err)
{
	*ret = 0;
	if (!text || !*text)
		return 0;
	if (!zn_field_number(text, ret))
		return zn_lines_bad(l, err, "%s '%s' is no number", what, text);
	if (*ret < 0 || *ret > max)
		return zn_lines_bad(l, err, "%s %s is not between 0 and %.0f", what, text, max);
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

static int take_job(struct zn_trace *t, size_t *cap, const struct zn_lines *l, const char *const field[COLUMNS],
                    struct zn_err *err)
{
	const struct zn_trace_job *last = t->n ? &t->jobs[t->n - 1] : NULL;
	double id = (double)(t->n + t->left_out), submit_s, duration_s, walltime_s, gpus;
	int rc = 0;

	if (field[ID] && *field[ID])
		rc = take_number(l, field[ID], names[ID], 1e15, &id, err);
	if (rc == 0)
		rc = take_number(l, field[SUBMIT], names[SUBMIT], seconds_max, &submit_s, err);
	if (rc == 0)
		rc = take_number(l, field[DURATION], names[DURATION], seconds_max, &duration_s, err);
	if (rc == 0)
		rc = take_number(l, field[WALLTIME], names[WALLTIME], seconds_max, &walltime_s, err);
	if (rc == 0)
		rc = take_number(l, field[GPUS], names[GPUS], ZN__TRACE_GPUS_MAX, &gpus, err);
	if (rc < 0)
		return rc;
	if (!*field[SUBMIT] || !*field[DURATION] || gpus < 1) {
		t->left_out++;
		return 0;
	}
	rc = in_order(l, t, submit_s, err);
	if (rc < 0)
		return rc;
	const char *user = keep(t, field[USER], last ? last->user : NULL), *vc = keep(t, field[VC], last ? last->vc : NULL);
	struct zn_trace_job *job = zn__trace_new_job(t, cap);
	if (!job || !user || !vc)
		return zn_err_set(err, -ENOMEM, "out of memory");
	*job = (struct zn_trace_job){ .id = (uint64_t)id, .submit_s = submit_s, .duration_s = duration_s,
	                              .walltime_s = walltime_s, .gpus = (uint32_t)gpus, .user = user, .vc = vc };
	t->n++;
	return 0;
}

static int take_csv(struct zn_trace *t, size_t *cap, struct zn_lines *l, char *line, const struct layout *y, struct zn_err *err)
{
	char *fields[COLUMNS_MAX];
	const char *field[COLUMNS] = { 0 };
	size_t n = zn_line_cut(line, ',', fields, COLUMNS_MAX);

	if (n != y->n)
		return zn_lines_bad(l, err, "%zu fields, where the first line has %zu", n, y->n);
	for (size_t i = 0; i < COLUMNS; i++)
		field[i] = y->at[i] < 0 ? NULL : fields[y->at[i]];
	return take_job(t, cap, l, field, err);
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
			rc = read_header(l, line, names, COLUMNS, y.at, err);
			y.n = rc < 0 ? 0 : (size_t)rc;
			rc = rc < 0 ? rc : need_columns(l, &y, err);
		} else if (*line) {
			rc = take_csv(t, &cap, l, line, &y, err);
		}
		if (rc < 0)
			return rc;
	}
	return rc;
}

int zn_trace_read(const char *path, struct zn_trace *ret, struct zn_err *err)
{
	struct zn_lines l;
	int first = 0;

	*ret = (struct zn_trace){ 0 };
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

/* ---- the cluster --------------------------------------------------------------------------------------- */

static struct zn_sim_pool *pool_of(struct zn_cluster *c, const char *vc)
{
	for (size_t i = 0; i < c->n; i++)
		if (!strcmp(c->pools[i].vc, vc))
			return &c->pools[i];
	struct zn_sim_pool *v = reallocarray(c->pools, c->n + 1, sizeof(*v));
	char *name = zn_arena_strdup(&c->arena, vc);
	if (v)
		c->pools = v;
	if (!v || !name)
		return NULL;
	v[c->n] = (struct zn_sim_pool){ .vc = name };
	return &v[c->n++];
}

static int take_node(struct zn_cluster *c, struct zn_lines *l, char *line, const int at[2], size_t n_columns, struct zn_err *err)
{
	char *fields[COLUMNS_MAX];
	size_t n = zn_line_cut(line, ',', fields, COLUMNS_MAX);
	double gpus;

	if (n != n_columns)
		return zn_lines_bad(l, err, "%zu fields, where the first line has %zu", n, n_columns);
	int rc = take_number(l, fields[at[0]], "gpus", ZN__TRACE_GPUS_MAX, &gpus, err);
	if (rc < 0)
		return rc;
	struct zn_sim_pool *p = pool_of(c, at[1] < 0 ? "" : fields[at[1]]);
	if (!p)
		return zn_err_set(err, -ENOMEM, "out of memory");
	if (gpus > ZN__TRACE_GPUS_MAX - c->gpus)
		return zn_lines_bad(l, err, "more than %d GPUs in all", ZN__TRACE_GPUS_MAX);
	p->gpus += (uint32_t)gpus;
	c->gpus += (uint32_t)gpus;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct zn_sim_pool *)a)->vc, ((const struct zn_sim_pool *)b)->vc);
}

static int take_nodes(struct zn_cluster *c, struct zn_lines *l, struct zn_err *err)
{
	static const char *const wanted[] = { "gpus", "vc" };
	int at[2], n = 0, rc;
	char *line;

	while ((rc = zn_lines_next(l, &line, err)) > 0) {
		if (!n) {
			rc = n = read_header(l, line, wanted, 2, at, err);
			if (rc >= 0 && at[0] < 0)
				rc = zn_lines_bad(l, err, "there is no column 'gpus'");
		} else if (*line) {
			rc = take_node(c, l, line, at, (size_t)n, err);
		}
		if (rc < 0)
			return rc;
	}
	if (rc == 0 && !c->gpus)
		rc = zn_err_set(err, -EBADMSG, "'%s' has no GPUs", l->path);
	return rc;
}

int zn_cluster_read(const char *path, struct zn_cluster *ret, struct zn_err *err)
{
	struct zn_lines l;

	*ret = (struct zn_cluster){ 0 };
	int rc = zn_lines_open(path, &l, err);
	if (rc == 0)
		rc = take_nodes(ret, &l, err);
	zn_lines_close(&l);
	if (rc < 0)
		zn_cluster_done(ret);
	else
		qsort(ret->pools, ret->n, sizeof(*ret->pools), by_name);
	return rc;
}

void zn_cluster_done(struct zn_cluster *c)
{
	free(c->pools);
	zn_arena_done(&c->arena);
	*c = (struct zn_cluster){ 0 };
}
