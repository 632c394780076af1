/* taken: how far who reads the batches has come, kept in a file (see resume.h).
 *
 * What was written may still lie in the pipe or the socket, and goes with it when who reads is killed: so a batch counts
 * when no more bytes lie there than were written behind it.
 */
#ifndef ZN_DATA_TAKEN_H
#define ZN_DATA_TAKEN_H

#include "data/batch.h"
#include "data/resume.h"

struct zn__sent { uint64_t end, epoch, next; };
enum { ZN__SENT_MAX = 4096 };

struct zn_taken {
	int fd;                        /* of the file; -1: there is none, and nothing is kept */
	int out;                       /* where batches are written to */
	struct zn_resume state;        /* so far: where to go on */
	struct zn__sent sent[ZN__SENT_MAX]; /* written, and perhaps not read yet: a ring */
	unsigned first, n;
	char data[ZN_DATA_DIGEST];
};

/* Reads what path says, if it is there, and keeps it from then on.  order: what the order of samples depends on; it and s stay the
 * caller's, unchanged.  -EINVAL: it is of other data, or another order; -EBADMSG, -errno.
 */
int zn_taken_open(struct zn_taken *t, const char *path, int out, const struct zn_sources *s, const char *order, struct zn_arena *a, struct zn_err *err);
/* b was written whole; written: bytes until its end. */
int zn_taken_sent(struct zn_taken *t, uint64_t written, const struct zn_batch *b);
/* At the end, of all that was written so far.  all: who reads takes all of it. */
int zn_taken_end(struct zn_taken *t, uint64_t written, bool all);
/* Who reads has said that he is done with b. */
int zn_taken_back(struct zn_taken *t, const struct zn_batch *b);

#endif
