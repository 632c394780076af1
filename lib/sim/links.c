/* The plan is asked once for each set of free GPUs and each number of them that comes up: what it says is kept. */
#define HASH_NONFATAL_OOM 1
#include "base/hash.h"
#include "sim/links.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

#include "plan/plan.h"

struct key { uint64_t free, n; };

/* The best n of those that are free, and their weakest link. */
struct answer { struct key key; uint64_t gpus; uint32_t mbps; UT_hash_handle hh; };

struct zn_sim_links {
	struct zn_fleet_links links;           /* of which this is arg */
	char mock[80];                         /* "8:v100" */
	struct zn_facts *facts;
	struct zn_free idle;
	uint64_t all;                          /* its GPUs */
	struct answer *answers;
	int rc;
	struct zn_sim_links *next;
};

static struct zn_idset set_of(uint64_t mask)
{
	struct zn_idset set = { 0 };

	for (; mask; mask &= mask - 1)
		zn_idset_add(&set, (unsigned)__builtin_ctzll(mask));
	return set;
}

static uint64_t mask_of(const struct zn_idset *set)
{
	uint64_t mask = 0;

	zn_idset_each(id, set)
		mask |= UINT64_C(1) << id;
	return mask;
}

static int plan(const struct zn_sim_links *l, const struct key *key, struct answer *ret)
{
	struct zn_free free = l->idle;
	struct zn_ask ask = { .gpus = (uint32_t)key->n, .tasks = 1 };
	struct zn_plan p;

	free.gpus = set_of(key->free);
	int rc = zn_plan_make(l->facts, &free, &ask, &p, NULL);
	if (rc == 0)
		*ret = (struct answer){ .key = *key, .gpus = mask_of(&p.gpus), .mbps = zn_plan_weakest_mbps(l->facts, &p) };
	return rc;
}

/* NULL: out of memory, or there are not so many. */
static const struct answer *ask(struct zn_sim_links *l, uint64_t free_gpus, uint32_t n)
{
	struct key key = { free_gpus, n };
	struct answer *a;

	HASH_FIND(hh, l->answers, &key, sizeof(key), a);
	if (a)
		return a;
	a = malloc(sizeof(*a));
	int rc = a ? plan(l, &key, a) : -ENOMEM;
	if (rc == 0) {
		HASH_ADD(hh, l->answers, key, sizeof(a->key), a);
		rc = a->hh.tbl ? 0 : -ENOMEM;
	}
	if (rc == 0)
		return a;
	free(a);
	l->rc = rc;
	return NULL;
}

static uint64_t lowest(uint64_t mask, uint32_t n)
{
	uint64_t ret = 0;

	for (; n && mask; n--, mask &= mask - 1)
		ret |= mask & -mask;
	return ret;
}

static uint64_t best(void *arg, uint64_t free_gpus, uint32_t n, double *ret_worth)
{
	struct zn_sim_links *l = arg;
	const struct answer *now = ask(l, free_gpus, n), *idle = ask(l, l->all, n);

	*ret_worth = now && idle && now->mbps < idle->mbps ? (double)now->mbps / idle->mbps : 1;
	return now ? now->gpus : lowest(free_gpus, n); /* which is on record: check */
}

static struct zn_sim_links *links_new(const char *mock, uint32_t gpus, struct zn_err *err, int *ret_rc)
{
	struct zn_sim_links *l = calloc(1, sizeof(*l));
	struct zn_topo_opts opts = { .mock = mock };

	*ret_rc = l ? zn_facts_read(&opts, &l->facts, err) : zn_err_set(err, -ENOMEM, "out of memory");
	if (*ret_rc < 0) {
		free(l);
		return NULL;
	}
	l->idle = zn_plan_idle(l->facts);
	l->all = gpus < 64 ? (UINT64_C(1) << gpus) - 1 : ~UINT64_C(0);
	l->links = (struct zn_fleet_links){ .best = best, .arg = l };
	snprintf(l->mock, sizeof(l->mock), "%s", mock);
	return l;
}

int zn_sim_links_get(struct zn_sim_links **all, const char *topology, uint32_t gpus, const struct zn_fleet_links **ret, struct zn_err *err)
{
	char mock[80];
	struct zn_sim_links *l = *all;
	int rc = 0;

	if (snprintf(mock, sizeof(mock), "%u:%s", (unsigned)gpus, topology) >= (int)sizeof(mock))
		return zn_err_set(err, -EINVAL, "'%.20s...' is no topology", topology);
	while (l && strcmp(l->mock, mock))
		l = l->next;
	if (!l) {
		l = links_new(mock, gpus, err, &rc);
		if (!l)
			return rc;
		l->next = *all;
		*all = l;
	}
	*ret = &l->links;
	return 0;
}

int zn_sim_links_check(const struct zn_sim_links *all, struct zn_err *err)
{
	for (const struct zn_sim_links *l = all; l; l = l->next)
		if (l->rc < 0)
			return zn_err_set(err, l->rc, "GPUs can't be chosen by the links of '%s': %s", l->mock, strerror(-l->rc));
	return 0;
}

void zn_sim_links_free(struct zn_sim_links *all)
{
	for (struct zn_sim_links *l = all, *after; l; l = after) {
		struct answer *a, *next;
		after = l->next;
		HASH_ITER(hh, l->answers, a, next) {
			HASH_DEL(l->answers, a);
			free(a);
		}
		zn_facts_free(l->facts);
		free(l);
	}
}
