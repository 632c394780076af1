#include "queue/find.h"

#include <errno.h>
#include <string.h>

#include "job/number.h"

struct search {
	uint64_t handle;
	struct zn_arena *a;
	struct zn_job_record found;
	bool has;
};

static int keep(void *arg, struct zn_bytes event)
{
	struct search *s = arg;
	struct zn_bytes job = zn_raw_get(event, "job");
	uint64_t handle;

	if (!zn_raw_handle(job, &handle) || (handle != s->handle && handle != zn_handle_number(s->handle)))
		return 0;
	int rc = zn_raw_decode(&zn_job_kind, job, s->a, &s->found, NULL);
	if (rc < 0)
		return rc;
	s->has = handle == s->handle || zn_record_has_element(&s->found, zn_handle_index(s->handle));
	if (s->has && handle != s->handle)
		zn_record_of_element(&s->found, zn_handle_index(s->handle));
	return s->has;
}

int zn_job_find(const char *spool, const struct zn_picture *p, uint64_t handle, struct zn_arena *a,
                struct zn_job_record *ret, struct zn_err *err)
{
	const struct zn_job_record *j = zn_picture_job(p, handle), *array = zn_picture_array(p, handle);
	struct search s = { .handle = handle, .a = a };
	char number[ZN_NUMBER_TEXT];

	if (j || array) {
		*ret = j ? *j : *array;
		if (!j)
			zn_record_of_element(ret, zn_handle_index(handle));
		return 0;
	}
	int rc = zn_history_each(spool, 0, true, keep, &s, err);
	if (rc == 0 && !s.has)
		rc = zn_err_set(err, -ENOENT, "there is no job %s", zn_handle_text(handle, number));
	if (rc == 0)
		*ret = s.found;
	return rc;
}

int zn_client_ask(const char *spool, struct zn_client **c, const struct zn_request *r, struct zn_reply *reply,
                  struct zn_err *err)
{
	int rc = *c ? 0 : zn_client_open(spool, true, c, err);

	if (rc == 0)
		rc = zn_client_send(*c, r, err);
	return rc < 0 ? rc : zn_client_wait(*c, ZN_ANSWER_MS, reply, err);
}

int zn_job_id_parse(const char *spool, struct zn_client **c, const char *text, uint64_t *ret, struct zn_err *err)
{
	struct zn_reply reply;

	if (strncmp(text, "key:", 4))
		return zn_handle_parse(text, ret) == 0 ? 0 : zn_err_set(err, -EINVAL, "'%s' is no job number", text);
	struct zn_request r = { .op = "find", .key = text + 4 };
	int rc = zn_client_ask(spool, c, &r, &reply, err);
	if (rc < 0)
		return rc;
	if (!reply.ok)
		return zn_err_set(err, -ENOENT, "%s", reply.error);
	*ret = reply.id.v;
	return 0;
}

void zn_job_add_private(const char *spool, struct zn_client **c, struct zn_job_record *job, struct zn_reply *reply)
{
	struct zn_request r = { .op = "show", .id = ZN_SOME_U64(zn_record_handle(job)) };

	if (zn_client_ask(spool, c, &r, reply, NULL) < 0 || !reply->ok || !reply->jobs.n)
		return;
	const struct zn_job_record *seen = reply->jobs.v;
	job->key = seen->key;
	if (!job->end_s.has) { /* else they are in its record */
		job->elements_completed = seen->elements_completed;
		job->elements_failed = seen->elements_failed;
		job->elements_cancelled = seen->elements_cancelled;
	}
	job->command = seen->command;
	job->arguments = seen->arguments;
	job->directory = seen->directory;
	job->output = seen->output;
	job->error = seen->error;
	if (seen->reason && !strcmp(seen->state, job->state)) /* which what all may see does not say in full */
		job->reason = seen->reason;
}
