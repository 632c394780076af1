#include "pick/room.h"
#include "queue/picture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "job/number.h"
#include "job/spans.h"
#include "queue/latest.h"

static int take_jobs(struct zn_picture *p, const struct zn_latest *l, struct zn_err *err)
{
	int rc = 0;

	p->jobs = zn_arena_array(&p->arena, l->n_jobs + 1, sizeof(*p->jobs));
	if (!p->jobs)
		return -ENOMEM;
	for (; rc == 0 && p->n_jobs < l->n_jobs; p->n_jobs++)
		rc = zn_raw_decode(&zn_job_kind, l->jobs[p->n_jobs].record, &p->arena, &p->jobs[p->n_jobs], err);
	return rc;
}

static int take_node(struct zn_picture *p, struct zn_bytes record, struct zn_err *err)
{
	if (!record.p)
		return 0;
	p->nodes = zn_arena_new(&p->arena, struct zn_node_record);
	p->n_nodes = 1;
	return p->nodes ? zn_raw_decode(&zn_node_kind, record, &p->arena, p->nodes, err) : -ENOMEM;
}

static int take_quotas(struct zn_picture *p, const struct zn_latest *l, struct zn_err *err)
{
	int rc = 0;

	p->quotas.v = zn_arena_array(&p->arena, l->n_quotas + 1, sizeof(*p->quotas.v));
	if (!p->quotas.v)
		return -ENOMEM;
	for (; rc == 0 && p->quotas.n < l->n_quotas; p->quotas.n++)
		rc = zn_raw_decode(&zn_quota_kind, l->quotas[p->quotas.n], &p->arena, &p->quotas.v[p->quotas.n], err);
	return rc;
}

static int take_shares(struct zn_picture *p, const struct zn_latest *l, struct zn_err *err)
{
	int rc = 0;

	p->shares = zn_arena_array(&p->arena, l->n_shares + 1, sizeof(*p->shares));
	if (!p->shares)
		return -ENOMEM;
	for (; rc == 0 && p->n_shares < l->n_shares; p->n_shares++)
		rc = zn_raw_decode(&zn_share_kind, l->shares[p->n_shares], &p->arena, &p->shares[p->n_shares], err);
	return rc;
}

static int take_licences(struct zn_picture *p, const struct zn_latest *l, struct zn_err *err)
{
	int rc = 0;

	p->licences = zn_arena_array(&p->arena, l->n_licences + 1, sizeof(*p->licences));
	if (!p->licences)
		return -ENOMEM;
	for (; rc == 0 && p->n_licences < l->n_licences; p->n_licences++)
		rc = zn_raw_decode(&zn_licence_kind, l->licences[p->n_licences], &p->arena, &p->licences[p->n_licences], err);
	return rc;
}

int zn_picture_read(struct zn_view_reader *r, struct zn_picture *ret, struct zn_err *err)
{
	struct zn_picture p = { 0 };
	struct zn_latest l;
	int rc = zn_latest_read(r, &l, err);

	if (rc < 0)
		return rc;
	rc = take_node(&p, l.node, err);
	if (rc == 0)
		rc = take_quotas(&p, &l, err);
	if (rc == 0)
		rc = take_shares(&p, &l, err);
	if (rc == 0)
		rc = take_licences(&p, &l, err);
	if (rc == 0)
		rc = take_jobs(&p, &l, err);
	zn_latest_done(&l);
	if (rc < 0)
		zn_picture_done(&p);
	else
		*ret = p;
	return rc;
}

int zn_picture_of_spool(const char *spool, struct zn_picture *ret, struct zn_err *err)
{
	struct zn_view_reader *r;
	int rc = zn_view_open(spool, &r, err);

	if (rc == -ENOENT) {
		*ret = (struct zn_picture){ 0 };
		return 0;
	}
	if (rc < 0)
		return rc;
	rc = zn_picture_read(r, ret, err);
	zn_view_close(r);
	return rc;
}

void zn_picture_done(struct zn_picture *p)
{
	zn_payers_done(&p->payers);
	zn_licences_done(&p->counted);
	zn_arena_done(&p->arena);
}

static int by_arrival(const void *a, const void *b)
{
	uint64_t x = zn_handle_arrival(*(const uint64_t *)a), y = zn_handle_arrival(zn_record_handle(b));

	return (x > y) - (x < y);
}

const struct zn_job_record *zn_picture_job(const struct zn_picture *p, uint64_t handle)
{
	return p->n_jobs ? bsearch(&handle, p->jobs, p->n_jobs, sizeof(*p->jobs), by_arrival) : NULL;
}

/* Those of its elements that wait. */
static int rest_of(const struct zn_job_record *job, struct zn_spans *ret)
{
	uint32_t at_once;

	*ret = (struct zn_spans){ 0 };
	return job->array ? zn_spans_parse(job->array, ret, &at_once, NULL) : 0;
}

const struct zn_job_record *zn_picture_array(const struct zn_picture *p, uint64_t handle)
{
	const struct zn_job_record *array = zn_handle_is_element(handle) ? zn_picture_job(p, zn_handle_number(handle)) : NULL;

	return array && zn_record_has_element(array, zn_handle_index(handle)) ? array : NULL;
}

uint32_t zn_picture_waiters(const struct zn_job_record *job)
{
	struct zn_spans rest;

	if (!job->elements.has)
		return 1;
	if (rest_of(job, &rest) < 0)
		return 0;
	uint32_t n = rest.count;
	zn_spans_done(&rest);
	return n;
}

bool zn_picture_has_place(const struct zn_job_record *job)
{
	return !job->elements.has && (!strcmp(job->state, "SCHEDULED") || !strcmp(job->state, "RUNNING") || !strcmp(job->state, "SUSPENDED"));
}

struct zn_plan zn_picture_place(const struct zn_job_record *r)
{
	const struct zn_job_alloc *alloc = r->alloc.v;
	struct zn_plan p = { 0 };

	if (!r->alloc.n)
		return p;
	for (size_t i = 0; i < alloc->gpus.n; i++)
		zn_idset_add(&p.gpus, alloc->gpus.v[i]);
	if (alloc->gpu_milli.has)
		p.part = (struct zn_gpu_part){ .user = zn_part_user(r->user ? r->user : ""), .mem_bytes = r->gpu_mem_bytes.v,
		                               .milli = (uint32_t)alloc->gpu_milli.v };
	if (alloc->cpus && alloc->cpu_list && zn_idset_parse(alloc->cpu_list, &p.cpus, NULL) == 0)
		p.cpus_held = (uint32_t)alloc->cpus;
	p.mem_bytes = alloc->mem_bytes.v;
	return p;
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
	struct zn_room room = { .free = zn_plan_idle(facts) };
	room.free.mixes_users = node->share_between_users.v;
	uint64_t jobs = 0;
	for (size_t i = 0; i < p->n_jobs; i++) {
		if (!zn_picture_has_place(&p->jobs[i]))
			continue;
		struct zn_plan place = zn_picture_place(&p->jobs[i]);
		zn_room_take(&room, &place, NULL);
		jobs++;
	}
	const struct zn_node_held *held = node->held.v;
	for (size_t i = 0; i < node->held.n; i++)
		zn_idset_add(&room.held, held[i].gpu);
	zn_free_drop_gpus(&room.free, &room.held);
	node->cpus_free = ZN_SOME_U64(zn_idset_count(&room.free.cpus));
	node->gpus_free = ZN_SOME_U64(zn_idset_count(&room.free.gpus));
	node->mem_free_bytes = ZN_SOME_U64(room.free.mem_bytes);
	node->jobs = ZN_SOME_U64(jobs); /* the record's own number is that of its writing */
	*ret_facts = facts;
	*ret_free = room.free;
	return 0;
}
