#include "queue/where.h"

#include <errno.h>
#include <string.h>

#include "base/units.h"

static const struct zn_field reason_fields[] = {
	ZN_FIELD(struct zn_explained_reason, text, STR, "REASON", "what rejected it"),
	ZN_FIELD(struct zn_explained_reason, count, U64, "COUNT", "how many devices or nodes this rejected"),
	{ 0 },
};
const struct zn_kind zn__reason_kind = { NULL, "a rejection", reason_fields, sizeof(struct zn_explained_reason), NULL };

/* Reasons as they are gathered; equal ones are counted.  node: the first that said so, of several. */
struct reasons { struct zn_arena *a; struct zn_explained_reason *v; const char **node; size_t n; bool failed; };

static void add(struct reasons *r, const char *node, const char *text, uint64_t count)
{
	size_t at = 0;

	r->failed |= !text;
	if (!text)
		return;
	while (at < r->n && strcmp(r->v[at].text, text))
		at++;
	if (at == r->n) {
		r->v[r->n] = (struct zn_explained_reason){ text, 0 };
		r->node[r->n++] = node;
	}
	r->v[at].count += count;
}

static void name_nodes(struct reasons *r)
{
	for (size_t i = 0; i < r->n; i++) {
		unsigned long long count = (unsigned long long)r->v[i].count;
		r->v[i].text = count == 1 ? zn_arena_printf(r->a, "%s: %s", r->node[i], r->v[i].text)
		                          : zn_arena_printf(r->a, "%llu nodes: %s", count, r->v[i].text);
		r->failed |= !r->v[i].text;
	}
}

/* Strangers who hold GPUs that the job could have used. */
static void add_strangers(struct reasons *r, const struct zn_node_record *node)
{
	const struct zn_node_held *held = node->held.v;

	for (size_t i = 0; i < node->held.n; i++) {
		const char *user = held[i].user ? held[i].user : "somebody";
		unsigned long long pid = (unsigned long long)held[i].pid.v;
		add(r, node->node_id,
		    held[i].command ? zn_arena_printf(r->a, "gpu %u: pid %llu of %s (%s), outside the queue", held[i].gpu, pid, user, held[i].command)
		                    : zn_arena_printf(r->a, "gpu %u: pid %llu of %s, outside the queue", held[i].gpu, pid, user), 1);
	}
}

/* Why it never suits. */
static const char *unsuited(const struct zn_pick_ask *wanted, const struct zn_room_node *n, struct reasons *r)
{
	size_t len = 0;
	const char *lacks = wanted->constraint ? zn_room_lacks_label(n, wanted, &len) : NULL;

	return lacks ? zn_arena_printf(r->a, "its labels are not '%.*s'", (int)len, lacks)
	             : zn_arena_printf(r->a, "reservation '%s' has nothing of it", wanted->booking);
}

/* Of its GPUs alone it can have some; NULL: of all. */
static const char *own_part(const struct zn_pick_ask *wanted, const struct zn_room_node *n, struct reasons *r)
{
	for (uint32_t i = 0; i < n->n_booked; i++) {
		const struct zn_room_booked *b = &n->booked[i];
		if (!strcmp(b->name, wanted->booking) && !b->is_whole)
			return zn_arena_printf(r->a, "of its GPUs reservation '%s' has %u", b->name, zn_idset_count(&b->gpus));
	}
	return NULL;
}

/* What is reserved that it could have else; leaves: something is left for it.  NULL: nothing. */
static const char *booked(const struct zn_room *room, const struct zn_pick_ask *wanted, const struct zn_ask *ask, const struct zn_room_node *n,
                          bool leaves, struct reasons *r)
{
	const struct zn_room_booked *b = zn_room_booked_now(room, n, wanted);
	struct zn_free all = zn_room_free_for(n, wanted);
	struct zn_plan plan;
	char until[ZN_UNIT_TEXT];

	if (leaves && wanted->booking)
		return own_part(wanted, n, r);
	if (leaves && zn_plan_make(n->facts, &all, ask, &plan, NULL) < 0)
		return NULL;
	if (!b) /* its own begins later */
		return zn_arena_printf(r->a, "reservation '%s' does not have it now", wanted->booking);
	return zn_arena_printf(r->a, "%s reserved until %s: '%s'", b->is_whole ? "it is" : "of its GPUs some are", zn_format_time(b->until_s, until), b->name);
}

/* One node: all that the planner says, with how many devices. */
static void ask_one(struct zn_picture *p, const struct zn_pick_ask *wanted, struct zn__where *w, struct reasons *r)
{
	struct zn_ask ask = zn_room_ask(wanted);
	const struct zn_room_node *n = &p->room.nodes[0];
	struct zn_free free = zn_room_free_for(n, wanted);
	struct zn_why why = { 0 };
	bool leaves = zn_room_leaves_now(&p->room, n, wanted, &free);

	p->room.places->n = 1;
	p->room.places->v[0] = (struct zn_place){ .node = 0 };
	w->rc = zn_plan_make(n->facts, &free, &ask, &p->room.places->v[0].plan, &why);
	for (size_t i = 0; i < why.n; i++)
		add(r, NULL, zn_arena_strdup(r->a, why.reasons[i].text), why.reasons[i].count);
	if (why.smallest[0] && leaves)
		w->smallest = zn_arena_strdup(r->a, why.smallest);
	if (!zn_room_suits(n, wanted)) {
		add(r, NULL, unsuited(wanted, n, r), 1);
		w->rc = -EINVAL;
		w->smallest = NULL;
		return;
	}
	if (w->rc == 0 && !leaves)
		w->rc = -EAGAIN;
	const char *whose = w->rc == -EAGAIN && n->n_booked ? booked(&p->room, wanted, &ask, n, leaves, r) : NULL;
	if (whose)
		add(r, NULL, whose, 1);
}

/* Why it can't be there now: -EAGAIN, or -EINVAL, never; 0: it can. */
static int refusal(const struct zn_room *room, const struct zn_room_node *n, const struct zn_node_record *record, const struct zn_pick_ask *wanted,
                   const struct zn_ask *ask, struct reasons *r, const char **smallest)
{
	struct zn_free free = zn_room_free_for(n, wanted);
	struct zn_why why = { 0 };
	struct zn_plan plan;
	bool leaves = n->facts && zn_room_leaves_now(room, n, wanted, &free);
	int rc = n->facts ? zn_plan_make(n->facts, &free, ask, &plan, &why) : -EAGAIN;

	if (!zn_room_suits(n, wanted)) {
		add(r, record->node_id, unsuited(wanted, n, r), 1);
		return -EINVAL;
	}
	if (rc == 0 && leaves && !n->is_closed)
		return 0;
	const char *whose = n->facts && n->n_booked && rc != -EINVAL && (!leaves || !wanted->booking) ? booked(room, wanted, ask, n, leaves, r) : NULL;
	if (n->is_closed || !n->facts)
		add(r, record->node_id, record->reason ? record->reason : record->state, 1);
	else if (whose)
		add(r, record->node_id, whose, 1);
	else
		add(r, record->node_id, why.n ? zn_arena_strdup(r->a, why.reasons[0].text) : "it does not fit", 1);
	if (!n->is_closed && leaves && why.smallest[0] && !*smallest)
		*smallest = zn_arena_strdup(r->a, why.smallest);
	return rc == -EINVAL ? rc : -EAGAIN;
}

static bool is_at(const struct zn_room *room, uint32_t a, uint32_t b)
{
	const char *x = room->nodes[a].domain, *y = room->nodes[b].domain;

	return !strcmp(x ? x : "", y ? y : "");
}

/* So many nodes are; where they are to be at one switch, of that which has the most. */
static uint32_t count_nodes(const struct zn_room *room, const bool *is, bool same_switch)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < room->n; i++) {
		uint32_t n = 0;
		for (uint32_t k = 0; is[i] && k < room->n; k++)
			n += is[k] && (!same_switch || is_at(room, i, k));
		most = n > most ? n : most;
		if (n && !same_switch)
			break;
	}
	return most;
}

/* So many nodes could have their part, should nothing run there. */
static bool could_ever(const struct zn_room *room, const struct zn_pick_ask *wanted, const struct zn_ask *ask, uint32_t need, bool *could)
{
	struct zn_plan plan;

	for (uint32_t i = 0; i < room->n; i++) {
		const struct zn_room_node *n = &room->nodes[i];
		could[i] = zn_room_suits(n, wanted) && (!n->facts || zn_plan_make(n->facts, &n->free, ask, &plan, NULL) != -EINVAL);
	}
	return count_nodes(room, could, wanted->same_switch) >= need;
}

/* What each node of a gang on as few as it could ever have is asked; returns how many these are.  Never: on the fewest. */
static uint32_t ask_each(const struct zn_room *room, const struct zn_pick_ask *wanted, bool *could, struct zn_ask *ret)
{
	uint32_t least = wanted->nodes_min ? wanted->nodes_min : 1, need = 0;
	struct zn_pick_ask each;

	*ret = zn_room_ask(wanted);
	for (uint32_t n = least; n == least || (n <= wanted->nodes_max && n <= room->n); n++) {
		if (!zn_room_split(wanted, n, &each))
			continue;
		struct zn_ask ask = zn_room_ask(&each);
		bool is_possible = could_ever(room, wanted, &ask, n, could);
		if (is_possible || !need) {
			*ret = ask;
			need = n;
		}
		if (is_possible)
			break;
	}
	return need ? need : least;
}

/* There would be room for a gang, were it not for the switch. */
static bool keeps_one_switch(struct zn_picture *p, const struct zn_pick_ask *wanted)
{
	struct zn_pick_ask less = *wanted;

	less.same_switch = false;
	return wanted->same_switch && zn_room_find(&p->room, &less);
}

static void say_how_many(struct zn_picture *p, const struct zn_pick_ask *wanted, uint32_t need, uint32_t fit, struct zn__where *w, struct reasons *r)
{
	w->smallest = keeps_one_switch(p, wanted) ? "without --same-switch it would start now" : NULL;
	w->answer = wanted->same_switch ? zn_arena_printf(r->a, "it needs %u nodes at one switch; at none have more than %u room for its part", need, fit)
	                                : zn_arena_printf(r->a, "it needs %u nodes; %u %s room for its part", need, fit, fit == 1 ? "has" : "have");
}

/* What each node rules out; of a gang also how many do not. */
static void ask_several(struct zn_picture *p, const struct zn_pick_ask *wanted, struct zn__where *w, struct reasons *r)
{
	bool *fits = zn_arena_array(r->a, p->room.n, sizeof(*fits)), *could = zn_arena_array(r->a, p->room.n, sizeof(*could));
	struct zn_ask ask;

	r->failed |= !fits || !could;
	if (r->failed || zn_room_find(&p->room, wanted))
		return;
	uint32_t need = ask_each(&p->room, wanted, could, &ask);
	for (uint32_t i = 0; i < p->room.n; i++) {
		int rc = refusal(&p->room, &p->room.nodes[i], &p->nodes[i], wanted, &ask, r, &w->smallest);
		fits[i] = rc == 0;
		could[i] = rc != -EINVAL;
	}
	bool same_switch = wanted->same_switch && need > 1;
	w->rc = count_nodes(&p->room, could, same_switch) < need ? -EINVAL : -EAGAIN;
	if (need > 1)
		say_how_many(p, wanted, need, count_nodes(&p->room, fits, same_switch), w, r);
}

/* Of all nodes is known what they have, and it is not among it. */
static bool is_nowhere(const struct zn_room *room, const char *device)
{
	for (uint32_t i = 0; i < room->n; i++)
		if (!room->nodes[i].facts || zn_facts_has_device(room->nodes[i].facts, device))
			return false;
	return true;
}

/* For as many reasons as there can be. */
static int make_reasons(const struct zn_picture *p, struct reasons *r)
{
	size_t cap = sizeof(((struct zn_why *)0)->reasons) / sizeof(((struct zn_why *)0)->reasons[0]) + p->room.n;

	for (uint32_t i = 0; i < p->room.n; i++)
		cap += p->nodes[i].held.n;
	r->v = zn_arena_array(r->a, cap, sizeof(*r->v));
	r->node = zn_arena_array(r->a, cap, sizeof(*r->node));
	return r->v && r->node ? 0 : -ENOMEM;
}

int zn__where(struct zn_picture *p, const struct zn_pick_ask *wanted, struct zn__where *ret)
{
	struct zn__where w = { 0 };
	struct reasons r = { .a = &p->arena };
	bool several = p->room.n > 1 || wanted->nodes_max > 1;

	if (make_reasons(p, &r) < 0)
		return -ENOMEM;
	if (several)
		ask_several(p, wanted, &w, &r);
	else
		ask_one(p, wanted, &w, &r);
	if (w.rc == -EINVAL && wanted->near && is_nowhere(&p->room, wanted->near))
		w.answer = zn_arena_printf(r.a, "no node has a device '%s'", wanted->near);
	for (uint32_t i = 0; w.rc < 0 && wanted->gpus && i < p->room.n; i++)
		add_strangers(&r, &p->nodes[i]);
	if (several)
		name_nodes(&r);
	w.places = p->room.places;
	w.reasons = (struct zn_list){ r.v, r.n };
	*ret = w;
	return r.failed ? -ENOMEM : 0;
}
