/* tree: a tournament, the least of many values, of equals the one with the lowest number.  Private to fleet. */
#ifndef ZN_FLEET_TREE_H
#define ZN_FLEET_TREE_H

#include <math.h>
#include <stdlib.h>

struct zn__tree {
	double *v;             /* v[1] is the least of all, v[i] that of v[2i] and v[2i+1]; the leaves begin at v[size] */
	size_t size;
};

/* n leaves, all HUGE_VAL.  -ENOMEM. */
int zn__tree_make(struct zn__tree *t, size_t n);
static inline void zn__tree_done(struct zn__tree *t)
{
	free(t->v);
	t->v = NULL;
}

void zn__tree_set(struct zn__tree *t, size_t i, double value);
/* After the leaves from the one to before the other were written straight to v[size + i]. */
void zn__tree_settle(struct zn__tree *t, size_t from, size_t to);
/* False: all are HUGE_VAL. */
static inline bool zn__tree_first(const struct zn__tree *t, size_t *ret)
{
	size_t at = 1;

	if (t->v[1] == HUGE_VAL)
		return false;
	while (at < t->size) {
		at *= 2;
		at += t->v[at] > t->v[at + 1];
	}
	*ret = at - t->size;
	return true;
}

#endif
