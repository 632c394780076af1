/* stream: many submissions over one connection, sent ahead of their answers. */
#ifndef ZN_QUEUE_STREAM_H
#define ZN_QUEUE_STREAM_H

#include "queue/client.h"

/* As zn_client_wait, also of a zn-schedd that had to be started again: only for requests that may be repeated, as
 * with zn_client_reopen.
 */
int zn_client_insist(struct zn_client *c, int timeout_ms, struct zn_reply *ret, struct zn_err *err);

struct zn_stream {
	struct zn_client *client;
	int timeout_ms;                /* for each answer */
	void *arg;
	/* Told of each answer, in order; n counts from 1, key is that of the submission.  Not 0: stop. */
	int (*answered)(void *arg, uint64_t n, const char *key, const struct zn_reply *reply);
};

/* Submits each record that in gives, until its end; what is missing in one is filled in.  When one can't be sent, those
 * before it are answered first.  0, or what answered() stopped with; -EBADMSG: one that is no submission; -EAGAIN: no
 * answer, the sentence has the key to ask again with.
 */
int zn_stream_submit(const struct zn_stream *s, int in, struct zn_err *err);

#endif
