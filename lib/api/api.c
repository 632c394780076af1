/* api: zenith.h's calls, on top of the rooms. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "job/state.h"
#include "plan/facts.h"
#include "queue/client.h"
#include "queue/follow.h"
#include "queue/picture.h"
#include "queue/spool.h"
#include "rec/val.h"

enum { ANSWER_MS = 30000 };

/* The buffer's bytes become the caller's. */
static int give(struct zn_buf *b, int rc, void **ret, size_t *ret_len)
{
	if (rc == 0 && b->failed)
		rc = -ENOMEM;
	if (rc < 0) {
		zn_buf_done(b);
		return rc;
	}
	*ret = b->data;
	*ret_len = b->len;
	return 0;
}

static int find_spool(const char *given, struct zn_arena *a, const char **ret, struct zn_err *err)
{
	if (!given)
		return zn_spool_path(a, ret, err);
	*ret = given;
	return 0;
}

/* An array's elements, one after another, are a stream. */
static int put_elements(const struct zn_buf *array, struct zn_buf *to, struct zn_err *err)
{
	struct zn_arena a = { 0 };
	msgpack_object list;
	int rc = zn_val_unpack(array->data, array->len, 0, &a, &list, err);

	for (uint32_t i = 0; rc == 0 && i < list.via.array.size; i++)
		rc = zn_val_pack(&list.via.array.ptr[i], to);
	zn_arena_done(&a);
	return rc;
}

int zn_machine_records(const char *from, void **ret, size_t *ret_len, struct zn_err *err)
{
	struct zn_topo_opts opts = { .from = from };
	struct zn_buf array = { 0 }, out = { 0 };
	struct zn_facts *facts;
	int rc = zn_facts_read(from ? &opts : NULL, &facts, err);

	if (rc < 0)
		return rc;
	rc = zn_facts_encode(facts, &array);
	if (rc == 0)
		rc = put_elements(&array, &out, err);
	zn_buf_done(&array);
	zn_facts_free(facts);
	return give(&out, rc, ret, ret_len);
}

/* One request, one reply; what the reply points to lives as long as the client. */
static int ask(const char *given, const struct zn_request *r, struct zn_reply *reply, struct zn_err *err)
{
	struct zn_arena a = { 0 };
	struct zn_client *c = NULL;
	const char *spool;
	int rc = find_spool(given, &a, &spool, err);

	if (rc == 0)
		rc = zn_client_open(spool, true, &c, err);
	if (rc == 0)
		rc = zn_client_send(c, r, err);
	if (rc == 0)
		rc = zn_client_wait(c, ANSWER_MS, reply, err);
	if (rc == 0 && !reply->ok)
		rc = zn_err_set(err, zn_client_errno(reply), "%s", reply->error);
	zn_client_close(c);
	zn_arena_done(&a);
	return rc;
}

static int decode_spec(const void *record, size_t len, struct zn_arena *a, struct zn_spec *ret, struct zn_err *err)
{
	msgpack_object map;
	ssize_t n = zn_msgpack_check(record, len, 0, err);

	if (n < 0)
		return (int)n;
	if ((size_t)n != len || !n)
		return zn_err_set(err, -EBADMSG, "the submission is not one whole record");
	int rc = zn_val_unpack(record, len, 0, a, &map, err);
	return rc < 0 ? rc : zn_decode(&zn_spec_kind, &map, a, ret, err);
}

int zn_job_submit(const char *spool, const void *record, size_t len, uint64_t *ret_id, struct zn_err *err)
{
	struct zn_request r = { .op = "submit" };
	struct zn_arena a = { 0 };
	struct zn_reply reply;
	char here[PATH_MAX];
	int rc = decode_spec(record, len, &a, &r.job, err);

	if (rc == 0 && !r.job.directory) {
		r.job.directory = getcwd(here, sizeof(here));
		if (!r.job.directory)
			rc = zn_err_set(err, -errno, "the current directory is gone");
	}
	if (rc == 0)
		rc = ask(spool, &r, &reply, err);
	if (rc == 0)
		*ret_id = reply.id.v;
	zn_arena_done(&a);
	return rc;
}

int zn_job_cancel(const char *spool, uint64_t id, struct zn_err *err)
{
	struct zn_request r = { .op = "cancel", .id = ZN_SOME_U64(id) };
	struct zn_reply reply;

	return ask(spool, &r, &reply, err);
}

static void on_done(void *arg, const struct zn_job_record *job)
{
	struct zn_buf *out = arg;

	if (zn_encode(&zn_job_kind, job, out) < 0)
		out->failed = true;
}

int zn_job_wait(const char *given, uint64_t id, double timeout_s, void **ret, size_t *ret_len, struct zn_err *err)
{
	struct zn_buf out = { 0 };
	struct zn_arena a = { 0 };
	struct zn_follow f = { .arg = &out, .done = on_done };
	const char *spool;
	int rc = find_spool(given, &a, &spool, err);

	if (rc == 0)
		rc = zn_follow_jobs(spool, &id, 1, timeout_s, &f, err);
	zn_arena_done(&a);
	return give(&out, rc, ret, ret_len);
}

static int put_waiting(const struct zn_picture *p, struct zn_buf *out)
{
	for (size_t i = 0; i < p->n_jobs; i++) {
		enum zn_job_state state;
		if (zn_job_state_parse(p->jobs[i].state, &state) < 0 || zn_job_is_finished(state))
			continue;
		int rc = zn_encode(&zn_job_kind, &p->jobs[i], out);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int zn_queue_records(const char *given, void **ret, size_t *ret_len, struct zn_err *err)
{
	struct zn_buf out = { 0 };
	struct zn_arena a = { 0 };
	struct zn_view_reader *r = NULL;
	struct zn_picture p = { 0 };
	const char *spool;
	int rc = find_spool(given, &a, &spool, err);

	if (rc == 0)
		rc = zn_view_open(spool, &r, err);
	if (rc == 0)
		rc = zn_picture_read(r, &p, err);
	if (rc == 0)
		rc = put_waiting(&p, &out);
	else if (rc == -ENOENT)
		rc = 0; /* nothing was ever submitted */
	zn_view_close(r);
	zn_picture_done(&p);
	zn_arena_done(&a);
	return give(&out, rc, ret, ret_len);
}
