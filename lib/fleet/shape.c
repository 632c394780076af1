#define HASH_NONFATAL_OOM 1
#include "fleet/shape.h"

struct zn__shape *zn__shape_get(struct zn_fleet *f, const struct zn_fleet_task *task)
{
	struct zn__shape *s;

	HASH_FIND(hh, f->shapes, task, sizeof(*task), s); /* as bytes: it has no padding */
	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->task = *task;
	HASH_ADD(hh, f->shapes, task, sizeof(*task), s);
	if (s->hh.tbl)
		return s;
	free(s);
	return NULL;
}

void zn__shapes_done(struct zn_fleet *f)
{
	struct zn__shape *s, *next;

	HASH_ITER(hh, f->shapes, s, next) {
		HASH_DEL(f->shapes, s);
		zn__tree_done(&s->tree);
		free(s);
	}
}
