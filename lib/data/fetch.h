/* fetch: ranges of what lies at URLs, many at once: one thread, which keeps connections open.
 *
 * What may be better another time (a server that is too busy or fails, a connection that breaks or stands still) is asked again, a
 * few times, later each time and never all at the same moment; a range that came in part goes on where it stopped.  An object that
 * is not what its first answer said it is was replaced: that is an error, never a mixture of both.
 */
#ifndef ZN_DATA_FETCH_H
#define ZN_DATA_FETCH_H

#include "data/reads.h"

struct zn_fetcher;

/* depth: how many ranges are asked for at once.  Any thread uses it.  -ENOSYS: built without libcurl; -errno. */
int zn_fetcher_new(unsigned depth, struct zn_fetcher **ret);
/* What was added and is not done yet is given up, and is done. */
void zn_fetcher_free(struct zn_fetcher *f);
/* Begins; one->n is at least 1.  The first of a URL is alone, and learns what the object is. */
void zn_fetcher_add(struct zn_fetcher *f, struct zn_read *one);
void zn_fetcher_wait(struct zn_fetcher *f, const struct zn_read *one);

#endif
