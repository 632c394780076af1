/* spans: a set of indices, as an array of jobs has them: "0-9,20,30-50:10". */
#ifndef ZN_JOB_SPANS_H
#define ZN_JOB_SPANS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "zenith.h"

struct zn_span { uint32_t first, last; };
struct zn_spans {
	struct zn_span *v;             /* rising and apart; v[from] is the first; malloc'ed */
	uint32_t from, n;              /* spans; n counts those before from too */
	uint32_t count;                /* indices */
};

enum { ZN_ARRAY_MAX = 100000 };        /* indices in one */

/* A list of numbers, ranges and ranges with a step, in any order, each index once; behind it "%N" may say how many of an
 * array may run at once (*ret_at_once; 0: there is no limit).  The caller ends ret.  -EBADMSG and a sentence; -ENOMEM.
 */
int zn_spans_parse(const char *text, struct zn_spans *ret, uint32_t *ret_at_once, struct zn_err *err);
void zn_spans_done(struct zn_spans *s);
/* "0-9,20,30"; in a, NULL: out of memory. */
const char *zn_spans_text(const struct zn_spans *s, struct zn_arena *a);
/* How many come before that one. */
uint32_t zn_spans_before(const struct zn_spans *s, uint32_t index);
bool zn_spans_has(const struct zn_spans *s, uint32_t index);
/* Of one that is not empty. */
static inline uint32_t zn_spans_first(const struct zn_spans *s)
{
	return s->v[s->from].first;
}
/* One that is not there is no error.  -ENOMEM: it is there still. */
int zn_spans_remove(struct zn_spans *s, uint32_t index);

#endif
