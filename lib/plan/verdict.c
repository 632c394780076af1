#include "plan/verdict.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/units.h"
#include "rec/ids.h"

static const uint64_t FAR_BYTES = 64ull << 20; /* less is what libraries and start-up leave anywhere */

struct judging {
	const struct zn_facts *f;
	const struct zn_holder *h;
	struct zn_idset near, numas; /* CPUs next to the GPUs, and the nodes these hang from */
	char gpus[128];              /* "gpu 0" */
	struct zn_buf text;
	bool mend_cpus, mend_memory;
};

static struct zn_idset cpus_next_to(const struct zn_facts *f, const struct zn_gpu *g)
{
	struct zn_idset set = { 0 };

	if (g->cpus && zn_idset_parse(g->cpus, &set, NULL) == 0 && !zn_idset_is_empty(&set))
		return set;
	return zn_facts_numa_cpus(f, (uint32_t)g->numa.v);
}

/* The GPU whose place is not known, or -1. */
static int find_places(struct judging *j)
{
	zn_idset_each(id, &j->h->gpus) {
		const struct zn_gpu *g = zn_facts_gpu(j->f, (uint32_t)id);
		struct zn_idset near = { 0 };
		if (g && g->numa.has)
			near = cpus_next_to(j->f, g);
		if (zn_idset_is_empty(&near))
			return id;
		zn_idset_add(&j->numas, (unsigned)g->numa.v);
		j->near = zn_idset_or(&j->near, &near);
	}
	return -1;
}

/* ---- CPUs ------------------------------------------------------------------------------------- */

enum where { NEXT, LOOSE, AWAY };

static enum where place_of(const struct judging *j, const struct zn_seen *p)
{
	struct zn_idset inside = zn_idset_and(&p->cpus, &j->near);

	if (zn_idset_is_empty(&inside))
		return AWAY;
	return zn_idset_is_within(&p->cpus, &j->near) ? NEXT : LOOSE;
}

/* The first of those that are worst; *ret_others: how many more are wrong. */
static const struct zn_seen *worst_place(const struct judging *j, enum where *ret_where, unsigned *ret_others)
{
	const struct zn_seen *worst = NULL;
	unsigned wrong = 0;

	*ret_where = NEXT;
	for (size_t i = 0; i < j->h->n; i++) {
		enum where where = place_of(j, &j->h->v[i]);
		wrong += where != NEXT;
		if (where > *ret_where) {
			*ret_where = where;
			worst = &j->h->v[i];
		}
	}
	*ret_others = wrong ? wrong - 1 : 0;
	return worst;
}

static void add_ids(struct zn_buf *to, const struct zn_idset *s)
{
	char list[512];

	zn_idset_format(s, list, sizeof(list));
	zn_buf_addstr(to, list);
}

static void judge_cpus(struct judging *j)
{
	enum where where;
	unsigned others;
	const struct zn_seen *p = worst_place(j, &where, &others);

	if (!p)
		return;
	if (p != j->h->v)
		zn_buf_printf(&j->text, "its child %u (%s) ", p->pid, p->command ? p->command : "?");
	zn_buf_addstr(&j->text, where == AWAY ? "runs on cpus " : "may run on cpus ");
	add_ids(&j->text, &p->cpus);
	zn_buf_printf(&j->text, where == AWAY ? ", away from %s on numa node " : ", also away from %s on numa node ", j->gpus);
	add_ids(&j->text, &j->numas);
	if (others)
		zn_buf_printf(&j->text, ", and so do %u more of its %zu processes", others, j->h->n);
	struct zn_idset left = zn_idset_and(&j->h->cpuset, &j->near);
	j->mend_cpus = zn_idset_is_empty(&j->h->cpuset) || !zn_idset_is_empty(&left);
	if (j->mend_cpus)
		return;
	zn_buf_addstr(&j->text, "; its cgroup allows only cpus ");
	add_ids(&j->text, &j->h->cpuset);
}

/* ---- memory ----------------------------------------------------------------------------------- */

struct memory {
	bool known;
	uint64_t all, far;
	uint64_t node_bytes[ZN_SEEN_NUMAS];
};

static struct memory count_memory(const struct judging *j)
{
	struct memory m = { 0 };

	for (size_t i = 0; i < j->h->n; i++) {
		const struct zn_seen *p = &j->h->v[i];
		m.known |= p->has_pages;
		for (unsigned k = 0; p->has_pages && k < ZN_SEEN_NUMAS; k++) {
			m.node_bytes[k] += p->node_bytes[k];
			m.all += p->node_bytes[k];
			m.far += zn_idset_has(&j->numas, k) ? 0 : p->node_bytes[k];
		}
	}
	return m;
}

static void judge_memory(struct judging *j, const struct memory *m)
{
	char far[ZN_UNIT_TEXT], all[ZN_UNIT_TEXT];
	const struct zn_idset *allowed = &j->h->v->numas;
	struct zn_idset right = zn_idset_and(allowed, &j->numas);

	if (!zn_idset_is_empty(allowed) && zn_idset_is_empty(&right)) {
		zn_buf_addstr(&j->text, j->text.len ? "; may use memory of numa node " : "may use memory of numa node ");
		add_ids(&j->text, allowed);
		zn_buf_printf(&j->text, " only, none of it next to %s", j->gpus);
	} else if (m->far >= FAR_BYTES && m->far > m->all / 10) {
		zn_buf_printf(&j->text, "%s%s of its %s of memory lie away from %s", j->text.len ? "; " : "",
		              zn_format_bytes(m->far, far), zn_format_bytes(m->all, all), j->gpus);
		j->mend_memory = true;
	}
}

/* ---- the record ------------------------------------------------------------------------------- */

static const char *make_mend(const struct judging *j, struct zn_arena *a)
{
	char gpus[128];

	if (!j->mend_cpus && !j->mend_memory)
		return NULL;
	zn_idset_format(&j->h->gpus, gpus, sizeof(gpus));
	/* --tree also where it has no child now: it may have one by then */
	return zn_arena_printf(a, "%szn-pin --gpu %s%s --pid %u --tree", j->h->needs_root ? "sudo " : "", gpus,
	                       j->mend_memory ? " --mem bind" : "", j->h->v->pid);
}

static int put_memory(const struct memory *m, struct zn_arena *a, struct zn_verdict *v)
{
	struct zn_verdict_memory *list = zn_arena_array(a, ZN_SEEN_NUMAS, sizeof(*list));

	if (!list)
		return -ENOMEM;
	for (uint32_t i = 0; i < ZN_SEEN_NUMAS; i++)
		if (m->node_bytes[i])
			list[v->memory.n++] = (struct zn_verdict_memory){ .numa = i, .mem_bytes = m->node_bytes[i] };
	v->memory.v = list;
	return 0;
}

static int fill(const struct judging *j, const struct memory *m, struct zn_arena *a, struct zn_verdict *v)
{
	const struct zn_holder *h = j->h;
	struct zn_idset cpus = { 0 };

	for (size_t i = 0; i < h->n; i++)
		cpus = zn_idset_or(&cpus, &h->v[i].cpus);
	*v = (struct zn_verdict){ .pid = h->v->pid, .user = h->user, .command = h->v->command, .job = h->job,
	                          .processes = (uint32_t)h->n, .cpus = zn_ids_text(&cpus, a) };
	if (!v->cpus || zn_ids_numbers(&h->gpus, a, &v->gpus) < 0 || zn_ids_numbers(&j->numas, a, &v->gpu_numas) < 0 ||
	    zn_ids_numbers(&h->v->numas, a, &v->numas_allowed) < 0)
		return -ENOMEM;
	return m->known ? put_memory(m, a, v) : 0;
}

static void say_fine(struct judging *j, int unknown)
{
	if (unknown >= 0) {
		zn_buf_printf(&j->text, "the NUMA node of gpu %d is not known", unknown);
	} else {
		zn_buf_printf(&j->text, "runs next to %s on numa node ", j->gpus);
		add_ids(&j->text, &j->numas);
	}
}

int zn_verdict_make(const struct zn_facts *f, const struct zn_holder *h, struct zn_arena *a, struct zn_verdict *ret)
{
	struct judging j = { .f = f, .h = h };
	struct memory m = { 0 };
	struct zn_verdict v;
	char list[100];

	zn_idset_format(&h->gpus, list, sizeof(list));
	snprintf(j.gpus, sizeof(j.gpus), "gpu %s", list);
	int unknown = find_places(&j);
	m = count_memory(&j);
	int rc = fill(&j, &m, a, &v);
	if (rc == 0 && unknown < 0) {
		judge_cpus(&j);
		if (!f->machine.mock) {
			judge_memory(&j, &m);
			v.far_bytes = (struct zn_ou64){ m.far, m.known };
		}
	}
	v.ok = !j.text.len;
	if (v.ok)
		say_fine(&j, unknown);
	v.verdict = zn_buf_text(&j.text) ? zn_arena_strdup(a, zn_buf_text(&j.text)) : NULL;
	v.mend = make_mend(&j, a);
	zn_buf_done(&j.text);
	if (rc < 0 || !v.verdict || ((j.mend_cpus || j.mend_memory) && !v.mend))
		return -ENOMEM;
	*ret = v;
	return 0;
}
