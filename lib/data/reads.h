/* reads: many pieces of files at once, so that a device always has enough to do: by io_uring, or by threads where the
 * kernel refuses that (Docker's default profile does).  What lies at a URL is fetched, see fetch.h.
 */
#ifndef ZN_DATA_READS_H
#define ZN_DATA_READS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "data/url.h"

/* The caller's, who keeps it in place until it is done. */
struct zn_read {
	int fd;
	struct zn_url *url;            /* instead of fd; NULL: there is none */
	void *p;
	size_t n;
	uint64_t at;
	ssize_t got;                   /* once it is done: bytes, of a file fewer than n at its end or for no reason; -errno */
	const char *why;               /* of a URL, where got is below 0 */
	bool is_done;
	struct zn_read *next;
};

struct zn_reads;

/* depth: how many are under way at once.  uring false: threads at once.  One thread uses it.  -errno. */
int zn_reads_new(unsigned depth, bool uring, struct zn_reads **ret);
/* Those that were added are waited for; but what is fetched is given up. */
void zn_reads_free(struct zn_reads *r);
const char *zn_reads_engine(const struct zn_reads *r); /* "io_uring", "threads" */

void zn_reads_add(struct zn_reads *r, struct zn_read *one);
/* Has what was added begin, as far as the depth allows; does not wait.  -errno. */
int zn_reads_start(struct zn_reads *r);
/* Until one is done, which was added. */
int zn_reads_wait(struct zn_reads *r, const struct zn_read *one);

#endif
