/* trace_records: a trace out of job records, as zn-queue history and zn-sim write them. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "job/number.h"
#include "rec/reader.h"
#include "sim/trace_priv.h"

bool zn__trace_is_records(int first_byte)
{
	return first_byte == '{' || (first_byte & 0xf0) == 0x80 || first_byte == 0xde || first_byte == 0xdf;
}

static int bad(const struct zn_rec *rec, const char *path, const struct zn_job_record *j, const char *what, struct zn_err *err)
{
	return zn_err_set(err, -EBADMSG, rec->line ? "'%s', line %llu: job %llu %s" : "'%s', byte %llu: job %llu %s", path,
	                  (unsigned long long)(rec->line ? rec->line : rec->offset), (unsigned long long)j->id, what);
}

static const char *keep(struct zn_trace *t, const char *text)
{
	return text ? zn_arena_strdup(&t->arena, text) : "";
}

/* Thousandths of its GPUs: of one a part, as it was given or asked. */
static uint32_t milli_of(const struct zn_job_record *j)
{
	const struct zn_job_alloc *alloc = j->alloc.v;
	double milli = j->alloc.n == 1 && alloc->gpu_milli.has ? (double)alloc->gpu_milli.v : j->gpu_share.has ? round(j->gpu_share.v * 1000) : 1000;

	return j->gpus == 1 && milli >= 1 && milli < 1000 ? (uint32_t)milli : 1000;
}

/* Whoever wants his range of nodes used up. */
static void take_spread(struct zn_trace_job *to, const struct zn_job_record *j)
{
	if (!j->spread.v || !j->gpus || j->nodes_max.v < 2 || j->nodes_max.v > ZN__TRACE_GPUS_MAX || j->nodes_min.v > j->nodes_max.v)
		return;
	to->nodes = (uint32_t)j->nodes_max.v;
	to->nodes_least = j->nodes_min.v ? (uint32_t)j->nodes_min.v : 1;
}

static int take_job(struct zn_trace *t, size_t *cap, const struct zn_rec *rec, const char *path, const struct zn_job_record *j,
                    struct zn_err *err)
{
	if (j->elements.has && !j->index.has) /* an array: its elements have records of their own */
		return 0;
	if (t->use != ZN_TRACE_PLACE && (!(j->gpus || (t->use == ZN_TRACE_RUN && j->cpus.v)) || !j->start_s.has || !j->end_s.has)) { /* it asked for none, or never ran to an end */
		t->left_out++;
		return 0;
	}
	if (j->gpus > ZN__TRACE_GPUS_MAX)
		return bad(rec, path, j, "has more GPUs than there can be", err);
	if (j->submit_s < 0 || (j->end_s.has && j->end_s.v < j->start_s.v))
		return bad(rec, path, j, "ends before it starts", err);
	struct zn_trace_job *to = zn__trace_new_job(t, cap);
	const char *user = keep(t, j->user), *vc = keep(t, j->account);
	if (!to || !user || !vc)
		return zn_err_set(err, -ENOMEM, "out of memory");
	*to = (struct zn_trace_job){ .id = j->id, .index = j->index, .at_once = zn_record_at_once(j), .submit_s = j->submit_s, .duration_s = j->end_s.v - j->start_s.v,
	                             .walltime_s = j->time_limit_s.has ? j->time_limit_s.v : 0, .gpus = (uint32_t)j->gpus,
	                             .gpu_milli = milli_of(j), .cpus = fmin((double)j->cpus.v, 1e9),
	                             .mem_mb = fmin((double)j->mem_bytes.v / (1 << 20), 1e12),
	                             .user = user, .vc = vc, .gpu_model = "", .priority = j->priority, .preemptible = j->preemptible.v,
	                             .same_switch = j->same_switch.v };
	take_spread(to, j);
	t->n++;
	return 0;
}

static int by_submission(const void *a, const void *b)
{
	const struct zn_trace_job *x = a, *y = b;

	if (x->submit_s != y->submit_s)
		return x->submit_s < y->submit_s ? -1 : 1;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return (x->index.v > y->index.v) - (x->index.v < y->index.v);
}

static int take_records(struct zn_trace *t, struct zn_reader *r, const char *path, struct zn_err *err)
{
	struct zn_arena a = { 0 };
	struct zn_job_record j;
	struct zn_rec rec;
	size_t cap = 0;
	int rc;

	while ((rc = zn_reader_next(r, &rec, err)) > 0) {
		if (!zn_val_is_text(zn_val_get(&rec.map, "kind"), zn_job_kind.name))
			continue;
		zn_arena_reset(&a);
		rc = zn_decode(&zn_job_kind, &rec.map, &a, &j, err);
		if (rc == 0)
			rc = take_job(t, &cap, &rec, path, &j, err);
		if (rc < 0)
			break;
	}
	zn_arena_done(&a);
	if (rc == 0 && t->n && t->use != ZN_TRACE_PLACE)
		qsort(t->jobs, t->n, sizeof(*t->jobs), by_submission);
	return rc;
}

int zn__trace_take_records(const char *path, struct zn_trace *t, struct zn_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct zn_reader *r = NULL;
	int rc = fd < 0 ? -errno : zn_reader_new(fd, &r);

	if (rc == 0)
		rc = take_records(t, r, path, err);
	else
		zn_err_set(err, rc, "can't open '%s': %s", path, strerror(-rc));
	zn_reader_free(r);
	if (fd >= 0)
		close(fd);
	return rc;
}
