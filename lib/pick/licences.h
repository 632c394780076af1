/* licences: what is counted by name, wherever a job runs: those of a program, or anything else of which the configuration
 * says how many there are.  What one job asks of them is its wish; equal wishes are one object, so that jobs which ask the
 * same have one shape.
 */
#ifndef ZN_PICK_LICENCES_H
#define ZN_PICK_LICENCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "pick/gap.h"

/* What is left of each: now; when who has one of the reservations of a pass has started, which of them is added; and, while
 * that time is looked for, when the jobs in its way are over.
 */
enum zn_licences_left { ZN_LICENCES_NOW, ZN_LICENCES_AHEAD, ZN_LICENCES_THEN = ZN_LICENCES_AHEAD + ZN_PICK_AHEAD, ZN_LICENCES_LEFT };

struct zn_licence {
	char *name;
	uint64_t total;                /* 0: it is configured no more, but jobs ask for it */
	uint64_t jobs;                 /* that have some */
	int64_t left[ZN_LICENCES_LEFT]; /* below 0: more are out than there are now */
};

struct zn_wish {
	UT_hash_handle hh;
	char *text;                    /* "matlab:2,vcs:1" */
	size_t n;
	struct { size_t licence; uint64_t count; } v[];
};

/* Zero-initialised storage has none. */
struct zn_licences {
	struct zn_licence *v;
	size_t n;
	struct zn_wish *wishes;
};

void zn_licences_done(struct zn_licences *l);
/* There are so many of that name.  -ENOMEM. */
int zn_licences_set(struct zn_licences *l, const char *name, uint64_t total);
/* Of a text as above; one of NULL is NULL.  It lives as long as l.  -ENOMEM, -EBADMSG. */
int zn_licences_wish(struct zn_licences *l, const char *text, const struct zn_wish **ret);

/* A wish may be NULL in all of these. */
void zn_licences_take(struct zn_licences *l, const struct zn_wish *wish);
void zn_licences_give(struct zn_licences *l, const struct zn_wish *wish);
void zn_licences_give_all(struct zn_licences *l);   /* nobody has any */
bool zn_licences_fit(const struct zn_licences *l, const struct zn_wish *wish, uint32_t left);
/* The largest part of all there is of one. */
double zn_licences_part(const struct zn_licences *l, const struct zn_wish *wish);

/* Of one count alone: sign times the wish is more; it becomes what that other one is. */
void zn_licences_add(struct zn_licences *l, const struct zn_wish *wish, uint32_t left, int sign);
void zn_licences_copy(struct zn_licences *l, uint32_t to, uint32_t from);

#endif
