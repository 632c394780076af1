#include "job/after.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

static const struct zn_field fields[] = {
	ZN_FIELD(struct zn_spec_after, job, U64, "", "the job that is waited for"),
	ZN_FIELD(struct zn_spec_after, on, STR, "", "how it must end: ok, any or fail"),
	{ 0 },
};
const struct zn_kind zn_spec_after_kind = { NULL, "a job that is waited for", fields, sizeof(struct zn_spec_after), NULL };

static const char *const names[] = { [ZN_AFTER_OK] = "ok", [ZN_AFTER_ANY] = "any", [ZN_AFTER_FAIL] = "fail" };

/* -EINVAL: there is no such word. */
static int on_of(const char *name)
{
	for (int i = 0; name && i < 3; i++)
		if (!strcmp(name, names[i]))
			return i;
	return name ? -EINVAL : ZN_AFTER_OK;
}

static int parse_one(char *word, struct zn_spec_after *ret, struct zn_err *err)
{
	char *on = strchr(word, ':');

	if (on)
		*on++ = '\0';
	ret->on = on;
	if (zn_parse_u64(word, 1, INT64_MAX, &ret->job, NULL) < 0)
		return zn_err_set(err, -EINVAL, "'%s' is no job number", word);
	if (on_of(on) < 0)
		return zn_err_set(err, -EINVAL, "job %s can be waited for as ok, any or fail, not '%s'", word, on);
	return 0;
}

int zn_after_parse(const char *text, struct zn_arena *a, struct zn_list *ret, struct zn_err *err)
{
	char *rest = zn_arena_strdup(a, text);
	size_t n = 1;

	for (const char *p = text; *p; p++)
		n += *p == ',';
	struct zn_spec_after *v = zn_arena_array(a, n, sizeof(*v));
	if (!rest || !v)
		return zn_err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		int rc = parse_one(strsep(&rest, ","), &v[i], err);
		if (rc < 0)
			return rc;
	}
	*ret = (struct zn_list){ v, n };
	return 0;
}

static int by_job(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int zn_after_check(const struct zn_list *after, struct zn_err *err)
{
	const struct zn_spec_after *v = after->v;
	uint64_t jobs[ZN_AFTER_MAX];

	if (after->n > ZN_AFTER_MAX)
		return zn_err_set(err, -EBADMSG, "after: a job waits for %d others at most, not %zu", ZN_AFTER_MAX, after->n);
	for (size_t i = 0; i < after->n; i++) {
		if (!v[i].job)
			return zn_err_set(err, -EBADMSG, "after: a job is missing or 0");
		if (on_of(v[i].on) < 0)
			return zn_err_set(err, -EBADMSG, "after: on must be ok, any or fail, not '%.40s'", v[i].on);
		jobs[i] = v[i].job;
	}
	qsort(jobs, after->n, sizeof(*jobs), by_job);
	for (size_t i = 1; i < after->n; i++)
		if (jobs[i] == jobs[i - 1])
			return zn_err_set(err, -EBADMSG, "after: job %llu is named twice", (unsigned long long)jobs[i]);
	return 0;
}

struct zn_after *zn_after_new(const struct zn_list *list)
{
	const struct zn_spec_after *v = list->v;
	struct zn_after *after = list->n ? malloc(sizeof(*after) + list->n * sizeof(*after->v)) : NULL;

	if (!after)
		return NULL;
	after->n = list->n;
	for (size_t i = 0; i < list->n; i++)
		after->v[i] = (struct zn_after_one){ v[i].job, on_of(v[i].on) > 0 ? (enum zn_after_on)on_of(v[i].on) : ZN_AFTER_OK };
	return after;
}

bool zn_after_is_met(enum zn_after_on on, enum zn_job_state ended)
{
	return on == ZN_AFTER_ANY || (ended == ZN_JOB_COMPLETED) == (on == ZN_AFTER_OK);
}

/* ---- to be read ---- */

const char *zn_after_text(const struct zn_after *after, struct zn_arena *a)
{
	struct zn_buf b = { 0 };

	for (size_t i = 0; i < after->n && i < ZN_AFTER_SHOWN; i++)
		zn_buf_printf(&b, "%s%llu:%s", i ? "," : "", (unsigned long long)after->v[i].job, names[after->v[i].on]);
	if (after->n > ZN_AFTER_SHOWN)
		zn_buf_printf(&b, ",+%zu", after->n - ZN_AFTER_SHOWN);
	const char *text = zn_buf_text(&b);
	const char *copy = text ? zn_arena_strdup(a, text) : NULL;
	zn_buf_done(&b);
	return copy;
}

const char *zn_after_waits(const struct zn_after *after, struct zn_arena *a)
{
	static const char *const how[] = { [ZN_AFTER_OK] = "end well", [ZN_AFTER_ANY] = "end", [ZN_AFTER_FAIL] = "fail" };
	const struct zn_after_one *one = &after->v[0];

	return after->n == 1 ? zn_arena_printf(a, "waits for job %llu to %s", (unsigned long long)one->job, how[one->on])
	       : zn_arena_printf(a, "waits for job %llu to %s, and for %zu more", (unsigned long long)one->job, how[one->on],
	                         after->n - 1);
}

const char *zn_after_missed(const struct zn_after_one *one, enum zn_job_state ended, struct zn_arena *a)
{
	const char *how = ended == ZN_JOB_COMPLETED ? "ended well" : ended == ZN_JOB_FAILED ? "failed" : "was cancelled";

	return zn_arena_printf(a, "job %llu %s, and this one was to start only %s", (unsigned long long)one->job, how,
	                       one->on == ZN_AFTER_OK ? "after its success" : "if it failed");
}
