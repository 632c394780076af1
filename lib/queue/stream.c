#include "queue/stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "job/compose.h"
#include "rec/reader.h"

enum { AHEAD = 512 };

int zn_client_insist(struct zn_client *c, int timeout_ms, struct zn_reply *ret, struct zn_err *err)
{
	uint64_t end_ns = zn_boot_ns() + (uint64_t)timeout_ms * 1000000u;
	int rc = zn_client_wait(c, timeout_ms, ret, err);

	while (rc == -ECONNRESET && zn_boot_ns() < end_ns) {
		rc = zn_client_reopen(c, err);
		if (rc == 0)
			rc = zn_client_wait(c, timeout_ms, ret, err);
	}
	return rc;
}

struct stream {
	const struct zn_stream *to;
	struct zn_reader *reader;
	struct zn_arena arena;         /* of one record */
	uint64_t sent, answered;
	char *keys[AHEAD + 2];         /* of record n in [n % (AHEAD + 2)], until it is answered */
};

static char **key_of(struct stream *st, uint64_t n)
{
	return &st->keys[n % (AHEAD + 2)];
}

static int take_reply(struct stream *st, const struct zn_reply *reply)
{
	char **key = key_of(st, st->answered++);
	int stop = st->to->answered(st->to->arg, st->answered, *key, reply);

	free(*key);
	*key = NULL;
	return stop;
}

/* Waits until at most `ahead` requests are unanswered. */
static int catch_up(struct stream *st, uint64_t ahead, struct zn_err *err)
{
	struct zn_err why = { 0 };
	struct zn_reply reply;

	while (st->sent - st->answered > ahead) {
		int rc = zn_client_insist(st->to->client, st->to->timeout_ms, &reply, &why);
		if (rc < 0)
			return zn_err_set(err, -EAGAIN, "record %llu, and what follows it: %s; its key is %s",
			                  (unsigned long long)st->answered + 1, why.text, *key_of(st, st->answered));
		int stop = take_reply(st, &reply);
		if (stop)
			return stop;
	}
	return 0;
}

static int send_submission(struct stream *st, const msgpack_object *map, struct zn_err *err)
{
	struct zn_request request = { .op = "submit" };
	int rc = zn_decode(&zn_spec_kind, map, &st->arena, &request.job, err);

	if (rc == 0)
		rc = zn_spec_fill_in(&request.job, &st->arena, err);
	if (rc == 0)
		rc = zn_spec_check(&request.job, err);
	char *key = rc == 0 ? strdup(request.job.key) : NULL;
	if (rc == 0)
		rc = key ? zn_client_send(st->to->client, &request, err) : zn_err_set(err, -ENOMEM, "out of memory");
	if (rc == 0)
		*key_of(st, st->sent++) = key;
	else
		free(key);
	zn_arena_reset(&st->arena);
	return rc;
}

static int send_record(struct stream *st, const struct zn_rec *rec, struct zn_err *err)
{
	struct zn_err why = { 0 };
	char line[40] = "";

	if (send_submission(st, &rec->map, &why) == 0)
		return 0;
	int rc = catch_up(st, 0, err); /* those before it are good: their numbers come out first */
	if (rc)
		return rc;
	if (rec->line)
		snprintf(line, sizeof(line), ", line %llu", (unsigned long long)rec->line);
	return zn_err_set(err, -EBADMSG, "record %llu%s: %s", (unsigned long long)st->sent + 1, line, why.text);
}

static int submit_all(struct stream *st, struct zn_err *err)
{
	struct zn_rec rec;
	int got;

	while ((got = zn_reader_next(st->reader, &rec, err)) == 1) {
		int rc = send_record(st, &rec, err);
		/* a line that was typed or piped slowly is answered before the next one comes */
		if (rc == 0)
			rc = catch_up(st, zn_reader_has_buffered(st->reader) ? AHEAD : 0, err);
		if (rc)
			return rc;
	}
	struct zn_err why = { 0 };
	int rc = catch_up(st, 0, &why);
	if (rc < 0)
		return zn_err_set(err, rc, "%s", why.text);
	return rc ? rc : got;
}

int zn_stream_submit(const struct zn_stream *s, int in, struct zn_err *err)
{
	struct stream st = { .to = s };
	int rc = zn_reader_new(in, &st.reader);

	if (rc == 0)
		rc = submit_all(&st, err);
	for (; st.answered < st.sent; st.answered++)
		free(*key_of(&st, st.answered));
	zn_reader_free(st.reader);
	zn_arena_done(&st.arena);
	return rc;
}
