#include "gpu/state.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"

void zn_gpu_state_join(struct zn_gpu_state *st, const struct zn_gpu_sample *now)
{
	struct zn_gpu *g = &st->gpu;

	st->now = *now;
	st->is_sampled = true;
	st->now.gpu = g->gpu;
	st->now.uuid = now->uuid ? now->uuid : g->uuid;
	g->uuid = st->now.uuid;
	g->name = now->name ? now->name : g->name;
	g->pci = g->pci ? g->pci : now->pci;
	g->vendor = now->vendor ? now->vendor : g->vendor;
	g->driver = now->driver ? now->driver : g->driver;
	g->mem_bytes = now->mem_bytes.has ? now->mem_bytes : g->mem_bytes;
	/* of the device and its slot together, where the bus knows the device alone */
	g->pcie_gen = now->pcie_gen.has ? now->pcie_gen : g->pcie_gen;
	g->pcie_width = now->pcie_width.has ? now->pcie_width : g->pcie_width;
	g->nvlinks = now->nvlinks.has ? now->nvlinks : g->nvlinks;
}

bool zn_gpu_state_turned(const struct zn_gpu_state *st, bool *is_lost, struct zn_gpu_event *ret)
{
	bool lost = st->now.lost != NULL;

	if (lost == *is_lost)
		return false;
	*is_lost = lost;
	*ret = (struct zn_gpu_event){ .time_s = st->now.time_s, .event = lost ? "lost" : "back", .gpu = st->gpu.gpu,
		                      .uuid = st->gpu.uuid, .pci = st->gpu.pci, .reason = st->now.lost };
	return true;
}

static bool is_same_user(const struct zn_gpu_holder *a, const struct zn_gpu_holder *b)
{
	return a->user && b->user ? !strcmp(a->user, b->user) : a->user == b->user && a->pid == b->pid;
}

static bool is_first(const struct zn_gpu_holder *v, size_t i, bool same_job)
{
	for (size_t k = 0; k < i; k++)
		if (is_same_user(&v[k], &v[i]) && (!same_job || (v[k].job.has == v[i].job.has && v[k].job.v == v[i].job.v)))
			return false;
	return true;
}

/* The jobs of the user of v[at], each once: " (job 12, 13)". */
static void add_jobs(const struct zn_gpu_holder *v, size_t n, size_t at, struct zn_buf *to)
{
	unsigned jobs = 0;

	for (size_t i = at; i < n; i++)
		if (v[i].job.has && is_same_user(&v[at], &v[i]) && is_first(v, i, true))
			zn_buf_printf(to, "%s%llu", jobs++ ? ", " : " (job ", (unsigned long long)v[i].job.v);
	if (jobs)
		zn_buf_addch(to, ')');
}

int zn_gpu_state_name_holders(struct zn_gpu_state *st, struct zn_arena *a)
{
	const struct zn_gpu_holder *v = st->holders.v;
	const char **names = zn_arena_array(a, st->holders.n + 1, sizeof(*names));
	struct zn_buf text = { 0 };
	size_t n = 0;
	int rc = names ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < st->holders.n; i++) {
		if (!is_first(v, i, false))
			continue;
		text.len = 0;
		if (v[i].user)
			zn_buf_addstr(&text, v[i].user);
		else
			zn_buf_printf(&text, "pid %u", v[i].pid);
		add_jobs(v, st->holders.n, i, &text);
		const char *whole = zn_buf_text(&text);
		names[n] = whole ? zn_arena_strdup(a, whole) : NULL;
		rc = names[n++] ? 0 : -ENOMEM;
	}
	zn_buf_done(&text);
	if (rc == 0)
		st->held_by = (struct zn_strs){ .v = names, .n = n };
	return rc;
}
