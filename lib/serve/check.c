/* check: what a spool holds, read only. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "serve/serve.h"
#include "queue/memo.h"

struct checking {
	struct zn_jobs jobs;
	struct zn_arena arena;
	struct zn_buf lines;           /* each ends with NUL */
	struct zn_spool_check found;
};

static void note(struct checking *c, const char *line)
{
	zn_buf_add(&c->lines, line, strlen(line) + 1);
}

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
	note(c, line);
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
	note(c, line);
}

static int check_once(const char *dir, void (*say)(const char *line), struct zn_spool_check *ret, struct zn_err *err)
{
	struct checking c = { .found = { 0 } };
	struct zn_journal_replay replay = { .arg = &c, .record = on_record, .damage = on_damage };
	struct zn_journal_opts opts = { .read_only = true };
	struct zn_journal *journal;

	zn_jobs_init(&c.jobs);
	int rc = zn_journal_open(dir, &opts, &replay, &journal, err);
	if (rc == 0) {
		zn_journal_close(journal);
		c.found.jobs = HASH_COUNT(c.jobs.by_id);
		for (size_t at = 0; at < c.lines.len; at += strlen(c.lines.data + at) + 1)
			say(c.lines.data + at);
		*ret = c.found;
	}
	zn_jobs_done(&c.jobs);
	zn_arena_done(&c.arena);
	zn_buf_done(&c.lines);
	return rc;
}

int zn_serve_check(const char *spool, void (*say)(const char *line), struct zn_spool_check *ret, struct zn_err *err)
{
	char dir[4200];
	struct stat st;
	int rc = -ENOENT;

	snprintf(dir, sizeof(dir), "%s/journal", spool);
	/* a snapshot that is done just now takes away the files that we are about to read: look again */
	for (int i = 0; i < 10 && rc == -ENOENT; i++) {
		rc = check_once(dir, say, ret, err);
		if (stat(dir, &st) < 0)
			break;
	}
	return rc;
}
