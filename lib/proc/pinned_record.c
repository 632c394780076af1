#include "proc/pinned_record.h"

#include <errno.h>
#include <unistd.h>

#include "base/buf.h"
#include "rec/ids.h"

static const struct zn_field fields[] = {
	ZN_FIELD(struct zn_pinned_record, pid, U32, "PID", "the process"),
	ZN_FIELD(struct zn_pinned_record, threads, U32, "THREADS", "threads it has"),
	ZN_FIELD(struct zn_pinned_record, cpus, STR, "CPUS", "cpu list by sched_getaffinity"),
	ZN_FIELD(struct zn_pinned_record, cpus_allowed, STR, "ALLOWED", "cpu list by /proc/PID/status"),
	ZN_FIELD(struct zn_pinned_record, numas_allowed, U32S, "NUMA", "NUMA nodes it may use, by /proc/PID/status"),
	ZN_FIELD(struct zn_pinned_record, mem, STR, "MEM", "memory policy by get_mempolicy; absent with --pid"),
	ZN_FIELD(struct zn_pinned_record, mem_numas, U32S, "MEM NUMA", "NUMA nodes of that policy"),
	ZN_FIELD(struct zn_pinned_record, pages_left, OU64, "LEFT",
	         "pages that could not be moved (--pid with --mem bind)"),
	{ 0 },
};

const struct zn_kind zn_pinned_kind = {
	.name = "pinned", .brief = "where a process runs, by the kernel", .fields = fields,
	.size = sizeof(struct zn_pinned_record),
};

static int fill(const struct zn_proc_pinned *now, struct zn_arena *a, struct zn_pinned_record *r)
{
	r->threads = now->threads;
	r->cpus = zn_ids_text(&now->cpus, a);
	r->cpus_allowed = zn_ids_text(&now->cpus_allowed, a);
	int rc = r->cpus && r->cpus_allowed ? zn_ids_numbers(&now->numas_allowed, a, &r->numas_allowed) : -ENOMEM;
	if (rc < 0 || !now->has_mem)
		return rc;
	r->mem = zn_proc_mem_name(now->mem);
	return zn_ids_numbers(&now->mem_numas, a, &r->mem_numas);
}

int zn_pinned_record_read(pid_t pid, struct zn_arena *a, struct zn_pinned_record *ret, struct zn_err *err)
{
	struct zn_pinned_record r = { .pid = (uint32_t)(pid ? pid : getpid()) };
	struct zn_proc_pinned now;
	int rc = zn_proc_pinned_read(pid, &now, err);

	if (rc < 0)
		return rc;
	rc = fill(&now, a, &r);
	if (rc < 0)
		return zn_err_set(err, rc, "out of memory");
	*ret = r;
	return 0;
}

void zn_pinned_record_say(const struct zn_pinned_record *r, struct zn_buf *to)
{
	zn_buf_printf(to, "process %u (%u thread%s) runs on cpus %s", r->pid, r->threads, r->threads == 1 ? "" : "s",
	              r->cpus);
	if (r->mem) {
		zn_buf_printf(to, ", memory policy %s", r->mem);
		for (size_t i = 0; i < r->mem_numas.n; i++)
			zn_buf_printf(to, "%s%u", i ? "," : " on numa node ", r->mem_numas.v[i]);
	}
	if (r->pages_left.has)
		zn_buf_printf(to, ", %llu pages not moved", (unsigned long long)r->pages_left.v);
}
