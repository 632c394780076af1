/* arrive: the samples of sources in the order in which they come when each is read from its beginning. */
#ifndef ZN_DATA_ARRIVE_H
#define ZN_DATA_ARRIVE_H

#include "data/flow.h"
#include "data/gather.h"
#include "data/key.h"
#include "data/names.h"
#include "data/source.h"
#include "data/unpack.h"

/* A member of a sample. */
struct zn__slice {
	const char *field;
	char *p;                       /* n of cap bytes; of one that is not wanted there is none */
	size_t n, cap;
	bool is_wanted;
};

/* Something that can't be read.  It is told as a loss of a sample that lies beside it and may lack a member, else alone. */
struct zn__damage {
	uint64_t offset;
	char *why;
	unsigned refs;
	bool is_blamed;
};

/* A sample in memory of its own. */
struct zn__held {
	const struct zn_source *source;
	uint64_t offset, bytes;        /* offset: of what is told of it; bytes: of memory */
	char *key, *why;               /* why it is lost; NULL: it is not */
	struct zn__slice *parts;
	uint32_t n, cap;
	bool is_kept;                  /* somebody wants it */
	struct zn__damage *damage;     /* it lies beside; NULL: beside none, or it was judged */
};

enum { ZN__WAITING_MAX = 16 };     /* samples that are held until others show how many members are usual */

struct zn__arrive {
	const struct zn_sources *sources;
	const struct zn_loader_ask *ask;
	/* Something that can't be read and is no sample; key may be NULL; below 0 ends all. */
	int (*lose)(void *arg, const struct zn_source *source, uint64_t offset, const char *key, const char *why);
	void *arg;
	struct zn__names names;
	uint64_t used_bytes;           /* by all that is held */
	struct zn_flow_stats stats;
	/* where it is */
	uint64_t epoch;
	uint32_t turn;                 /* of the sources, in this epoch's order */
	const struct zn_source *source;/* NULL: the next one's turn is to come */
	uint64_t file;                 /* of files: the next sample */
	struct zn__unpack *unpack;
	struct zn__member member;      /* if has_member: the next, whose bytes are to come */
	struct zn_key key;
	bool has_member;
	bool is_over;                  /* the source has ended */
	struct zn__held *open;         /* may still get members */
	bool is_next;                  /* nothing lies between its last member and here */
	struct zn__damage *damage;     /* since the last member */
	struct zn__held *waiting[ZN__WAITING_MAX];
	unsigned n_waiting;
	uint64_t with[ZN__FIELDS_MAX + 1]; /* samples of so many members, beside no damage */
	uint64_t n_whole;              /* all of these */
	uint32_t most;                 /* members of any sample */
};

/* From the first source of an epoch on. */
void zn__arrive_begin(struct zn__arrive *a, uint64_t epoch);
/* The next, whose bytes are kept if is_kept: 1; 0: there is no other one; -E2BIG: no memory is left of what was allowed; as zn_flow_next. */
int zn__arrive_next(struct zn__arrive *a, bool is_kept, struct zn__held **ret, struct zn_err *err);
void zn__arrive_done(struct zn__arrive *a);
void zn__held_free(struct zn__arrive *a, struct zn__held *s);

#endif
