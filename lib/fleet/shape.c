#define HASH_NONFATAL_OOM 1
#include "base/hash.h"
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

/* ---- those with a tree ------------------------------------------------------------------------------------- */

static void unlink_shape(struct zn_fleet *f, struct zn__shape *s)
{
	*(s->before ? &s->before->after : &f->trees_first) = s->after;
	*(s->after ? &s->after->before : &f->trees_last) = s->before;
	s->before = s->after = NULL;
	f->trees--;
}

static void link_last(struct zn_fleet *f, struct zn__shape *s)
{
	s->before = f->trees_last;
	*(f->trees_last ? &f->trees_last->after : &f->trees_first) = s;
	f->trees_last = s;
	f->trees++;
}

static void drop_tree(struct zn_fleet *f, struct zn__shape *s)
{
	unlink_shape(f, s);
	zn__tree_done(&s->tree);
	s->usual = 0;
}

bool zn__shape_tree(struct zn_fleet *f, struct zn__shape *s)
{
	if (s->tree.v)
		unlink_shape(f, s);
	else if (zn__tree_make(&s->tree, f->n) < 0)
		return false;
	if (f->trees >= zn__fleet_keeps(2 * s->tree.size * sizeof(*s->tree.v)))
		drop_tree(f, f->trees_first);
	link_last(f, s);
	return true;
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
