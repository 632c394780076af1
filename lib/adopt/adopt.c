#include "adopt/adopt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit.h"
#include "base/buf.h"
#include "job/compose.h"
#include "plan/plan.h"
#include "proc/describe.h"
#include "queue/follow.h"
#include "queue/machine.h"
#include "queue/picture.h"
#include "rec/ids.h"

enum { AGENT_WAIT_MS = 10000, AGENT_POLL_MS = 20 };

/* A zn-schedd that was just started has no agent yet.  What the node is, or NULL. */
static struct zn_facts *wait_for_node(const char *spool, struct zn_err *err)
{
	struct zn_facts *facts = NULL;
	struct zn_picture p;

	for (int ms = 0; ms < AGENT_WAIT_MS; ms += AGENT_POLL_MS) {
		if (zn_picture_of_spool(spool, &p, err) < 0)
			return NULL;
		if (p.n_nodes && strcmp(p.nodes->state, "down") && zn_picture_room(&p, err) == 0) {
			facts = p.facts[0];
			p.facts[0] = NULL;
		}
		zn_picture_done(&p);
		if (facts)
			return facts;
		usleep(AGENT_POLL_MS * 1000);
	}
	zn_err_set(err, -EAGAIN, "the agent does not answer just now");
	return NULL;
}

/* What the user says, else the driver, else its environment. */
static int find_gpus(const struct zn_facts *f, pid_t pid, const char *said, struct zn_arena *a, struct zn_u32s *ret,
                     struct zn_err *err)
{
	struct zn_idset set = { 0 };
	struct zn_facts *now = NULL;
	int rc = 0;

	if (said && *said)
		rc = zn_pin_parse_gpus(f, said, &set, err);
	else if (!said)
		rc = zn_machine_ask(&now, err); /* whose users are those of this moment */
	if (rc < 0)
		return rc;
	if (now)
		zn_audit_gpus_of(now, pid, &set);
	zn_facts_free(now);
	return zn_ids_numbers(&set, a, ret);
}

/* As a pattern that means itself.  NULL: out of memory. */
static const char *literal(const char *path, struct zn_arena *a)
{
	struct zn_buf b = { 0 };

	for (; *path; path++)
		zn_buf_printf(&b, *path == '%' ? "%%%%" : "%c", *path);
	const char *text = zn_buf_text(&b) ? zn_arena_strdup(a, zn_buf_text(&b)) : NULL;
	zn_buf_done(&b);
	return text;
}

/* All but its GPUs. */
static int describe(pid_t pid, const struct zn_adopt_wish *wish, struct zn_arena *a, struct zn_spec *ret,
                    struct zn_err *err)
{
	struct zn_proc_described d;
	char name[64];
	int rc = zn_proc_describe(pid, a, &d);

	if (rc < 0)
		return zn_err_set(err, rc == -ESRCH || rc == -ENOENT ? -ENOENT : rc, "there is no process %d", (int)pid);
	zn_proc_name(pid, name, sizeof(name));
	char *key = zn_arena_alloc(a, ZN_KEY);
	*ret = (struct zn_spec){
		.job_name = wish->name ? wish->name
		            : zn_spec_check_name("name", name, NULL) == 0 ? zn_arena_strdup(a, name) : NULL,
		.key = key, .directory = d.directory ? d.directory : "/", .output = d.output ? literal(d.output, a) : NULL,
		.resources.time_limit_s = wish->limit_s, .resources.mem_bytes = wish->mem_bytes,
		.adopt = { .pid = ZN_SOME_U64((uint64_t)pid), .start_ticks = ZN_SOME_U64(d.id.start), .command = d.command },
	};
	if (!key || (d.output && !ret->output))
		return -ENOMEM;
	return zn_key_make(key, err);
}

int zn_adopt_compose(const char *spool, pid_t pid, const struct zn_adopt_wish *wish, struct zn_arena *a,
                     struct zn_spec *ret, struct zn_err *err)
{
	struct zn_spec s;
	int rc = describe(pid, wish, a, &s, err);

	if (rc < 0)
		return rc;
	struct zn_facts *facts = wait_for_node(spool, err);
	if (!facts)
		return -EAGAIN;
	rc = find_gpus(facts, pid, wish->gpus, a, &s.adopt.gpus, err);
	zn_facts_free(facts);
	if (rc == 0)
		*ret = s;
	return rc;
}

/* ---- waiting ------------------------------------------------------------------------------------ */

struct adoption {
	bool started;
	struct zn_err refused; /* why it ended before that; empty: it did not */
};

static void on_started(void *arg, const struct zn_job_record *job)
{
	(void)job;
	((struct adoption *)arg)->started = true;
}

static void on_done(void *arg, const struct zn_job_record *job)
{
	struct adoption *ad = arg;

	if (!ad->started)
		zn_err_set(&ad->refused, -ECANCELED, "%s", job->reason ? job->reason : job->state);
}

/* Enough was seen: -EINTR ends the watch. */
static int stop_when_started(void *arg, struct zn_err *err)
{
	(void)err;
	return ((struct adoption *)arg)->started ? -EINTR : 0;
}

int zn_adopt_await(const char *spool, struct zn_client *c, uint64_t id, pid_t pid, struct zn_err *err)
{
	struct adoption ad = { 0 };
	struct zn_follow f = { .client = c, .arg = &ad, .started = on_started, .done = on_done,
	                       .tick = stop_when_started, .tick_ms = AGENT_POLL_MS };
	int rc = zn_follow_jobs(spool, &id, 1, -1, &f, err);

	if (rc < 0 && rc != -EINTR)
		return rc;
	if (ad.refused.text[0])
		return zn_err_set(err, -ECANCELED, "process %d was not adopted: %s", (int)pid, ad.refused.text);
	return 0;
}
