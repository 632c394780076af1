#include "pick/room.h"
#include "queue/picture.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
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

static int take_nodes(struct zn_picture *p, const struct zn_latest *l, struct zn_err *err)
{
	int rc = 0;

	p->nodes = zn_arena_array(&p->arena, l->n_nodes + 1, sizeof(*p->nodes));
	if (!p->nodes)
		return -ENOMEM;
	for (; rc == 0 && p->n_nodes < l->n_nodes; p->n_nodes++)
		rc = zn_raw_decode(&zn_node_kind, l->nodes[p->n_nodes], &p->arena, &p->nodes[p->n_nodes], err);
	return rc;
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

static int take_bookings(struct zn_picture *p, const struct zn_latest *l, struct zn_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < l->n_bookings; i++) {
		struct zn_booking b;
		rc = zn_raw_decode(&zn_booking_kind, l->bookings[i], &p->arena, &b, err);
		if (rc == 0 && b.name && b.until_s > zn_now_s())
			rc = zn_bookings_set(&p->bookings, &b);
	}
	return rc;
}

int zn_picture_read(struct zn_view_reader *r, struct zn_picture *ret, struct zn_err *err)
{
	struct zn_picture p = { 0 };
	struct zn_latest l;
	int rc = zn_latest_read(r, &l, err);

	if (rc < 0)
		return rc;
	rc = take_nodes(&p, &l, err);
	if (rc == 0)
		rc = take_quotas(&p, &l, err);
	if (rc == 0)
		rc = take_shares(&p, &l, err);
	if (rc == 0)
		rc = take_licences(&p, &l, err);
	if (rc == 0)
		rc = take_bookings(&p, &l, err);
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

static void forget_room(struct zn_picture *p)
{
	for (uint32_t i = 0; p->facts && i < p->room.n; i++)
		zn_facts_free(p->facts[i]);
	p->facts = NULL;
	zn_room_close(&p->room);
}

void zn_picture_done(struct zn_picture *p)
{
	zn_payers_done(&p->payers);
	zn_licences_done(&p->counted);
	forget_room(p);
	zn_bookings_done(&p->bookings);
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

struct zn_pick_weights zn_picture_weights(const struct zn_picture *p)
{
	const struct zn_node_record *n = p->nodes;

	return p->n_nodes ? (struct zn_pick_weights){ n->order_estimate, n->order_size, n->order_fair_share } : (struct zn_pick_weights){ 0 };
}

uint64_t zn_picture_reservations(const struct zn_picture *p)
{
	uint64_t n = p->n_nodes ? p->nodes[0].reservations.v : 0;

	return n < ZN_PICK_RESERVATIONS ? n : ZN_PICK_RESERVATIONS; /* a newer zn-schedd may have more */
}

bool zn_picture_has_place(const struct zn_job_record *job)
{
	return !job->elements.has && (!strcmp(job->state, "SCHEDULED") || !strcmp(job->state, "RUNNING") || !strcmp(job->state, "SUSPENDED"));
}

/* One alone may have been renamed since. */
static int64_t node_of(const struct zn_picture *p, const char *name)
{
	for (uint32_t i = 0; i < p->n_nodes; i++)
		if (name && p->nodes[i].node_id && !strcmp(p->nodes[i].node_id, name))
			return i;
	return p->n_nodes > 1 ? -ENOENT : 0;
}

/* As zn_jobs_book has it. */
static int64_t booked_node(const void *picture, const char *name)
{
	const struct zn_picture *p = picture;
	int64_t at = node_of(p, name);
	const char *now = at < 0 || !p->nodes[at].node_id ? name : p->nodes[at].node_id;

	return strcmp(now, name) && zn_bookings_name_node(&p->bookings, now) ? -ENOENT : at;
}

static struct zn_plan plan_of(const struct zn_job_record *r, const struct zn_job_alloc *alloc)
{
	struct zn_plan p = { 0 };

	for (size_t i = 0; i < alloc->gpus.n; i++)
		zn_idset_add(&p.gpus, alloc->gpus.v[i]);
	if (alloc->gpu_milli.has)
		p.part = (struct zn_gpu_part){ .user = zn_part_user(r->user ? r->user : ""), .mem_bytes = r->gpu_mem_bytes.v,
		                               .milli = (uint32_t)alloc->gpu_milli.v };
	if (alloc->cpu_list && zn_idset_parse(alloc->cpu_list, &p.cpus, NULL) == 0)
		p.cpus_held = (uint32_t)alloc->cpus;
	p.mem_bytes = alloc->mem_bytes.v;
	return p;
}

const struct zn_places *zn_picture_places(const struct zn_picture *p, const struct zn_job_record *r, struct zn_arena *a)
{
	const struct zn_job_alloc *alloc = r->alloc.v;
	struct zn_places *places = zn_arena_alloc(a, sizeof(*places) + r->alloc.n * sizeof(places->v[0]));

	if (!places)
		return NULL;
	places->n = 0;
	for (size_t i = 0; i < r->alloc.n; i++) {
		int64_t node = node_of(p, alloc[i].node);
		if (node >= 0)
			places->v[places->n++] = (struct zn_place){ .node = (uint32_t)node, .plan = plan_of(r, &alloc[i]) };
	}
	return places;
}

static int read_facts(const struct zn_node_record *node, struct zn_facts **ret, struct zn_err *err)
{
	struct zn_arena a = { 0 };
	msgpack_object list;
	int rc = zn_val_unpack(node->topology.p, node->topology.n, 0, &a, &list, err);

	if (rc == 0)
		rc = zn_facts_decode(&list, ret, err);
	zn_arena_done(&a);
	return rc;
}

static void note_free(struct zn_node_record *node, const struct zn_free *f)
{
	node->cpus_free = ZN_SOME_U64(zn_idset_count(&f->cpus));
	node->gpus_free = ZN_SOME_U64(zn_idset_count(&f->gpus));
	node->mem_free_bytes = ZN_SOME_U64(f->mem_bytes);
}

int zn_picture_know(struct zn_picture *p, uint32_t node, struct zn_facts *facts)
{
	if (!p->room.nodes && zn_room_open(&p->room, p->n_nodes, 0) < 0)
		goto no_memory;
	if (!p->facts)
		p->facts = zn_arena_array(&p->arena, p->n_nodes + 1, sizeof(*p->facts));
	if (!p->facts)
		goto no_memory;
	p->facts[node] = facts;
	zn_room_set_facts(&p->room, node, facts);
	p->room.nodes[node].free.mixes_users = p->nodes[node].share_between_users.v;
	return 0;
no_memory:
	zn_facts_free(facts);
	return -ENOMEM;
}

/* Frozen, and the one that it made room for does not wait any more. */
static bool claims_its_cpus(const struct zn_picture *p, const struct zn_job_record *r)
{
	uint64_t handle;

	if (strcmp(r->state, "SUSPENDED") || !r->reason || strncmp(r->reason, ZN_PREEMPTED, strlen(ZN_PREEMPTED)) ||
	    zn_handle_parse(r->reason + strlen(ZN_PREEMPTED), &handle) < 0)
		return false;
	const struct zn_job_record *other = zn_picture_job(p, handle);
	return !other || strcmp(other->state, "QUEUED");
}

static void take_place(struct zn_picture *p, const struct zn_job_record *r, const struct zn_places *places)
{
	for (uint32_t i = 0; i < places->n; i++)
		p->nodes[places->v[i].node].jobs.v++;
	zn_room_take(&p->room, places, NULL);
	if (claims_its_cpus(p, r))
		zn_room_claim_cpus(&p->room, places, r->over_quota.v ? INT64_MIN : r->priority);
}

/* The record's own number of jobs is that of its writing. */
static int take_places(struct zn_picture *p)
{
	for (uint32_t i = 0; i < p->n_nodes; i++)
		p->nodes[i].jobs = ZN_SOME_U64(0);
	for (size_t i = 0; i < p->n_jobs; i++) {
		struct zn_arena a = { 0 };
		const struct zn_places *places = zn_picture_has_place(&p->jobs[i]) ? zn_picture_places(p, &p->jobs[i], &a) : NULL;
		if (places)
			take_place(p, &p->jobs[i], places);
		zn_arena_done(&a);
		if (!places && zn_picture_has_place(&p->jobs[i]))
			return -ENOMEM;
	}
	return 0;
}

static int fill_room(struct zn_picture *p, struct zn_err *err)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < p->n_nodes; i++) {
		struct zn_facts *facts = NULL;
		if (p->nodes[i].topology.p)
			rc = read_facts(&p->nodes[i], &facts, err);
		if (rc == 0)
			rc = zn_picture_know(p, i, facts);
	}
	if (rc == 0)
		rc = take_places(p);
	if (rc == 0)
		rc = zn_bookings_lay(&p->bookings, &p->room, booked_node, p);
	if (rc < 0)
		return rc;
	p->room.now_s = zn_now_s();
	for (uint32_t i = 0; i < p->n_nodes; i++) {
		struct zn_room_node *n = &p->room.nodes[i];
		const struct zn_node_held *held = p->nodes[i].held.v;
		for (size_t k = 0; k < p->nodes[i].held.n; k++)
			zn_idset_add(&n->held, held[k].gpu);
		zn_free_drop_gpus(&n->free, &n->held);
		n->is_closed = strcmp(p->nodes[i].state, "up") != 0;
		n->domain = p->nodes[i].domain;
		n->labels = &p->nodes[i].labels;
		n->closes_s = p->nodes[i].drain_from_s.v;
		n->opens_s = p->nodes[i].drain_until_s.has ? p->nodes[i].drain_until_s.v : HUGE_VAL;
		if (n->facts)
			note_free(&p->nodes[i], &n->free);
	}
	return 0;
}

int zn_picture_room(struct zn_picture *p, struct zn_err *err)
{
	int rc = p->room.nodes ? 0 : fill_room(p, err);

	if (rc < 0) {
		forget_room(p);
		return rc;
	}
	if (!zn_room_is_known(&p->room))
		return zn_err_set(err, -ENODATA, "the agent of node '%s' has not reported yet",
		                  p->n_nodes && p->nodes->node_id ? p->nodes->node_id : "");
	return 0;
}
