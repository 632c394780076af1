/* resume: how far a rank has come, in a file, so that it can go on there.
 *
 * One line of JSON of fixed length, which is written over in one write each time: whoever is killed leaves the state before or
 * after it.
 */
#ifndef ZN_DATA_RESUME_H
#define ZN_DATA_RESUME_H

#include "base/arena.h"
#include "data/source.h"
#include "zenith.h"

enum { ZN_DATA_DIGEST = 33 };      /* of text */

struct zn_resume {
	const char *data;              /* the digest of the sources */
	const char *order;             /* what the order depends on: "seed 7, shuffle 1000" */
	uint64_t epoch, next;          /* next: how many of the epoch's samples all ranks have had */
};

/* What the sources are, as far as the order of their samples goes.  -ENOMEM. */
int zn_sources_digest(const struct zn_sources *s, char to[ZN_DATA_DIGEST]);

/* 1; 0: there is no such file yet; -EBADMSG: it is something else; -errno.  Texts live in a. */
int zn_resume_read(const char *path, struct zn_arena *a, struct zn_resume *ret, struct zn_err *err);
/* A descriptor for zn_resume_note: the file is there from then on, with this state. */
int zn_resume_open(const char *path, const struct zn_resume *state, struct zn_err *err);
int zn_resume_note(int fd, const struct zn_resume *state);

#endif
