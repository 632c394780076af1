#include "pick/kinds.h"

#include <errno.h>
#include <stdlib.h>

int zn__kinds_room(struct zn_kinds *h, uint32_t n)
{
	if (n <= h->cap)
		return 0;
	uint32_t cap = n > 2 * h->cap ? n : 2 * h->cap;
	struct zn_pick_kind **v = reallocarray(h->v, cap, sizeof(*v));
	if (!v)
		return -ENOMEM;
	h->v = v;
	h->cap = cap;
	return 0;
}

static bool goes_before(const struct zn_pick_kind *a, const struct zn_pick_kind *b)
{
	return zn_line_head_before(&a->next_head, a->next_score, &b->next_head, b->next_score);
}

void zn__kinds_push(struct zn_kinds *h, struct zn_pick_kind *k)
{
	uint32_t at = h->n++;

	for (; at && goes_before(k, h->v[(at - 1) / 2]); at = (at - 1) / 2)
		h->v[at] = h->v[(at - 1) / 2];
	h->v[at] = k;
}

struct zn_pick_kind *zn__kinds_pop(struct zn_kinds *h)
{
	struct zn_pick_kind *first = h->n ? h->v[0] : NULL, *last = h->n ? h->v[--h->n] : NULL;
	uint32_t at = 0;

	for (uint32_t child; (child = 2 * at + 1) < h->n; at = child) {
		child += child + 1 < h->n && goes_before(h->v[child + 1], h->v[child]);
		if (!goes_before(h->v[child], last))
			break;
		h->v[at] = h->v[child];
	}
	if (h->n)
		h->v[at] = last;
	return first;
}
