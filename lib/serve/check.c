/* check: what a spool holds, read only. */
#include <stdio.h>
#include <string.h>

#include "serve/serve.h"
#include "queue/memo.h"

struct checking {
	struct zn_jobs jobs;
	struct zn_arena arena;
	void (*say)(const char *line);
	struct zn_spool_check found;
};

static int on_record(void *arg, uint64_t seq, struct zn_loc loc, const void *payload, size_t len)
{
	struct checking *c = arg;
	struct zn_err err = { 0 };
	struct zn_job *job;
	const char *event;
	double time_s;
	char line[512];

	zn_arena_reset(&c->arena);
	c->found.records++;
	int rc = zn_memo_replay(&c->jobs, loc, payload, len, &c->arena, &event, &job, &time_s, &err);
	if (rc == 0)
		return 0;
	c->found.contradictions++;
	snprintf(line, sizeof(line), "record %llu: %s", (unsigned long long)seq, err.text);
	c->say(line);
	return 0;
}

static void on_damage(void *arg, const char *path, uint64_t offset, uint64_t len)
{
	struct checking *c = arg;
	char line[4500];

	c->found.damaged_ranges++;
	c->found.damaged_bytes += len;
	snprintf(line, sizeof(line), "%s: %llu bytes at offset %llu are damaged", path, (unsigned long long)len,
	         (unsigned long long)offset);
	c->say(line);
}

int zn_serve_check(const char *spool, void (*say)(const char *line), struct zn_spool_check *ret, struct zn_err *err)
{
	char path[4200];
	struct checking c = { .say = say };
	struct zn_journal_replay replay = { .arg = &c, .record = on_record, .damage = on_damage };
	struct zn_journal_opts opts = { .read_only = true };
	struct zn_journal *journal;

	snprintf(path, sizeof(path), "%s/journal", spool);
	zn_jobs_init(&c.jobs);
	int rc = zn_journal_open(path, &opts, &replay, &journal, err);
	if (rc == 0) {
		zn_journal_close(journal);
		c.found.jobs = HASH_COUNT(c.jobs.by_id);
		*ret = c.found;
	}
	zn_jobs_done(&c.jobs);
	zn_arena_done(&c.arena);
	return rc;
}
