#include "pick/gate.h"

#include <stddef.h>

bool zn_gate_is_full(const struct zn_gate *g)
{
	return g->at_once && g->open >= g->at_once;
}

static void hold_back(struct zn_gate *g, struct zn_gated *one)
{
	one->next = NULL;
	if (g->first)
		g->last->next = one;
	else
		g->first = one;
	g->last = one;
}

bool zn_gate_enter(struct zn_gate *g, struct zn_gated *one)
{
	bool comes = !zn_gate_is_full(g);

	if (comes)
		g->open++;
	else
		hold_back(g, one);
	return comes;
}

struct zn_gated *zn_gate_leave(struct zn_gate *g)
{
	struct zn_gated *next = g->first;

	g->open--;
	if (!next || zn_gate_is_full(g)) /* more may have run than may now */
		return NULL;
	g->first = next->next;
	g->open++;
	return next;
}
