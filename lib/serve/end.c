/* end: what a submission wants to have run when its job has ended.  It becomes a job of its own, of the same user, before
 * all others: so it is run by whoever runs his jobs, once, and also after a crash.  Its key says whose end it is.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "serve/server.h"

enum { LIMIT_S = 600 };

int zn_end_variables(const struct zn_job *job, struct zn_arena *a, const char **v, size_t *n)
{
	size_t from = *n;

	v[(*n)++] = zn_arena_printf(a, "ZENITH_JOB_ID=%llu", (unsigned long long)zn_handle_number(job->id));
	if (zn_handle_is_element(job->id))
		v[(*n)++] = zn_arena_printf(a, "ZENITH_ARRAY_INDEX=%u", zn_handle_index(job->id));
	v[(*n)++] = zn_arena_printf(a, "ZENITH_JOB_NAME=%s", job->name ? job->name : "");
	v[(*n)++] = zn_arena_printf(a, "ZENITH_JOB_USER=%s", job->user);
	v[(*n)++] = zn_arena_printf(a, "ZENITH_JOB_STATE=%s", zn_job_state_name(job->state));
	v[(*n)++] = zn_arena_printf(a, "ZENITH_JOB_REASON=%s", job->reason ? job->reason : "");
	if (job->has_exit_code)
		v[(*n)++] = zn_arena_printf(a, "ZENITH_JOB_EXIT_CODE=%d", job->exit_code);
	for (size_t i = from; i < *n; i++)
		if (!v[i])
			return -ENOMEM;
	return 0;
}

/* env sets what the agent would set to the new job's own. */
static int arguments(struct zn_server *s, const struct zn_job *job, const char *command, struct zn_strs *ret)
{
	struct zn_arena *a = &s->arena;
	const char **v = zn_arena_array(a, ZN_END_VARIABLES + 3, sizeof(*v));
	size_t n = 0;

	if (!v || zn_end_variables(job, a, v, &n) < 0)
		return -ENOMEM;
	v[n++] = "/bin/sh";
	v[n++] = "-c";
	v[n++] = command;
	*ret = (struct zn_strs){ .v = v, .n = n };
	return 0;
}

static int submit(struct zn_server *s, const struct zn_job *job, const char *key, struct zn_err *err)
{
	struct zn_memo_submit body;
	uint64_t id;
	int rc = zn_submit_body(s, job, &body, err);

	if (rc < 0)
		return rc;
	struct zn_spec spec = {
		.job_name = zn_arena_printf(&s->arena, "end of %llu", (unsigned long long)job->id), .key = key,
		.command = "/usr/bin/env", .environment = body.spec.environment, .directory = body.spec.directory,
		.umask = body.spec.umask, .output = "/dev/null", .resources.time_limit_s = ZN_SOME_F64(LIMIT_S),
		.policy.priority = ZN_SOME_I64(INT32_MAX), .policy.account = body.spec.policy.account,
	};
	rc = spec.job_name ? arguments(s, job, body.spec.on_end, &spec.arguments) : -ENOMEM;
	return rc < 0 ? rc : zn_submit_take(s, &spec, job->uid, job->gid, 0, true, &id, err);
}

void zn_end_submit(struct zn_server *s, const struct zn_job *job)
{
	struct zn_err err = { 0 };
	char key[40];

	if (!job->on_end)
		return;
	snprintf(key, sizeof(key), ZN_KEY_END "%llu", (unsigned long long)job->id);
	if (zn_jobs_get_key(&s->jobs, job->uid, key))
		return;
	int rc = submit(s, job, key, &err);
	if (rc == 0)
		return;
	zn_log("on_end of job %llu: %s", (unsigned long long)job->id, err.text[0] ? err.text : strerror(-rc));
	zn_owed_note(s, rc);
}
