#include <errno.h>
#include <stdbool.h>

#include "fleet/tree.h"

int zn__tree_make(struct zn__tree *t, size_t n)
{
	t->size = 1;
	while (t->size < n)
		t->size *= 2;
	t->v = malloc(2 * t->size * sizeof(*t->v));
	for (size_t i = 0; t->v && i < 2 * t->size; i++)
		t->v[i] = HUGE_VAL;
	return t->v ? 0 : -ENOMEM;
}

static double least(const struct zn__tree *t, size_t at)
{
	return t->v[2 * at] <= t->v[2 * at + 1] ? t->v[2 * at] : t->v[2 * at + 1];
}

void zn__tree_set(struct zn__tree *t, size_t i, double value)
{
	size_t at = t->size + i;

	t->v[at] = value;
	while (at /= 2) {
		double v = least(t, at);
		if (t->v[at] == v)
			return;
		t->v[at] = v;
	}
}

void zn__tree_settle(struct zn__tree *t, size_t from, size_t to)
{
	if (from == to)
		return;
	for (size_t first = (t->size + from) / 2, last = (t->size + to - 1) / 2; first; first /= 2, last /= 2)
		for (size_t at = first; at <= last; at++)
			t->v[at] = least(t, at);
}
