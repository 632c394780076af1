/* sift: which records of a stream go on, and in what order.  Without a sort and a tail a record goes on as
 * soon as it has come.
 */
#ifndef ZN_REC_SIFT_H
#define ZN_REC_SIFT_H

#include "rec/reader.h"
#include "rec/writer.h"

struct zn_sift_opts {
	const char *where;           /* an expression (rec/expr.h); NULL: every record */
	const char *sort;            /* a path, with "-" before it the largest first; NULL: as they come.
	                              * Numbers come before text, records without the key last */
	bool has_head, has_tail;     /* only the first, only the last so many; not both */
	uint64_t head, tail;
	const struct zn_kind *const *kinds; /* for the writer's headings; may be NULL */
};

struct zn_sift;

/* -EINVAL when where is no expression.  opts' strings must outlive the sift. */
int zn_sift_new(const struct zn_sift_opts *opts, struct zn_sift **ret, struct zn_err *err);
/* Takes the reader's records to its end: 0, or 1 when no further record can matter; -errno from the reader
 * (err is set) or from the writer (err is left empty).
 */
int zn_sift_run(struct zn_sift *s, struct zn_reader *r, struct zn_writer *w, struct zn_err *err);
/* Writes what had to wait. */
int zn_sift_end(struct zn_sift *s, struct zn_writer *w);
void zn_sift_free(struct zn_sift *s);

#endif
