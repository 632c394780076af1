#include "queue/picture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct zn_picture_job {
	uint64_t id;
	struct zn_job_record job;
	UT_hash_handle hh;
};

static int take_event(struct zn_picture *p, const struct zn_rec *rec, struct zn_err *err)
{
	struct zn_picture_job *j;
	struct zn_event e;
	/* the record's bytes are only lent: strings go along into our arena */
	void *copy = zn_arena_memdup(&p->arena, rec->p, rec->n);
	msgpack_object map;
	int rc = copy ? zn_val_unpack(copy, rec->n, 0, &p->arena, &map, err) : -ENOMEM;

	if (rc == 0)
		rc = zn_decode(&zn_event_kind, &map, &p->arena, &e, err);
	if (rc < 0)
		return rc;
	HASH_FIND(hh, p->by_id, &e.job.id, sizeof(e.job.id), j);
	if (!j) {
		j = calloc(1, sizeof(*j));
		if (!j)
			return -ENOMEM;
		j->id = e.job.id;
		HASH_ADD(hh, p->by_id, id, sizeof(j->id), j);
	}
	j->job = e.job;
	if (e.seq > p->seq)
		p->seq = e.seq;
	return 0;
}

static int take_node(struct zn_picture *p, const struct zn_rec *rec, struct zn_err *err)
{
	void *copy = zn_arena_memdup(&p->arena, rec->p, rec->n);
	struct zn_node_record *node = zn_arena_new(&p->arena, struct zn_node_record);
	msgpack_object map;
	int rc = copy && node ? zn_val_unpack(copy, rec->n, 0, &p->arena, &map, err) : -ENOMEM;

	if (rc == 0)
		rc = zn_decode(&zn_node_kind, &map, &p->arena, node, err);
	if (rc == 0) {
		p->nodes = node;
		p->n_nodes = 1;
	}
	return rc;
}

static void forget_jobs(struct zn_picture *p)
{
	struct zn_picture_job *j, *next;

	HASH_ITER(hh, p->by_id, j, next) {
		HASH_DEL(p->by_id, j);
		free(j);
	}
}

static int by_id(const void *a, const void *b)
{
	const struct zn_job_record *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int sort_jobs(struct zn_picture *p)
{
	size_t n = 0;

	p->jobs = zn_arena_array(&p->arena, HASH_COUNT(p->by_id) + 1, sizeof(*p->jobs));
	if (!p->jobs)
		return -ENOMEM;
	for (struct zn_picture_job *j = p->by_id; j; j = j->hh.next)
		p->jobs[n++] = j->job;
	p->n_jobs = n;
	qsort(p->jobs, n, sizeof(*p->jobs), by_id);
	return 0;
}

int zn_picture_read(struct zn_view_reader *r, struct zn_picture *ret, struct zn_err *err)
{
	struct zn_picture p = { 0 };
	struct zn_rec rec;
	int rc;

	while ((rc = zn_view_next(r, &rec, err)) > 0) {
		int taken = 0;
		if (rc == 2)
			forget_jobs(&p);
		else if (zn_val_is_text(zn_val_get(&rec.map, "kind"), "event"))
			taken = take_event(&p, &rec, err);
		else if (zn_val_is_text(zn_val_get(&rec.map, "kind"), "node"))
			taken = take_node(&p, &rec, err);
		if (taken < 0) {
			rc = taken;
			break;
		}
	}
	if (rc == 0)
		rc = sort_jobs(&p);
	if (rc < 0) {
		zn_picture_done(&p);
		return rc;
	}
	*ret = p;
	return 0;
}

void zn_picture_done(struct zn_picture *p)
{
	forget_jobs(p);
	zn_arena_done(&p->arena);
}

const struct zn_job_record *zn_picture_job(const struct zn_picture *p, uint64_t id)
{
	struct zn_job_record key = { .id = id };

	return p->n_jobs ? bsearch(&key, p->jobs, p->n_jobs, sizeof(key), by_id) : NULL;
}

static bool holds(const struct zn_job_record *job)
{
	return !strcmp(job->state, "SCHEDULED") || !strcmp(job->state, "RUNNING") || !strcmp(job->state, "SUSPENDED");
}


static void take_alloc(struct zn_free *f, const struct zn_job_alloc *alloc)
{
	struct zn_idset cpus;

	for (size_t i = 0; i < alloc->gpus.n; i++)
		zn_idset_remove(&f->gpus, alloc->gpus.v[i]);
	if (alloc->cpus && alloc->cpu_list && zn_idset_parse(alloc->cpu_list, &cpus, NULL) == 0)
		f->cpus = zn_idset_minus(&f->cpus, &cpus);
	if (alloc->mem_bytes.has)
		f->mem_bytes -= alloc->mem_bytes.v < f->mem_bytes ? alloc->mem_bytes.v : f->mem_bytes;
}

int zn_picture_node(const struct zn_picture *p, struct zn_node_record *node, struct zn_facts **ret_facts,
                    struct zn_free *ret_free, struct zn_err *err)
{
	struct zn_arena a = { 0 };
	struct zn_facts *facts;
	msgpack_object list;

	if (!node->topology.p)
		return zn_err_set(err, -ENODATA, "the agent of node '%s' has not reported yet",
		                  node->node_id ? node->node_id : "");
	int rc = zn_val_unpack(node->topology.p, node->topology.n, 0, &a, &list, err);
	if (rc == 0)
		rc = zn_facts_decode(&list, &facts, err);
	zn_arena_done(&a);
	if (rc < 0)
		return rc;
	struct zn_free f = zn_plan_idle(facts);
	uint64_t jobs = 0;
	for (size_t i = 0; i < p->n_jobs; i++) {
		if (!holds(&p->jobs[i]))
			continue;
		jobs++;
		for (size_t k = 0; k < p->jobs[i].alloc.n; k++)
			take_alloc(&f, (const struct zn_job_alloc *)p->jobs[i].alloc.v + k);
	}
	const struct zn_node_held *held = node->held.v;
	for (size_t i = 0; i < node->held.n; i++)
		zn_idset_remove(&f.gpus, held[i].gpu);
	node->cpus_free = ZN_SOME_U64(zn_idset_count(&f.cpus));
	node->gpus_free = ZN_SOME_U64(zn_idset_count(&f.gpus));
	node->mem_free_bytes = ZN_SOME_U64(f.mem_bytes);
	node->jobs = ZN_SOME_U64(jobs); /* the record's own number is that of its writing */
	*ret_facts = facts;
	*ret_free = f;
	return 0;
}
