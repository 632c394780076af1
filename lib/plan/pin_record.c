#include "plan/pin_record.h"

#include <errno.h>
#include <string.h>

#include "rec/ids.h"

static const struct zn_field fields[] = {
	ZN_FIELD(struct zn_pin_record, part, OU64, "PART", "number of this plan among those of --spread, from 0"),
	ZN_FIELD(struct zn_pin_record, pid, OU64, "PID", "the running process that would be pinned"),
	ZN_FIELD(struct zn_pin_record, cpus, STR, "CPUS", "cpu list it would run on"),
	ZN_FIELD(struct zn_pin_record, cores, U32, "CORES", "physical cores of these"),
	ZN_FIELD(struct zn_pin_record, numas, U32S, "NUMA", "NUMA nodes whose memory it would use"),
	ZN_FIELD(struct zn_pin_record, mem, STR, "MEM", "memory policy: default, bind, prefer or interleave"),
	ZN_FIELD(struct zn_pin_record, gpus, U32S, "GPUS", "GPUs it would see"),
	ZN_FIELD(struct zn_pin_record, command, STRS, "COMMAND", "what would run, word by word"),
	ZN_FIELD(struct zn_pin_record, degraded, STR, "DEGRADED",
	         "what was asked and what is possible, where they differ"),
	ZN_FIELD(struct zn_pin_record, environment, MAP, "", "what it would find in its environment"),
	{ 0 },
};

const struct zn_kind zn_pin_kind = {
	.name = "pin", .brief = "where a process would run", .fields = fields, .size = sizeof(struct zn_pin_record),
};

int zn_pin_record_make(const struct zn_pin *pin, struct zn_arena *a, struct zn_pin_record *ret)
{
	struct zn_pin_record r = {
		.cpus = zn_ids_text(&pin->cpus, a), .cores = pin->cores, .mem = zn_mem_policy_name(pin->mem),
		.degraded = *pin->degraded ? pin->degraded : NULL,
	};

	if (!r.cpus || zn_ids_numbers(&pin->numas, a, &r.numas) < 0 || zn_ids_numbers(&pin->gpus, a, &r.gpus) < 0)
		return -ENOMEM;
	*ret = r;
	return 0;
}

/* ---- the environment ---- */

static void add(struct zn_strmap *env, const char *key, const char *value)
{
	env->v[env->n++] = (struct zn_pair){ key, value };
}

/* Does the driver take it in CUDA_VISIBLE_DEVICES?  That of a mock it does not know. */
static bool has_identity(const struct zn_facts *f, const struct zn_gpu *g)
{
	return !f->machine.mock && g->uuid && !strncmp(g->uuid, "GPU-", 4);
}

static void add_gpus(const struct zn_facts *f, const struct zn_pin *pin, struct zn_arena *a, struct zn_strmap *env)
{
	struct zn_buf uuids = { 0 }, indices = { 0 };
	bool all = true;

	zn_idset_each(id, &pin->gpus) {
		const struct zn_gpu *g = zn_facts_gpu(f, (uint32_t)id);
		all = all && has_identity(f, g);
		zn_buf_printf(&uuids, "%s%s", uuids.len ? "," : "", all ? g->uuid : "");
		zn_buf_printf(&indices, "%s%d", indices.len ? "," : "", id);
	}
	const char *list = zn_buf_text(all ? &uuids : &indices);
	if (!all)
		add(env, "CUDA_DEVICE_ORDER", "PCI_BUS_ID");
	add(env, "CUDA_VISIBLE_DEVICES", list ? zn_arena_strdup(a, list) : NULL);
	zn_buf_done(&uuids);
	zn_buf_done(&indices);
}

static void add_huge(const char *old, struct zn_arena *a, struct zn_strmap *env)
{
	if (!old || !*old)
		add(env, "GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");
	else if (!strstr(old, "glibc.malloc.hugetlb="))
		add(env, "GLIBC_TUNABLES", zn_arena_printf(a, "%s:glibc.malloc.hugetlb=1", old));
}

int zn_pin_env_make(const struct zn_facts *f, const struct zn_pin *pin, const struct zn_pin_env *env,
                    struct zn_arena *a, struct zn_strmap *ret)
{
	enum { MOST = 5 };
	const char *nics = NULL;
	struct zn_strmap map = { .v = zn_arena_array(a, MOST, sizeof(*map.v)) };

	if (!map.v || (env->gpus && zn_plan_nics(f, &pin->gpus, a, &nics) < 0))
		return -ENOMEM;
	if (!env->omp_num_threads)
		add(&map, "OMP_NUM_THREADS", zn_arena_printf(a, "%u", pin->cores));
	if (env->gpus)
		add_gpus(f, pin, a, &map);
	if (nics)
		add(&map, "ZENITH_NICS", nics);
	if (env->huge)
		add_huge(env->tunables, a, &map);
	for (size_t i = 0; i < map.n; i++)
		if (!map.v[i].value)
			return -ENOMEM;
	*ret = map;
	return 0;
}
